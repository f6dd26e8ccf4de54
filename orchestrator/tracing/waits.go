package tracing

import (
	"cmp"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// waits knows since when turns wait for a time or a person, which no state says.
// Of those that began before the daemon did, the state says it nearly.
type waits struct {
	mu    sync.Mutex
	since map[waitKey]time.Time
}

type waitKey struct {
	task          string
	turn, attempt int
}

func newWaits() waits { return waits{since: map[waitKey]time.Time{}} }

// waitingFor says what a turn waits for; empty when for nothing.
func waitingFor(turn workflow.Turn, now time.Time) string {
	switch {
	case turn.State != workflow.TurnPending:
		return ""
	case turn.Kind == workflow.KindGate:
		return "person"
	case turn.NotBefore.After(now):
		return "timer"
	}
	return ""
}

// waited makes the spans of waits that a decision has ended.
func (t *Tracer) waited(d engine.Decision) {
	for _, turn := range d.Prev.Turns {
		what := waitingFor(turn, d.Prev.Updated)
		if what == "" {
			continue
		}
		key := waitKey{d.Next.Task, turn.ID, turn.Attempt}
		if after, ok := turnOf(d.Next, turn.ID); ok && after.Attempt == turn.Attempt && waitingFor(after, d.Event.At) == what && !d.Next.Status.Terminal() {
			continue
		}
		start, known := t.waits.end(key)
		if !known {
			start = d.Prev.Updated
			if !d.Prev.WaitingSince.IsZero() {
				start = d.Prev.WaitingSince
			}
		}
		attributes := []attribute.KeyValue{attribute.String("orchestrator.node", turn.Node), attribute.Int("orchestrator.turn", turn.ID)}
		if b, ok := d.Event.Body.(workflow.GateAnswered); ok && b.Turn == turn.ID {
			attributes = append(attributes, attribute.Bool("orchestrator.gate.approved", b.Approved))
		}
		t.emit(span{
			state: d.Next, name: "wait_" + what + " " + turn.Node, id: spanOf(d.Next.Task, "wait", turn.ID, turn.Attempt),
			start: start, end: d.Event.At, attributes: attributes,
		})
	}
	for _, turn := range d.Next.Turns {
		if waitingFor(turn, d.Event.At) == "" || d.Next.Status.Terminal() {
			continue
		}
		if before, ok := turnOf(d.Prev, turn.ID); !ok || before.Attempt != turn.Attempt {
			t.waits.begin(waitKey{d.Next.Task, turn.ID, turn.Attempt}, d.Event.At)
		}
	}
	t.waitedForAnswers(d)
}

// waitedForAnswers makes the spans of questions that are not open any more, and of a pause that is over.
func (t *Tracer) waitedForAnswers(d engine.Decision) {
	open := map[int]bool{}
	for _, q := range d.Next.Questions {
		open[q.ID] = true
	}
	for _, q := range d.Prev.Questions {
		if open[q.ID] {
			continue
		}
		t.emit(span{
			state: d.Next, name: "wait_person question", id: spanOf(d.Next.Task, "question", q.ID), parent: turnSpan(d.Next.Task, q.Turn, q.Attempt),
			start: q.Asked, end: d.Event.At, attributes: []attribute.KeyValue{
				attribute.String("orchestrator.question", strconv.Itoa(q.ID)), attribute.String("orchestrator.question.kind", string(q.Kind)),
				attribute.String("orchestrator.question.tool", cmp.Or(q.Tool, "none")),
			},
		})
	}
	if p := d.Prev.Pause; p != nil && d.Next.Pause == nil {
		t.emit(span{
			state: d.Next, name: "wait_person paused", id: spanOf(d.Next.Task, "pause", p.At.UnixMicro()), start: p.At, end: d.Event.At,
			attributes: []attribute.KeyValue{attribute.String("orchestrator.pause.note", p.Note)},
		})
	}
}

func (w *waits) begin(key waitKey, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since[key] = at
}

func (w *waits) end(key waitKey) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.since[key]
	delete(w.since, key)
	return at, known
}
