package transcript

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("TRANSCRIPT_TEST_DIR"); dir != "" {
		writeForEver(dir)
	}
	goleak.VerifyTestMain(m)
}

func newFiles(t testing.TB, dir string, change ...func(*Options)) *Files {
	t.Helper()
	o := Options{Dir: dir, Log: zerolog.New(io.Discard)}
	for _, c := range change {
		c(&o)
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFiles(t, f) })
	return f
}

func closeFiles(t testing.TB, f *Files) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func start(task string, turn int) engine.TranscriptStart {
	return engine.TranscriptStart{Task: task, Turn: turn, Attempt: 1, Node: "coder", Kind: workflow.KindAgent, Model: "m", Prompt: "do it"}
}

// told are the records of a turn's first attempt that are written.
func told(t testing.TB, dir, task string, turn int) []Record {
	t.Helper()
	r := newReader(dir, task)
	defer r.close()
	blocks, err := r.more(func(a attempt) bool { return a == attempt{turn, 1} })
	if err != nil {
		t.Fatal(err)
	}
	var out []Record
	for _, b := range blocks {
		if err := r.tell(b, func(record Record) error {
			out = append(out, record)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// kinds are the types of records, with their texts.
func kinds(records []Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s%s%s%s", r.Type, r.Tool, r.Text, r.Input, r.Reason)))
	}
	return out
}

func TestStreamOfATurnIsKept(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir)
	tr := f.Begin(start("T", 1))
	for _, p := range []engine.Progress{
		{Kind: engine.ProgressThinking, Text: "hm"},
		{Kind: engine.ProgressText, Text: "I "}, {Kind: engine.ProgressText, Text: "look"},
		{Kind: engine.ProgressTool, Tool: "Read", Argument: "a.go", Call: "c1", Input: `{"file_path":"a.go"}`},
		{Kind: engine.ProgressToolDone, Tool: "Read", Text: "success"},
		{Kind: engine.ProgressToolReturn, Tool: "Read", Call: "c1", Text: "package a", Status: "success"},
		{Kind: engine.ProgressApproval, Tool: "Write", Text: "denied"},
		{Kind: engine.ProgressRetry, Text: "again"},
		{Kind: engine.ProgressUsage, Usage: workflow.Usage{TotalTokens: 7}},
		{Kind: engine.ProgressText, Subagent: "s", Text: "below"},
		{Kind: engine.ProgressText, Text: "done"},
	} {
		tr.Add(p)
	}
	tr.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Usage: workflow.Usage{TotalTokens: 7}, Cost: 5})
	closeFiles(t, f)
	records := told(t, dir, "T", 1)
	want := []string{
		"begin", "prompt do it", "thinking hm", "text I look", `tool_call Read{"file_path":"a.go"}`, "tool_return Readpackage a", "approval Writedenied",
		"retry again", "usage", "text below", "text done", "end end_turn",
	}
	if diff := cmp.Diff(want, kinds(records)); diff != "" {
		t.Error(diff)
	}
	end := records[len(records)-1]
	if diff := cmp.Diff(Record{Type: End, Turn: 1, Attempt: 1, Reason: "end_turn", Usage: workflow.Usage{TotalTokens: 7}, Cost: 5}, end, cmpopts.IgnoreFields(Record{}, "At")); diff != "" {
		t.Error(diff)
	}
	if records[3].Pieces != 2 || records[9].Subagent != "s" || records[5].Call != "c1" {
		t.Errorf("pieces, subagent, call: %+v", records)
	}
}

// What a turn has said is there after a while, as it runs, and soon at a tool call.
func TestTranscriptCanBeReadWhileItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newFiles(t, dir)
		defer closeFiles(t, f)
		tr := f.Begin(start("T", 1))
		tr.Add(engine.Progress{Kind: engine.ProgressText, Text: "first"})
		<-time.After(time.Second) // by the clock of the bubble
		synctest.Wait()
		if got := kinds(told(t, dir, "T", 1)); got[len(got)-1] != "text first" {
			t.Errorf("after a second: %v", got)
		}
		tr.Add(engine.Progress{Kind: engine.ProgressTool, Tool: "Bash"})
		<-time.After(soon)
		synctest.Wait()
		if got := kinds(told(t, dir, "T", 1)); got[len(got)-1] != "tool_call Bash" {
			t.Errorf("after the tool call: %v", got)
		}
		tr.Close(nil)
	})
}

