//go:build unix

package check

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestRunCheckKeepsTheBeginningAndTheEnd(t *testing.T) {
	req := request(t, "echo first; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo last; exit 1")
	got := runCheck(t, req)
	if got.Reason != workflow.ReasonFailed || len(got.Output) > req.OutputLimit || len(got.Output) < req.OutputLimit/2 {
		t.Fatalf("got %d bytes: %+v", len(got.Output), got)
	}
	if !strings.HasPrefix(got.Output, "first\nline 0\n") || !strings.HasSuffix(got.Output, "line 1999\nlast\n") {
		t.Errorf("got %q", got.Output)
	}
	if !strings.Contains(got.Output, "the middle is left out here; the whole is in "+req.OutputFile) || got.OutputFile != req.OutputFile {
		t.Errorf("got file %q, output %q", got.OutputFile, got.Output)
	}
	whole, err := os.ReadFile(got.OutputFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(whole, []byte("first\n")) || !bytes.HasSuffix(whole, []byte("line 1999\nlast\n")) || bytes.Count(whole, []byte("\n")) != 2002 {
		t.Errorf("the file has %d bytes", len(whole))
	}
}

func TestRunCheckOfAHugeOutput(t *testing.T) {
	req := request(t, "head -c 104857600 /dev/zero | tr '\\0' x; echo; echo last")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := runCheck(t, req)
	runtime.ReadMemStats(&after)
	info, err := os.Stat(got.OutputFile)
	if err != nil || info.Size() != defaultMaxOutputFile {
		t.Errorf("got file %v, %v", info, err)
	}
	if len(got.Output) > req.OutputLimit || !strings.HasSuffix(got.Output, "last\n") || !strings.Contains(got.Output, "the output is 100.0 MiB") ||
		!strings.Contains(got.Output, "the first 64.0 MiB are in "+req.OutputFile+", the rest was not kept") {
		t.Errorf("got %q", got.Output)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("it took %s of memory", size(int64(used)))
	}
}

func TestRunCheckOfBinaryOutput(t *testing.T) {
	req := request(t, `printf 'a\000\000b\377\376c'`)
	if got := runCheck(t, req); got.Output != "a�b�c" || got.OutputFile != "" {
		t.Errorf("got %q", got.Output)
	}
	// What grows beyond the limit by being made text is cut as well.
	req = request(t, `i=0; while [ $i -lt 1500 ]; do printf 'x\377'; i=$((i+1)); done`)
	got := runCheck(t, req)
	if !utf8.ValidString(got.Output) || len(got.Output) > req.OutputLimit || got.OutputFile != req.OutputFile {
		t.Errorf("got %d bytes, file %q", len(got.Output), got.OutputFile)
	}
	if whole, err := os.ReadFile(req.OutputFile); err != nil || !bytes.Equal(whole, bytes.Repeat([]byte("x\xff"), 1500)) {
		t.Errorf("the file is not what was printed: %d bytes, %v", len(whole), err)
	}
}

func TestRunCheckSaysWhenTheFileCannotBeWritten(t *testing.T) {
	req := request(t, "head -c 10000 /dev/zero | tr '\\0' x")
	req.OutputFile = filepath.Join(req.Workspace, "file", "out.txt")
	if err := os.WriteFile(filepath.Join(req.Workspace, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCheck(t, req)
	if got.Reason != workflow.ReasonPassed || got.OutputFile != "" || !strings.Contains(got.Output, "it could not be written to a file") {
		t.Errorf("got %+v", got)
	}
}

// TestOutputIsAlwaysTextWithinItsLimit cuts everywhere.
func TestOutputIsAlwaysTextWithinItsLimit(t *testing.T) {
	text := strings.Repeat("aé€😀\n\x00\xff", 40)
	for limit := 1; limit < len(text)+10; limit++ {
		o := newOutput(limit, "", 0)
		for i := range len(text) {
			o.write([]byte(text[i : i+1]))
		}
		got, file := o.finish()
		if len(got) > limit || !utf8.ValidString(got) || strings.Contains(got, "\x00") || file != "" {
			t.Fatalf("limit %d: %d bytes, %q", limit, len(got), got)
		}
		if limit > 120 && limit < len(clean([]byte(text))) && !strings.Contains(got, "the middle is left out") {
			t.Fatalf("limit %d: no note in %q", limit, got)
		}
	}
}
