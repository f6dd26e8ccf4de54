package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// storyView writes a story for people.
type storyView struct {
	palette
	lines int // how many lines of each input and output; 0 means all
	loc   *time.Location
	now   time.Time

	b    strings.Builder
	team *workflow.Team
}

func (v *storyView) printf(format string, args ...any) { fmt.Fprintf(&v.b, format, args...) }

func (v *storyView) render(told taskStory) string {
	v.team = told.team
	var s story
	for _, rec := range told.records {
		s.apply(rec.Event, rec.Effects)
	}
	v.header(&s, told)
	for _, st := range s.Steps {
		v.step(st)
	}
	v.ending(&s, told.state)
	return v.b.String()
}

func (v *storyView) header(s *story, told taskStory) {
	v.printf("task %s · %s@%s · %s\n", v.bold(s.Task), s.Team, shortRevision(s.Revision), v.status(told.state))
	v.field("team file", told.file)
	v.field("workspace", s.Workspace)
	v.field("submitted", formatTime(s.Submitted, v.loc))
	for _, name := range slices.Sorted(maps.Keys(s.Input)) {
		v.field("input "+name, oneLine(fmt.Sprint(s.Input[name]), 200))
	}
	if s.Start != nil {
		v.field("begins with", s.Start.To)
	}
}

func (v *storyView) status(st workflow.State) string {
	switch text := string(st.Status); {
	case st.Status == workflow.TaskSucceeded:
		return v.good(text)
	case st.Status.Terminal():
		return v.bad(text)
	default:
		return text
	}
}

// field writes one line of facts; an empty value is left out.
func (v *storyView) field(name, value string) {
	if value != "" {
		v.line(name+":", strings.TrimRight(printable(value), "\n"))
	}
}

// line writes a label and what stands beside it, without spaces at the end.
func (v *storyView) line(label, text string) {
	if label == "" && text == "" {
		v.printf("\n")
		return
	}
	v.printf("  %s %s\n", v.dim(pad(label, 14)), text)
}

func (v *storyView) step(st *step) {
	v.printf("\n%s\n", v.stepTitle(st))
	v.times(st)
	if rt := st.Runtime; rt != (workflow.Runtime{}) {
		v.field("runtime", fmt.Sprintf("%s · agent %s · conversation %s", rt.Server, rt.AgentID, rt.ConversationID))
		v.field("message id", st.ClientMessageID)
	}
	v.text("in", st.Message)
	v.text("out", st.output())
	v.end(st)
	if st.Handoff != nil {
		v.handoff(st.Handoff)
	}
}

func (v *storyView) stepTitle(st *step) string {
	title := fmt.Sprintf("turn %d · %s", st.Turn, v.name(st.Node))
	if st.Attempt > 1 {
		title += fmt.Sprintf(" · attempt %d", st.Attempt)
	}
	if st.Reminder {
		title += " · reminder to report an outcome"
	}
	switch {
	case st.Ended.IsZero() && st.Sent.IsZero():
		return title + " · not sent yet"
	case st.Ended.IsZero():
		return title + " · running for " + formatElapsed(st.elapsed(v.now))
	case st.good():
		return v.good("✓ ") + title + " · " + st.reason()
	}
	return v.bad("✗ ") + title + " · " + st.reason()
}

func (v *storyView) times(st *step) {
	v.field("decided", formatTime(st.Decided, v.loc))
	if st.NotBefore.After(st.Decided) {
		v.field("put off to", formatTime(st.NotBefore, v.loc))
	}
	if !st.Sent.IsZero() {
		v.field("sent", formatTime(st.Sent, v.loc))
	}
	if !st.Accepted.IsZero() {
		v.field("accepted", strings.TrimSpace(formatTime(st.Accepted, v.loc)+" "+st.Disposition))
	}
	if !st.Ended.IsZero() {
		v.field("ended", formatTime(st.Ended, v.loc)+", after "+formatElapsed(st.elapsed(st.Ended)))
	}
}

// text writes an input or output as an indented block.
func (v *storyView) text(name, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	kept, left := excerpt(text, v.lines)
	for i, line := range kept {
		label := ""
		if i == 0 {
			label = name + ":"
		}
		v.line(label, line)
	}
	if left > 0 {
		v.line("", v.dim(fmt.Sprintf("… %s: --full", plural(left, "more line"))))
	}
}