// Turns of a task that end within a short time are written to one open file, and a
// whole block does not wait for that time.
func TestWhatEndsTogetherIsWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, opened := t.TempDir(), map[string]int{}
		f := newFiles(t, dir, func(o *Options) {
			o.open = func(name string) (file, error) {
				opened[name]++
				return os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
			}
		})
		defer closeFiles(t, f)
		<-time.After(soon) // after the start
		for turn := range 3 {
			for _, task := range []string{"A", "B"} {
				f.Begin(start(task, turn+1)).Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
			}
		}
		<-time.After(soon)
		synctest.Wait()
		for _, task := range []string{"A", "B"} {
			if n := opened[fileOf(dir, task)]; n != 1 {
				t.Errorf("the file of %s was opened %d times", task, n)
			}
			for turn := range 3 {
				if got := kinds(told(t, dir, task, turn+1)); len(got) != 3 {
					t.Errorf("%s: %v", task, got)
				}
			}
		}
		tr := f.Begin(start("C", 1))
		tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: random(1, blockSize)})
		synctest.Wait()
		if got := kinds(told(t, dir, "C", 1)); len(got) != 3 {
			t.Errorf("a whole block waits: %v", got)
		}
		tr.Close(nil)
	})
}

// An attempt that is taken up again goes on in its file, behind what is whole of it.
func TestTornEndIsCutOffAndSaid(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir)
	f.Begin(start("T", 1)).Close(nil)
	closeFiles(t, f)
	name := fileOf(dir, "T")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 7, headerSize, headerSize + 5, len(whole) - 1} {
		if err := os.WriteFile(name, append(append([]byte{}, whole...), whole[:n]...), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := kinds(told(t, dir, "T", 1)); !cmp.Equal(got, []string{"begin", "prompt do it"}) {
			t.Errorf("torn after %d bytes: %v", n, got)
		}
		var torn []string
		if err := Stream(t.Context(), dir, "T", Selection{}, nil, func(r Record) error {
			torn = append(torn, string(r.Type))
			return nil
		}, nil); err != nil || torn[len(torn)-1] != "cut" {
			t.Errorf("streamed: %v, %v", torn, err)
		}
		f := newFiles(t, dir)
		f.Begin(start("T", 1)).Close(workflow.TurnReconciled{Finding: workflow.FindingFinished, Output: "out"})
		closeFiles(t, f)
		want := []string{"begin", "prompt do it", "cut the end of what was written before is torn", "begin", "prompt do it", "found out"}
		if diff := cmp.Diff(want, kinds(told(t, dir, "T", 1))); diff != "" {
			t.Errorf("torn after %d bytes:\n%s", n, diff)
		}
	}
}

// What is damaged in the middle does not hide what follows.
func TestDamageIsSkippedAndSaid(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		f := newFiles(t, dir)
		f.Begin(start("T", 1)).Close(nil)
		closeFiles(t, f)
	}
	name := fileOf(dir, "T")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xff
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got := kinds(told(t, dir, "T", 1))
	if len(got) != 5 || got[2] != "cut the file is damaged here" || got[4] != "prompt do it" {
		t.Errorf("%v", got)
	}
}

func TestTranscriptIsBounded(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir, func(o *Options) { o.MaxPerTurn = 2000; o.maxRecord = 10_000 })
	tr := f.Begin(start("T", 1))
	for i := range 100 {
		tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: random(i, 3000)})
		wake(f.blocks)
	}
	tr.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
	closeFiles(t, f)
	records := told(t, dir, "T", 1)
	last, cut := records[len(records)-1], records[len(records)-2]
	if last.Type != End || cut.Type != Cut || cut.Records == 0 || cut.Text != "the transcript is longer than 2000 bytes" {
		t.Errorf("%+v\n%+v", cut, last)
	}
	if info, err := os.Stat(fileOf(dir, "T")); err != nil || info.Size() > 2500 {
		t.Errorf("%v, %v", info.Size(), err)
	}
	// One text alone is bounded, too, between characters.
	tr = f.Begin(start("T", 2)) // after Close: it is dropped, and nothing happens
	tr.Close(nil)
	r := Record{Text: strings.Repeat("ä", 10)}
	if r.shorten(5); r.Text != "ää" || r.Bytes != 16 {
		t.Errorf("shortened: %+v", r)
	}
}

