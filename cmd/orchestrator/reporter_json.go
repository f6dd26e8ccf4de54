package main

import (
	"encoding/json"
	"io"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// jsonReporter writes every committed event as one JSON line to progress (the
// standard error) and one summary, the last line, to out.
type jsonReporter struct {
	out    io.Writer
	events io.Writer
	story  story
	state  func() workflow.TaskState
}

func (r *jsonReporter) begin(_ *workflow.Team, earlier []store.Record) {
	for _, rec := range earlier {
		r.record(rec)
	}
}

func (r *jsonReporter) record(rec store.Record) {
	r.story.apply(rec.Event, rec.Effects)
	writeJSONLine(r.events, recordLine{rec.Task, rec.Seq, rec.Event, rec.Effects})
}

func (r *jsonReporter) progress(int, string, engine.Progress) {}

func (r *jsonReporter) note(text string) {
	writeJSONLine(r.events, map[string]string{"note": text})
}

func (r *jsonReporter) end(string) { writeJSONLine(r.out, summarize(&r.story, r.state())) }

// recordLine is the public form of a journal entry.
type recordLine struct {
	Task    string           `json:"task"`
	Seq     int64            `json:"seq"`
	Event   workflow.Event   `json:"event"`
	Effects workflow.Effects `json:"effects"`
}

// summary is the last line of `run --json`.
type summary struct {
	Task     string             `json:"task"`
	State    workflow.TaskState `json:"state"`
	Turns    int                `json:"turns"`
	Handoffs []summaryHandoff   `json:"handoffs"`
	Tokens   int64              `json:"tokens"`
	// Explanation is one sentence; empty while the task has not ended.
	Explanation string `json:"explanation"`
}

type summaryHandoff struct {
	From   string          `json:"from"`
	Reason workflow.Reason `json:"reason"`
	Rule   int             `json:"rule"`
	To     string          `json:"to"`
	Retry  bool            `json:"retry,omitempty"`
}

func summarize(s *story, state workflow.TaskState) summary {
	out := summary{Task: s.Task, State: state, Turns: s.sent(), Handoffs: []summaryHandoff{}, Tokens: s.Usage.TotalTokens}
	for _, st := range s.Steps {
		if h := st.Handoff; h != nil {
			out.Handoffs = append(out.Handoffs, summaryHandoff{h.From, h.Reason, h.Rule, h.To, h.Retry})
		}
	}
	if s.Result != nil {
		out.State, out.Explanation = s.Result.State, s.Result.Explanation
	}
	return out
}

func writeJSONLine(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// Every value here is one of this package and can be encoded; a stream
	// that does not take it has nobody left to tell.
	_ = enc.Encode(v)
}