func (v *storyView) end(st *step) {
	if r := st.Reconciled; r != nil {
		v.field("found", strings.TrimSuffix(findingText(r.Finding)+": "+r.Detail, ": "))
	}
	if f := st.Finished; f != nil {
		v.field("stopped", string(f.Reason))
		v.field("outcome", f.Outcome)
		v.text("summary", f.Summary)
		if f.Data != nil {
			v.field("data", jsonText(f.Data))
		}
		v.text("error", f.Error)
		v.field("usage", usageText(f.Usage, f.ToolCalls))
		if f.RunID != "" || f.TurnID != "" {
			v.field("run", strings.TrimSpace(f.RunID+" "+f.TurnID))
		}
		if f.ConversationLost {
			v.field("conversation", "of no more use; the agent gets a new one")
		}
	}
	if st.Cancelled {
		v.field("stopped", "aborted, because the task was cancelled")
	}
	if st.reminded() {
		v.field("then", "no outcome was reported: the agent is asked for it once")
	} else if st.Handoff == nil && st.Reconciled != nil {
		v.field("then", afterFinding(st.Reconciled.Finding))
	}
}

func jsonText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

func findingText(f workflow.Finding) string {
	switch f {
	case workflow.FindingNotConsumed:
		return "the input had not reached the conversation"
	case workflow.FindingInterrupted:
		return "the input had arrived and its turn did not finish"
	case workflow.FindingFinished:
		return "the turn had finished; its answer was collected"
	case workflow.FindingUnknown:
		return "it cannot be known whether the turn ran"
	}
	return string(f)
}

func usageText(u workflow.Usage, tools int) string {
	if u.TotalTokens == 0 && tools == 0 {
		return ""
	}
	return fmt.Sprintf("%s tokens (%s in, %s out) · %s · %s", formatCount(u.TotalTokens), formatCount(u.PromptTokens),
		formatCount(u.CompletionTokens), plural(int(u.Requests), "model request"), plural(tools, "tool call"))
}

// handoff says which rule fired, and why none before it did.
func (v *storyView) handoff(h *workflow.Handoff) {
	for _, skipped := range h.Skipped {
		v.field("not", v.ruleText(skipped.Rule)+": "+skipped.Why)
	}
	to := h.To
	if h.Retry {
		to += " again"
	}
	why := h.Note
	if h.Rule > 0 {
		why = v.ruleText(h.Rule)
		if h.Max > 0 {
			why += fmt.Sprintf(" (%d of %d)", h.Fired, h.Max)
		}
		if h.Note != "" {
			why += "; " + h.Note
		}
	}
	v.field("then", fmt.Sprintf("→ %s, by %s", v.name(to), why))
}

func (v *storyView) ruleText(number int) string {
	if number < 1 || number > len(v.team.Handoffs) {
		return fmt.Sprintf("rule %d", number)
	}
	return v.team.Handoffs[number-1].String()
}

func (v *storyView) ending(s *story, state workflow.State) {
	v.printf("\n")
	if s.CancelledBy != "" {
		v.field("cancelled by", s.CancelledBy)
	}
	if r := s.Result; r != nil {
		v.printf("%s at %s, after %s · %s · %s tokens\n", v.status(state), formatTime(r.At, v.loc),
			formatElapsed(r.At.Sub(s.Submitted)), plural(s.sent(), "turn"), formatCount(s.Usage.TotalTokens))
		v.field("why", r.Explanation)
		if r.State == workflow.TaskFailed {
			v.field("what to do", remedy(s))
		}
		return
	}
	v.printf("%s\n", v.waiting(s, state))
	v.field("go on", "orchestrator run --resume "+s.Task+" (when nothing is driving it)")
}

// waiting says what the task waits for, and until when.
func (v *storyView) waiting(s *story, state workflow.State) string {
	if state.Status == workflow.TaskQueued {
		return "queued: waits to be taken up"
	}
	if !state.WakeAt.IsZero() {
		return fmt.Sprintf("waits until %s to try again", formatTime(state.WakeAt, v.loc))
	}
	if live := s.live(); len(live) > 0 {
		st := live[len(live)-1]
		limit := defaultTurnTimeout
		if agent := v.team.Agents[st.Node]; agent != nil && agent.TurnTimeout > 0 {
			limit = agent.TurnTimeout
		}
		if st.Sent.IsZero() {
			return fmt.Sprintf("waits for turn %d (%s) to be sent", st.Turn, st.Node)
		}
		return fmt.Sprintf("waits for turn %d (%s), until %s at the latest", st.Turn, st.Node, formatTime(st.Sent.Add(limit), v.loc))
	}
	return string(state.Status)
}