// random is a text that cannot be compressed much.
func random(seed, n int) string {
	var b strings.Builder
	x := uint64(seed)*2654435761 + 88172645463325252
	for b.Len() < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()[:n]
}

// fullDisk takes nothing for a while, or a part.
type fullDisk struct {
	*os.File
	full *sync.Mutex
	on   *bool
}

func (d fullDisk) Write(p []byte) (int, error) {
	d.full.Lock()
	defer d.full.Unlock()
	if *d.on {
		n, _ := d.File.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return d.File.Write(p)
}

// A full disk loses the transcript for as long as it is full, says so, and holds up nobody.
func TestFullDiskLosesAPartAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	full := false
	set := func(v bool) {
		mu.Lock()
		defer mu.Unlock()
		full = v
	}
	var log strings.Builder
	f := newFiles(t, dir, func(o *Options) {
		o.Log = zerolog.New(&log)
		o.open = func(name string) (file, error) {
			real, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
			return fullDisk{real, &mu, &full}, err
		}
	})
	tr := f.Begin(start("T", 1))
	flushed(f)
	set(true)
	tr.Add(engine.Progress{Kind: engine.ProgressText, Text: "lost"})
	flushed(f)
	tr.Add(engine.Progress{Kind: engine.ProgressText, Text: "lost, too"})
	flushed(f)
	set(false)
	tr.Add(engine.Progress{Kind: engine.ProgressText, Text: "kept"})
	tr.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
	closeFiles(t, f)
	records := told(t, dir, "T", 1)
	got := kinds(records)
	want := []string{"begin", "prompt do it", "cut write the transcript: no space left on device", "text kept", "end end_turn"}
	if diff := cmp.Diff(want, got); diff != "" || records[2].Records != 2 {
		t.Errorf("%s\n%+v", diff, records[2])
	}
	if n := strings.Count(log.String(), "a part of the transcript is lost"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

// flushed waits until all that waits is written, or lost.
func flushed(f *Files) {
	written := make(chan struct{})
	f.flushes <- written
	<-written
}

// A disk that takes nothing does not hold up a turn, nor Close for ever.
func TestSlowDiskHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, stuck := t.TempDir(), make(chan struct{})
		f, err := New(Options{Dir: dir, Log: zerolog.Nop(), maxHeld: 10_000, open: func(name string) (file, error) {
			<-stuck
			return os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		}})
		if err != nil {
			t.Fatal(err)
		}
		tr := f.Begin(start("T", 1))
		for i := range 1000 {
			tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: random(i, 100)})
			if i == 10 {
				wake(f.blocks)
				synctest.Wait()
			}
		}
		if held := f.held.Load(); held > 30_000 {
			t.Errorf("%d bytes are held", held)
		}
		tr.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
		if err := f.Close(); err == nil {
			t.Error("Close has not said that the disk is stuck")
		}
		close(stuck)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		cut := false
		for _, r := range told(t, dir, "T", 1) {
			cut = cut || r.Type == Cut && r.Text == "the disk was too slow" && r.Records > 100
		}
		if !cut {
			t.Errorf("nothing says what is missing: %v", kinds(told(t, dir, "T", 1)))
		}
	})
}

// writeForEver is a process that is killed.
func writeForEver(dir string) {
	f, err := New(Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	tr := f.Begin(start("T", 1))
	for i := 0; ; i++ {
		tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: fmt.Sprint(i)})
		tr.Add(engine.Progress{Kind: engine.ProgressTool, Tool: "Bash", Text: random(i, 200)})
		if i == 50 {
			_, _ = os.Stdout.WriteString("running\n")
		}
		if i > 50 {
			<-time.After(time.Millisecond) // it is another process, which waits to be killed
		}
	}
}

func TestKilledProcessLeavesWhatItWrote(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "TRANSCRIPT_TEST_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if list, err := List(dir, "T"); err == nil && len(list) == 1 && len(told(t, dir, "T", 1)) >= 10 {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		records := told(t, dir, "T", 1)
		if len(records) < 10 {
			t.Fatalf("%d records", len(records))
		}
		next := 0
		for _, r := range records {
			if r.Type == Status {
				if r.Text != fmt.Sprint(next) {
					t.Fatalf("%s after %d", r.Text, next-1)
				}
				next++
			}
		}
		f := newFiles(t, dir) // and whoever goes on with it can
		f.Begin(start("T", 1)).Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
		closeFiles(t, f)
		if again := told(t, dir, "T", 1); again[len(again)-1].Type != End {
			t.Errorf("taken up again: %v", kinds(again[len(records):]))
		}
	}
}

