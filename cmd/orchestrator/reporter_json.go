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
	lines  timeline
	state  func() workflow.TaskState
}

func (r *jsonReporter) begin(team *workflow.Team, earlier []store.Record) {
	r.lines.story.team, r.lines.children = team, map[string]*childStory{}
	for _, rec := range earlier {
		r.record(rec)
	}
}

func (r *jsonReporter) record(rec store.Record) {
	s, _ := r.lines.of(rec)
	s.apply(rec.Event, rec.Effects)
	writeJSONLine(r.events, recordLine{rec.Task, rec.Seq, rec.Event, rec.Effects})
}

func (r *jsonReporter) progress(string, int, string, engine.Progress) {}

func (r *jsonReporter) asks([]ask) {}

func (r *jsonReporter) note(text string) {
	writeJSONLine(r.events, map[string]string{"note": text})
}

func (r *jsonReporter) end(last ending) {
	out := summarize(&r.lines.story, r.state())
	if last.waits != nil {
		out.WaitsFor, out.Paused = last.waits.asks, last.waits.paused
	}
	writeJSONLine(r.out, out)
}

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
	// Cost is in US dollars: what is known of it. It is left out where nothing is
	// known, and incomplete where Unpriced names models without a price.
	Cost     *float64 `json:"cost,omitempty"`
	Unpriced []string `json:"unpriced,omitempty"`
	// WaitsFor is what people are asked, where the run ended because of it.
	WaitsFor []ask `json:"waits_for,omitempty"`
	// Paused are the tasks that are paused: this one, or one of a sub-team.
	Paused []pausedTask `json:"paused,omitempty"`
}

type summaryHandoff struct {
	From   string          `json:"from"`
	Reason workflow.Reason `json:"reason"`
	Rule   int             `json:"rule"`
	To     string          `json:"to"`
	Retry  bool            `json:"retry,omitempty"`
	Branch string          `json:"branch,omitempty"`
}

func summarize(s *story, state workflow.TaskState) summary {
	out := summary{Task: s.Task, State: state, Turns: s.sent(), Handoffs: []summaryHandoff{}, Tokens: s.Usage.TotalTokens}
	for _, h := range s.Handoffs {
		out.Handoffs = append(out.Handoffs, summaryHandoff{h.From, h.Reason, h.Rule, h.To, h.Retry, h.Label})
	}
	if s.Cost.Priced || s.Cost.Known > 0 {
		dollars := float64(s.Cost.Known) / 1e6
		out.Cost = &dollars
	}
	out.Unpriced = s.Cost.Unpriced
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
