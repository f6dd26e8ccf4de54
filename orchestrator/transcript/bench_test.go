package transcript

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// cpuTime is what this process has used.
func cpuTime(tb testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// chunks are pieces of text as models send them.
func chunks() []string {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reliability.md"))
	if err != nil {
		panic(err)
	}
	var out []string
	for len(text) > 12 {
		out, text = append(out, string(text[:12])), text[12:]
	}
	return out
}

// BenchmarkStream has 200 turns stream 50 chunks a second each, for five seconds,
// and fails where one is missing. cpu-ms/10k-chunks is all that it takes, the
// timers of the benchmark included.
func BenchmarkStream(b *testing.B) {
	const turns, perTurn, every = 200, 250, 20 * time.Millisecond
	pieces := chunks()
	for b.Loop() {
		dir := b.TempDir()
		f := newFiles(b, dir)
		before := cpuTime(b)
		var running sync.WaitGroup
		for turn := range turns {
			running.Go(func() {
				tr := f.Begin(start(fmt.Sprint("T", turn), 1))
				ticker := time.NewTicker(every)
				defer ticker.Stop()
				for i := range perTurn {
					<-ticker.C
					tr.Add(engine.Progress{Kind: engine.ProgressText, Text: pieces[(turn+i)%len(pieces)]})
					if i%50 == 0 {
						tr.Add(engine.Progress{Kind: engine.ProgressTool, Tool: "Bash", Input: `{"command":"go test ./..."}`})
					}
				}
				tr.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
			})
		}
		running.Wait()
		closeFiles(b, f)
		used := cpuTime(b) - before
		var kept, size int64
		for turn := range turns {
			for _, r := range told(b, dir, fmt.Sprint("T", turn), 1) {
				if r.Type == Text {
					kept += int64(max(r.Pieces, 1))
				}
			}
			list, err := List(dir, fmt.Sprint("T", turn))
			if err != nil {
				b.Fatal(err)
			}
			size += list[0].Size
		}
		if kept != turns*perTurn {
			b.Fatalf("%d of %d chunks are kept", kept, turns*perTurn)
		}
		b.ReportMetric(float64(used.Microseconds())/1000/(turns*perTurn)*10_000, "cpu-ms/10k-chunks")
		b.ReportMetric(float64(size)/turns/perTurn, "disk-bytes/chunk")
	}
}

// BenchmarkAdd is what a turn waits for a chunk to be taken.
func BenchmarkAdd(b *testing.B) {
	f := newFiles(b, b.TempDir())
	tr := f.Begin(start("T", 1))
	p := engine.Progress{Kind: engine.ProgressText, Text: "twelve bytes"}
	b.ReportAllocs()
	for b.Loop() {
		tr.Add(p)
	}
	tr.Close(nil)
}

// BenchmarkMemory is what 1,000 running turns take that have just streamed.
func BenchmarkMemory(b *testing.B) {
	const turns = 1000
	for b.Loop() {
		f := newFiles(b, b.TempDir())
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var all []engine.Transcript
		for turn := range turns {
			tr := f.Begin(start(fmt.Sprint("T", turn), 1))
			for range 25 { // half a second
				tr.Add(engine.Progress{Kind: engine.ProgressText, Text: "twelve bytes"})
			}
			all = append(all, tr)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-min(before.HeapInuse, after.HeapInuse))/turns, "heap-bytes/turn")
		flushed(f)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-min(before.HeapInuse, after.HeapInuse))/turns, "heap-bytes/idle-turn")
		for _, tr := range all {
			tr.Close(nil)
		}
		closeFiles(b, f)
	}
}

// BenchmarkShortTurns is what a task of three short turns takes, each of which is
// taken up, written and closed before the next, as with a model that answers at
// once. cpu-µs/task is that of all threads, the time in the system included.
func BenchmarkShortTurns(b *testing.B) {
	f := newFiles(b, b.TempDir())
	before, tasks := cpuTime(b), 0
	for b.Loop() {
		task := fmt.Sprint("T", tasks)
		tasks++
		for turn := 1; turn <= 3; turn++ {
			tr := f.Begin(start(task, turn))
			tr.Add(engine.Progress{Kind: engine.ProgressText, Text: "It is done, and this is what I have to say about it."})
			tr.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
			flushed(f)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-before)/time.Duration(tasks))/1000, "cpu-µs/task")
}
