package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func outputLimit(team *workflow.Team) int {
	return cmp.Or(team.OutputLimit, workflow.DefaultOutputLimit)
}

// noteLength is how much longer than the limit an excerpt may be, in bytes: it
// says what it leaves out, and the path of a file.
const noteLength = 8 << 10

// shorten keeps an output that is longer than the team's limit in a file, and
// returns an excerpt that names it. It comes before the commit of the turn's
// end, so that what the journal names is there. kept is a file that has the
// whole output already, of which output is an excerpt; it stays as it is unless
// it was made for a higher limit, as that of a sub-team may be.
func (e *Engine) shorten(key turnKey, team *workflow.Team, output, kept string) (short, file string, err error) {
	limit := outputLimit(team)
	if kept != "" {
		if len(output) <= limit+noteLength {
			return output, kept, nil
		}
		if whole, err := os.ReadFile(kept); err == nil && len(whole) >= len(output)-noteLength {
			output = strings.ToValidUTF8(string(whole), "\uFFFD")
		} // else it was changed meanwhile, and the excerpt is all that there is
		return excerpt(output, limit, kept), kept, nil
	}
	if len(output) <= limit {
		return output, "", nil
	}
	if file = e.outputFile(key); file != "" {
		if err := writeDurably(file, output); err != nil {
			return "", "", &store.StorageError{Op: "keep the output of " + key.String(), Dir: filepath.Dir(file), Err: err}
		}
	}
	return excerpt(output, limit, file), file, nil
}

// keepOutput is shorten, and waits while there is no room. ctx does not end it:
// the turn has ended.
func (e *Engine) keepOutput(ctx context.Context, key turnKey, team *workflow.Team, output, kept string) (short, file string, err error) {
	err = e.persist(context.WithoutCancel(ctx), func() (err error) {
		short, file, err = e.shorten(key, team, output, kept)
		return err
	})
	return short, file, err
}

// excerpt is the beginning and the end of an output, and says where all of it is.
func excerpt(output string, limit int, file string) string {
	where := "it is not kept"
	if file != "" {
		where = "the whole text is in the file " + file
	}
	head, tail := output[:limit*2/3], output[len(output)-limit/3:]
	for head != "" && !utf8.RuneStart(output[len(head)]) {
		head = head[:len(head)-1]
	}
	for tail != "" && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	return fmt.Sprintf("%s\n\n[… %d of %d bytes are left out here; %s …]\n\n%s", head, len(output)-len(head)-len(tail), len(output), where, tail)
}

// writeDurably writes a file so that it is whole, or not there, after a crash.
func writeDurably(file, content string) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error says what matters
		}
	}()
	_, err = strings.NewReader(content).WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err == nil {
		err = syncDirectory(dir)
	}
	return err
}

// syncDirectory makes the names in a directory durable, where the system can.
func syncDirectory(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
