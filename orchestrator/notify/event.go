package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxText bounds a text in a notification, in bytes.
const maxText = 4 << 10

// Event is the body of a notification, in the form that Standard Webhooks asks for.
type Event struct {
	// Type is approval.wanted, gate.opened, task.failed, task.paused, batch.done or test.
	Type string `json:"type"`
	// Timestamp is when it happened.
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

// Data is what happened.
type Data struct {
	// Text says it in one line.
	Text string `json:"text"`
	// Do is a command that answers it, or shows more.
	Do       string `json:"do,omitempty"`
	Task     string `json:"task,omitempty"`
	Team     string `json:"team,omitempty"`
	Batch    string `json:"batch,omitempty"`
	Schedule string `json:"schedule,omitempty"`
	// Node is the node that asks, or that the task failed at.
	Node string `json:"node,omitempty"`
	// Turn is the turn of a gate, and Question the number of a question.
	Turn     int `json:"turn,omitempty"`
	Question int `json:"question,omitempty"`
	// Detail is what is asked, or why the task failed. Long ones are cut.
	Detail string `json:"detail,omitempty"`
	// Tool and Argument are what an approval is asked for.
	Tool     string    `json:"tool,omitempty"`
	Argument string    `json:"argument,omitempty"`
	Choices  []string  `json:"choices,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	// Report is what is told of a batch.
	Report any `json:"report,omitempty"`
}

// eventOf makes what is told of a notice; nil when nothing is, because it was
// answered meanwhile, or its task is gone.
func eventOf(ctx context.Context, in Store, n store.Notice) (*Event, error) {
	if n.Task == "" {
		e := &Event{Type: "batch.done", Timestamp: n.At, Data: Data{Text: "a batch is done", Report: n.Data}}
		var batch struct{ Batch, Text string }
		if json.Unmarshal(n.Data, &batch) == nil && batch.Batch != "" {
			e.Data.Batch, e.Data.Text, e.Data.Do = batch.Batch, "batch "+batch.Batch+" is done", "orchestrator batch show "+batch.Batch
			if batch.Text != "" {
				e.Data.Text = batch.Text
			}
		}
		return e, nil
	}
	state, err := in.Task(ctx, n.Task)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnreadable) {
		return nil, nil //nolint:nilnil // there is nothing to tell, and that is no error
	}
	if err != nil {
		return nil, err
	}
	e := &Event{Timestamp: n.At, Data: Data{Task: state.Task, Team: state.Team, Batch: state.Batch, Schedule: state.Schedule}}
	switch {
	case n.Kind == store.NoticeApproval && e.approval(state, n.Ref):
	case n.Kind == store.NoticeGate && e.gate(state, n.Ref):
	case n.Kind == store.NoticeFailed && e.failed(state):
	case n.Kind == store.NoticePaused && e.paused(state):
	default:
		return nil, nil //nolint:nilnil // as above
	}
	return e, nil
}

func (e *Event) approval(state workflow.State, question int) bool {
	i := slices.IndexFunc(state.Questions, func(q workflow.Question) bool { return q.ID == question })
	if i < 0 {
		return false
	}
	q, d := state.Questions[i], &e.Data
	e.Type = "approval.wanted"
	d.Question, d.Detail, d.Choices, d.Expires = q.ID, cut(q.Text), q.Choices, q.Expires
	d.Tool, d.Argument = q.Tool, cut(q.Argument)
	if t := slices.IndexFunc(state.Turns, func(t workflow.Turn) bool { return t.ID == q.Turn }); t >= 0 {
		d.Node = state.Turns[t].Node
	}
	d.Text = fmt.Sprintf("%s: %s asks a person", state.Team, d.Node)
	if q.Tool != "" {
		d.Text = fmt.Sprintf("%s: %s asks to use %s", state.Team, d.Node, q.Tool)
	}
	d.Do = "orchestrator show " + state.Task
	return true
}

func (e *Event) gate(state workflow.State, turn int) bool {
	i := slices.IndexFunc(state.Turns, func(t workflow.Turn) bool { return t.ID == turn && t.Kind == workflow.KindGate })
	if i < 0 || state.Status.Terminal() {
		return false
	}
	t, d := state.Turns[i], &e.Data
	e.Type = "gate.opened"
	d.Node, d.Turn, d.Detail, d.Expires = t.Node, t.ID, cut(t.Message), t.Expires
	d.Text = fmt.Sprintf("%s: gate %s is open", state.Team, t.Node)
	d.Do = fmt.Sprintf("orchestrator approve %s %s", state.Task, t.Node)
	return true
}

func (e *Event) failed(state workflow.State) bool {
	if state.Result == nil {
		return false
	}
	e.Type = "task.failed"
	e.Data.Node, e.Data.Detail = state.Result.Node, cut(state.Result.Explanation)
	e.Data.Text = "a task of " + state.Team + " failed"
	e.Data.Do = "orchestrator show " + state.Task
	return true
}

func (e *Event) paused(state workflow.State) bool {
	if state.Status != workflow.TaskPaused || state.Pause == nil || !state.Pause.At.Equal(e.Timestamp) {
		return false // somebody has gone on with it
	}
	e.Type = "task.paused"
	e.Data.Detail = cut(state.Pause.Note)
	e.Data.Text = "a task of " + state.Team + " has reached a limit and is paused"
	e.Data.Do = "orchestrator resume " + state.Task
	return true
}

// cut shortens a text at the boundary of a character.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + " …"
}
