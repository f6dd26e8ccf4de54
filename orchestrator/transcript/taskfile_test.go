package transcript

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// say adds a record that cannot be compressed much, and has it written.
func say(f *Files, tr engine.Transcript, seed, n int) {
	tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: random(seed, n)})
	flushed(f)
}

// streamed is what Stream tells of a task, with the turns.
func streamed(t testing.TB, dir string, s Selection) []string {
	t.Helper()
	var out []string
	if err := Stream(t.Context(), dir, "T", s, nil, func(r Record) error {
		out = append(out, fmt.Sprintf("%d.%d %s %s", r.Turn, r.Attempt, r.Type, r.Text))
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// Attempts that run at the same time have one file, in which they are told apart.
func TestAttemptsOfATaskShareAFile(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir)
	a, b := f.Begin(start("T", 2)), f.Begin(start("T", 1))
	for i := range 3 {
		for _, tr := range []engine.Transcript{a, b} {
			tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: fmt.Sprint(i)})
			flushed(f)
		}
	}
	a.Close(nil)
	b.Close(nil)
	closeFiles(t, f)
	want := []string{
		"1.1 begin ", "1.1 prompt do it", "1.1 status 0", "1.1 status 1", "1.1 status 2",
		"2.1 begin ", "2.1 prompt do it", "2.1 status 0", "2.1 status 1", "2.1 status 2",
	}
	if diff := cmp.Diff(want, streamed(t, dir, Selection{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[5:], streamed(t, dir, Selection{Turn: 2})); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(fileOf(dir, "T"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := List(dir, "T")
	if err != nil || len(list) != 2 || list[0].Turn != 1 || list[1].Turn != 2 || list[0].Size+list[1].Size != info.Size() || !list[0].Modified.Equal(info.ModTime()) {
		t.Errorf("%+v, %v of %d bytes", list, err, info.Size())
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	// Another reader of zstd has all lines, in the order of writing.
	file, err := os.Open(fileOf(dir, "T"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var turns []int
	for lines := bufio.NewScanner(z); lines.Scan(); {
		var line struct{ Turn, Attempt int }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Attempt != 1 {
			t.Errorf("%s: %v", lines.Bytes(), err)
		}
		turns = append(turns, line.Turn)
	}
	if diff := cmp.Diff([]int{2, 2, 2, 1, 1, 1, 2, 1, 2, 1}, turns); diff != "" {
		t.Error(diff)
	}
}

// The limit is that of an attempt, whatever others have in the file, and whoever wrote it.
func TestLimitCountsWhatAnAttemptHasAlready(t *testing.T) {
	dir := t.TempDir()
	limited := func(o *Options) { o.MaxPerTurn = 3000 }
	f := newFiles(t, dir, limited)
	first := f.Begin(start("T", 1))
	say(f, first, 1, 4000)
	closeFiles(t, f) // the process ends in the middle of the attempt

	f = newFiles(t, dir, limited)
	other, again := f.Begin(start("T", 2)), f.Begin(start("T", 1))
	say(f, other, 2, 4000)
	say(f, again, 3, 4000)
	again.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
	flushed(f)
	again = f.Begin(start("T", 1)) // while the file is still known because of the other
	say(f, again, 4, 4000)
	again.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
	other.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
	closeFiles(t, f)

	types := func(turn int) string {
		var out []string
		for _, r := range told(t, dir, "T", turn) {
			out = append(out, string(r.Type))
		}
		return strings.Join(out, " ")
	}
	if got := types(1); got != "begin prompt status begin prompt cut end cut end" {
		t.Errorf("turn 1: %s", got)
	}
	if got := types(2); got != "begin prompt status end" {
		t.Errorf("turn 2: %s", got)
	}
}

// A torn block is said in its attempt, or in the one that goes on where nobody knows whose it is.
func TestTornEndAmongSeveralAttempts(t *testing.T) {
	e, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	torn := e.block(nil, attempt{1, 1}, Record{Type: Status, Text: "torn"}.append(nil))
	for _, c := range []struct {
		name       string
		bytes      int
		one, other []string
	}{
		{"in the block", headerSize + 3, []string{"begin", "prompt do it", "cut the end of what was written before is torn", "begin", "prompt do it"}, []string{"begin", "prompt do it", "begin", "prompt do it"}},
		{"in the header", headerSize - 3, []string{"begin", "prompt do it", "begin", "prompt do it"}, []string{"begin", "prompt do it", "cut the end of what was written before is torn", "begin", "prompt do it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			f := newFiles(t, dir)
			one, other := f.Begin(start("T", 1)), f.Begin(start("T", 2))
			flushed(f)
			one.Close(nil)
			other.Close(nil)
			closeFiles(t, f)
			file, err := os.OpenFile(fileOf(dir, "T"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(torn[:c.bytes]); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			before := streamed(t, dir, Selection{})
			if last := before[len(before)-1]; !strings.Contains(last, "cut the file ends within") || strings.HasPrefix(last, "1.1") != (c.bytes > headerSize) {
				t.Errorf("before it goes on: %s", last)
			}
			f = newFiles(t, dir)
			f.Begin(start("T", 2)).Close(nil)
			flushed(f)
			f.Begin(start("T", 1)).Close(nil)
			closeFiles(t, f)
			if diff := cmp.Diff(c.one, kinds(told(t, dir, "T", 1))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.other, kinds(told(t, dir, "T", 2))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What cannot be told apart any more is said in the attempt that comes after it.
func TestDamagedHeaderIsSaid(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir)
	for turn := 1; turn <= 3; turn++ {
		f.Begin(start("T", turn)).Close(nil)
		flushed(f)
	}
	closeFiles(t, f)
	list, err := List(dir, "T")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(fileOf(dir, "T"))
	if err != nil {
		t.Fatal(err)
	}
	second, third := list[0].Size, list[0].Size+list[1].Size
	for at := range int64(headerSize) {
		for _, c := range []struct {
			at   int64
			want []string
		}{
			{second + at, []string{"1.1 begin ", "1.1 prompt do it", "3.1 cut the file is damaged here", "3.1 begin ", "3.1 prompt do it"}},
			{third + at, []string{"1.1 begin ", "1.1 prompt do it", "2.1 begin ", "2.1 prompt do it", "2.1 cut the file is damaged here"}},
		} {
			data := append([]byte{}, whole...)
			data[c.at] ^= 0x04
			if err := os.WriteFile(fileOf(dir, "T"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, streamed(t, dir, Selection{})); diff != "" {
				t.Errorf("byte %d of a header:\n%s", at, diff)
			}
		}
	}
}

// countedFile counts what is read of it.
type countedFile struct {
	*os.File
	read *int
}

func (c countedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.File.ReadAt(p, off)
	*c.read += n
	return n, err
}

// A short turn does not read all that its task said before.
func TestLongFileIsTakenUpByItsHeaders(t *testing.T) {
	dir, read := t.TempDir(), 0
	f := newFiles(t, dir)
	long := f.Begin(start("T", 1))
	for i := range 20 {
		say(f, long, i, 400_000)
	}
	closeFiles(t, f)
	f = newFiles(t, dir, func(o *Options) {
		open := func(name string) (file, error) {
			real, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
			return countedFile{real, &read}, err
		}
		o.open = open
	})
	f.Begin(start("T", 2)).Close(nil)
	flushed(f)
	first := read
	f.Begin(start("T", 3)).Close(nil)
	flushed(f)
	if read != first {
		t.Errorf("the next turn reads %d bytes again", read-first)
	}
	closeFiles(t, f)
	info, err := os.Stat(fileOf(dir, "T"))
	if err != nil {
		t.Fatal(err)
	}
	if read == 0 || int64(read) > info.Size()/10 {
		t.Errorf("%d of %d bytes are read", read, info.Size())
	}
}

// What is known of tasks none of whose attempts is open does not grow.
func TestFileThatIsNotOpenIsForgotten(t *testing.T) {
	f := newFiles(t, t.TempDir())
	a, b := f.Begin(start("T", 1)), f.Begin(start("T", 2))
	flushed(f)
	if f.turns[key{"T", attempt{1, 1}}].file != f.turns[key{"T", attempt{2, 1}}].file {
		t.Error("attempts of a task know different files")
	}
	a.Close(nil)
	if flushed(f); len(f.turns) != 1 || !f.isOpen("T") {
		t.Errorf("with one open: %v, %v", f.turns, f.tasks)
	}
	b.Close(workflow.TurnFinished{})
	if flushed(f); len(f.turns) != 0 || f.isOpen("T") {
		t.Errorf("with none open: %v, %v", f.turns, f.tasks)
	}
	again := f.Begin(start("T", 3))
	for i := range 2 * maxIdle {
		f.Begin(start(fmt.Sprint("T", i), 1)).Close(nil)
		flushed(f)
	}
	if !f.isOpen("T") || len(f.tasks) != maxIdle+1 || len(f.idle) != maxIdle {
		t.Errorf("%d files are known, %d idle", len(f.tasks), len(f.idle))
	}
	again.Close(nil)
	flushed(f)
}

// A file that somebody removes is begun again, and what is known of it with it.
func TestRemovedFileIsBegunAgain(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir)
	tr := f.Begin(start("T", 1))
	flushed(f)
	if err := os.Remove(fileOf(dir, "T")); err != nil {
		t.Fatal(err)
	}
	tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: "after"})
	flushed(f)
	info, err := os.Stat(fileOf(dir, "T"))
	if err != nil {
		t.Fatal(err)
	}
	if known := f.tasks["T"]; known.size != info.Size() || known.kept[attempt{1, 1}] != info.Size() {
		t.Errorf("%d and %d of %d bytes are known", known.size, known.kept[attempt{1, 1}], info.Size())
	}
	tr.Close(nil)
	if diff := cmp.Diff([]string{"status after"}, kinds(told(t, dir, "T", 1))); diff != "" {
		t.Error(diff)
	}
}