func TestOldestIsRemovedWhereThereIsTooMuch(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir, func(o *Options) { o.MaxTotal = 6000 })
	for i := range 5 {
		tr := f.Begin(start(fmt.Sprint("T", i), 1))
		tr.Add(engine.Progress{Kind: engine.ProgressStatus, Text: random(i, 4000)})
		tr.Close(nil)
		flushed(f)
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(fileOf(dir, fmt.Sprint("T", i)), old, old); err != nil && i < 4 {
			t.Fatal(err)
		}
	}
	closeFiles(t, f)
	if list, err := List(dir, "T0"); err != nil || len(list) != 0 {
		t.Errorf("the oldest is there: %v, %v", list, err)
	}
	if list, err := List(dir, "T4"); err != nil || len(list) != 1 {
		t.Errorf("the youngest is gone: %v, %v", list, err)
	}
	removed, err := RemoveBefore(dir, time.Now().Add(time.Hour), f)
	if files, left := all(dir); err != nil || removed == 0 || len(files) != 0 || left != nil {
		t.Errorf("%d removed, %v; left %v, %v", removed, err, files, left)
	}
}

// over says when a task is over.
type over func() bool

func (o over) Over(context.Context, Selection) (bool, error) { return o(), nil }

func TestFollowTellsWhatComesUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newFiles(t, dir)
		defer closeFiles(t, f)
		var mu sync.Mutex
		var got []string
		ended := false
		done := make(chan error, 1)
		go func() {
			done <- Stream(t.Context(), dir, "T", Selection{Follow: true}, over(func() bool {
				mu.Lock()
				defer mu.Unlock()
				return ended
			}), func(r Record) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%d %s %s", r.Turn, r.Type, r.Text))
				return nil
			}, nil)
		}()
		<-time.After(time.Minute) // by the clock of the bubble: nothing is there yet
		a, b := f.Begin(start("T", 1)), f.Begin(start("T", 2))
		a.Add(engine.Progress{Kind: engine.ProgressText, Text: "x"})
		<-time.After(time.Second)
		b.Add(engine.Progress{Kind: engine.ProgressText, Text: "y"})
		b.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
		<-time.After(time.Second)
		a.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
		mu.Lock()
		ended = true
		mu.Unlock()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"1 begin ", "1 prompt do it", "1 text x", "2 begin ", "2 prompt do it", "2 text y", "2 end ", "1 end "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNoTranscript(t *testing.T) {
	for _, task := range []string{"T", "../T", "", "."} {
		if err := Stream(t.Context(), t.TempDir(), task, Selection{}, nil, func(Record) error { return nil }, nil); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", task, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	e, err := newEncoder()
	if err != nil {
		f.Fatal(err)
	}
	block := e.block(nil, attempt{1, 1}, Record{Type: Text, Text: "hello"}.append(nil))
	f.Add(block)
	f.Add(append(block[:len(block):len(block)], block[:7]...))
	f.Add(append([]byte("garbage"), block...))
	f.Add(append(block[:headerSize:headerSize], block...))
	f.Add(e.block(block[:len(block):len(block)], attempt{2, 1}, Record{Type: Text, Text: "other"}.append(nil)))
	f.Add(append(current.mark[:len(current.mark):len(current.mark)], block...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		name := fileOf(dir, "T")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(told(t, dir, "T", 1)) // it ends, and does not panic
		if err := Stream(t.Context(), dir, "T", Selection{}, nil, func(Record) error { return nil }, nil); err != nil && !errors.Is(err, ErrNone) {
			t.Error(err)
		}
		w, err := New(Options{Dir: dir, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		w.Begin(start("T", 1)).Close(workflow.TurnFinished{Reason: "mine"})
		closeFiles(t, w)
		after := told(t, dir, "T", 1)
		if len(after) <= before || after[len(after)-1].Reason != "mine" {
			t.Errorf("what was added is not there: %v", kinds(after))
		}
	})
}
