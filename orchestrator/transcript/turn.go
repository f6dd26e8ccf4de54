package transcript

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// key names an attempt of any task.
type key struct {
	task string
	attempt
}

// turn collects the records of one attempt until they are written.
type turn struct {
	files *Files
	key   key
	file  *taskFile

	mu      sync.Mutex
	pending []byte // JSON Lines
	// open is text whose further pieces may follow; it is not in pending yet.
	open     Record
	openText strings.Builder
	// lost is what did not find room while the disk was too slow or failed.
	lost loss
	// queued says that the writer knows that there is something to write.
	queued bool
	// users counts Begin without Close; without any, and with nothing to write, the attempt is forgotten.
	users int

	// over says that a limit is reached; the writer sets it.
	over atomic.Bool

	// What follows belongs to the writer alone.
	limit   string // which limit is reached
	cut     loss   // what was left out because of it
	failed  bool   // the last write failed, which was logged
	missing loss   // what could not be written, for as long as it has failed
}

// loss counts what is left out.
type loss struct {
	records, bytes int64
	why            string
}

func (l *loss) add(records, bytes int64, why string) {
	l.records, l.bytes, l.why = l.records+records, l.bytes+bytes, why
}

func (l loss) record(of attempt) Record {
	return Record{At: now(), Type: Cut, Turn: of.turn, Attempt: of.number, Text: l.why, Records: l.records, Bytes: l.bytes}
}

func now() time.Time { return time.Now().UTC() }

// Add implements engine.Transcript.
func (t *turn) Add(p engine.Progress) {
	if r := recordOf(p); r.Type != "" {
		t.add(r)
	}
}

// urgent are records after which people wait, so that what is known is to be seen.
func urgent(of Type) bool {
	return of == ToolCall || of == Question || of == End || of == Found || of == Approval
}

func (t *turn) add(r Record) {
	r.At, r.Turn, r.Attempt = now(), t.key.turn, t.key.number
	t.mu.Lock()
	defer t.mu.Unlock()
	if streams(r.Type) {
		if t.over.Load() {
			t.lost.add(1, int64(len(r.Text)), "")
			t.queue(false)
			return
		}
		if t.openText.Len() > 0 && (t.open.Type != r.Type || t.open.Subagent != r.Subagent || t.openText.Len() >= maxOpen) {
			t.closeText()
		}
		if !t.room(int64(len(r.Text))) {
			return
		}
		if t.openText.Len() == 0 {
			t.open = r
			t.open.Pieces = 0
		}
		t.open.Pieces++
		t.openText.WriteString(r.Text)
		t.files.held.Add(int64(len(r.Text)))
		t.queue(false)
		return
	}
	t.closeText()
	r.shorten(t.files.o.maxRecord)
	if !t.room(int64(len(r.Text) + len(r.Input) + len(r.Error))) {
		return
	}
	before := len(t.pending)
	t.pending = r.append(t.pending)
	t.files.held.Add(int64(len(t.pending) - before))
	t.queue(urgent(r.Type))
}

// closeText makes a line of the open text. t.mu is held.
func (t *turn) closeText() {
	if t.openText.Len() == 0 {
		return
	}
	r := t.open
	r.Text = t.openText.String()
	if r.Pieces == 1 {
		r.Pieces = 0
	}
	before := len(t.pending) + len(r.Text)
	t.pending = r.append(t.pending)
	t.files.held.Add(int64(len(t.pending) - before))
	t.open, t.openText = Record{}, strings.Builder{}
}

// room is false where too much waits already. t.mu is held.
func (t *turn) room(bytes int64) bool {
	mine := int64(len(t.pending) + t.openText.Len())
	if mine > 0 && mine+bytes > maxHeldOfTurn || t.files.held.Load()+bytes > t.files.o.maxHeld {
		t.lost.add(1, bytes, "the disk was too slow")
		t.queue(false)
		return false
	}
	return true
}

// queue tells the writer. t.mu is held.
func (t *turn) queue(urgent bool) {
	if !t.queued {
		t.queued = true
		t.files.enqueue(t)
	}
	if len(t.pending) >= blockSize {
		wake(t.files.blocks)
	}
	if urgent {
		wake(t.files.awaited)
	}
}

// take returns what is to be written, and what is missing before it.
func (t *turn) take() (lines []byte, lost loss) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeText()
	lines, lost = t.pending, t.lost
	t.pending, t.lost, t.queued = nil, loss{}, false
	t.files.held.Add(-int64(len(lines)))
	return lines, lost
}

// Close implements engine.Transcript.
func (t *turn) Close(end workflow.EventBody) {
	switch e := end.(type) {
	case workflow.TurnFinished:
		t.add(Record{
			Type: End, Reason: e.Reason, Outcome: e.Outcome, Error: e.Error, Usage: e.Usage, Model: e.Model, Cost: e.Cost, Unpriced: e.Unpriced,
			OutputFile: e.OutputFile, ExitCode: e.ExitCode,
		})
	case workflow.TurnReconciled:
		t.add(Record{Type: Found, Status: string(e.Finding), Error: e.Detail, Text: e.Output, Usage: e.Usage, Model: e.Model, Cost: e.Cost, Unpriced: e.Unpriced, OutputFile: e.OutputFile})
	}
	t.files.release(t)
}

// recordOf is what is kept of an observation.
func recordOf(p engine.Progress) Record {
	r := Record{Subagent: p.Subagent, Text: p.Text, Call: p.Call, Tool: p.Tool, Argument: p.Argument, Input: p.Input}
	switch p.Kind {
	case engine.ProgressText:
		r.Type = Text
	case engine.ProgressThinking:
		r.Type = Thinking
	case engine.ProgressTool, engine.ProgressToolCall:
		r.Type = ToolCall
	case engine.ProgressToolDone: // ProgressToolReturn says it, too
	case engine.ProgressToolReturn:
		r.Type, r.Status = ToolReturn, p.Status
	case engine.ProgressUsage:
		r.Type, r.Usage = Usage, p.Usage
	case engine.ProgressRetry:
		r.Type = Retry
	case engine.ProgressApproval:
		r.Type = Approval
	case engine.ProgressQuestion:
		r.Type = Question
	case engine.ProgressAnswer:
		r.Type = Answer
	case engine.ProgressBlocked, engine.ProgressReconcile:
		r.Type = Contact
	case engine.ProgressOutput:
		r.Type = Output
	case engine.ProgressStop:
		r.Type = Stop
	case engine.ProgressStatus:
		r.Type = Status
	}
	return r
}
