package main

import (
	"cmp"
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
	// place is named in the commands that are told, where it is not the usual one.
	place place
	// driven says that a daemon drives the task.
	driven bool

	b    strings.Builder
	team *workflow.Team
}

func (v *storyView) printf(format string, args ...any) { fmt.Fprintf(&v.b, format, args...) }

func (v *storyView) render(told taskStory) string {
	v.team = told.team
	s := story{team: told.team}
	for _, rec := range told.records {
		s.apply(rec.Event, rec.Effects)
	}
	v.header(&s, told)
	joins := joinsAfter(&s)
	for _, st := range s.Steps {
		v.step(st)
		for _, joined := range joins[st] {
			v.join(joined)
		}
	}
	v.children(told)
	v.ending(&s, told)
	return v.b.String()
}

func (v *storyView) header(s *story, told taskStory) {
	v.printf("task %s · %s@%s · %s\n", v.bold(s.Task), s.Team, shortRevision(s.Revision), v.status(told.state))
	v.field("team file", told.file)
	v.field("part of", v.parent(s.Parent))
	v.field("goes on from", originText(s.Origin))
	v.field("workspace", s.Workspace)
	v.field("branch", s.GitBranch)
	v.field("submitted", formatTime(s.Submitted, v.loc))
	for _, name := range slices.Sorted(maps.Keys(s.Input)) {
		v.field("input "+name, oneLine(fmt.Sprint(s.Input[name]), 200))
	}
	if s.Start != nil {
		v.field("begins with", s.Start.To)
	}
}

// parent says which task this one belongs to.
func (v *storyView) parent(p *workflow.Parent) string {
	switch {
	case p == nil:
		return ""
	case p.Spawned:
		return fmt.Sprintf("task %s, where the agent of turn %d started it", p.Task, p.Turn)
	}
	return fmt.Sprintf("task %s, turn %d", p.Task, p.Turn)
}

// originText says from which moment of which task another one goes on.
func originText(o *workflow.Origin) string {
	if o == nil {
		return ""
	}
	text := "task " + o.Task
	if o.Turn > 0 {
		text += fmt.Sprintf(", turn %d", o.Turn)
	}
	if o.Fork {
		return text + ", in conversations and a workspace of its own"
	}
	return text + ", in the same conversations and workspace"
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
	v.field("task", st.Child)
	v.text(map[bool]string{false: "in", true: "question"}[st.Kind == workflow.KindGate], st.Message)
	v.said(st)
	v.text(map[bool]string{false: "out", true: "comment"}[st.Kind == workflow.KindGate], st.output())
	v.end(st)
	if b := st.Line; b != nil && b.How == workflow.BranchArrived {
		for _, skipped := range b.Skipped {
			v.field("not", v.ruleText(skipped.Rule)+": "+skipped.Why)
		}
		v.field("then", fmt.Sprintf("%d of %d arrived at the join of %s", b.Arrived, b.Size, v.ruleText(b.Rule)))
	}
	if len(st.Handoffs) > 0 {
		v.handoff(st.Handoffs)
	}
	if b := st.Line; b != nil && b.How == workflow.BranchSucceeded {
		v.field("branch", "over; its part is done")
	}
}

// said is what happened while a step ran, besides its output.
func (v *storyView) said(st *step) {
	for _, p := range st.Progress {
		v.field("progress", progressText(p))
	}
	for _, q := range st.Questions {
		v.field("asked", fmt.Sprintf("question %d: %s, at %s", q.ID, questionText(q.QuestionAsked), formatTime(q.Asked, v.loc)))
		switch {
		case q.Answer == nil && q.Kind == workflow.QuestionUncertain:
			v.field("answer", "none; it does not expire")
		case q.Answer == nil && st.Ended.IsZero():
			v.field("answer", "none yet, until "+formatTime(q.Expires, v.loc))
		case q.Answer == nil:
			v.field("answer", "none; the turn ended before")
		default:
			v.field("answer", strings.TrimSpace(answerText("", news{step: st, question: q}))+", at "+formatTime(q.Answered, v.loc))
		}
	}
	for _, spawned := range st.Spawned {
		v.field("started", fmt.Sprintf("task %s of team %s", spawned.Task, spawned.Team))
	}
}

// joinsAfter says after which step a join is told: the last one that was
// joined, in the order of the story. Its values are the steps that completed the join.
func joinsAfter(s *story) map[*step][]*step {
	after := map[*step][]*step{}
	for _, st := range s.Steps {
		if len(st.Joined) == 0 {
			continue
		}
		last := st
		for _, other := range s.Steps {
			if slices.Contains(st.Joined[0].Joined, other.Turn) {
				last = other
			}
		}
		after[last] = append(after[last], st)
	}
	return after
}

// join tells how branches came together.
func (v *storyView) join(st *step) {
	v.printf("\njoin of %s\n", plural(len(st.Joined[0].Joined), "branch"))
	v.handoff(st.Joined)
}

// children lists the tasks that belong to this one.
func (v *storyView) children(told taskStory) {
	if len(told.children) == 0 {
		return
	}
	v.printf("\ntasks that it has started\n")
	for _, c := range told.children {
		v.printf("  %s · %s · %s · %s\n", c.Task, printable(c.Team), c.Status, oneLine(currently(c, v.now), 200))
	}
}

func (v *storyView) stepTitle(st *step) string {
	what := map[workflow.NodeKind]string{workflow.KindAgent: "turn", workflow.KindCheck: "check", workflow.KindGate: "gate", workflow.KindTeam: "sub-team"}[st.Kind]
	title := fmt.Sprintf("%s %d · %s", what, st.Turn, v.name(st.name()))
	if st.Attempt > 1 {
		title += fmt.Sprintf(" · attempt %d", st.Attempt)
	}
	if st.Reminder {
		title += " · reminder to report an outcome"
	}
	switch {
	case st.Ended.IsZero() && st.Kind == workflow.KindGate:
		return title + " · open for " + formatElapsed(st.elapsed(v.now))
	case st.Ended.IsZero() && st.Sent.IsZero() && st.Kind == workflow.KindAgent:
		return title + " · not sent yet"
	case st.Ended.IsZero() && st.Sent.IsZero():
		return title + " · not started yet"
	case st.Ended.IsZero():
		return title + " · running for " + formatElapsed(st.elapsed(v.now))
	case st.good():
		return v.good("✓ ") + title + " · " + st.reasonText()
	case st.unneeded():
		return "- " + title + " · " + st.reasonText()
	}
	return v.bad("✗ ") + title + " · " + st.reasonText()
}

func (v *storyView) times(st *step) {
	v.field("decided", formatTime(st.Decided, v.loc))
	if st.NotBefore.After(st.Decided) {
		v.field("put off to", formatTime(st.NotBefore, v.loc))
	}
	if !st.Expires.IsZero() {
		v.field("expires", formatTime(st.Expires, v.loc))
	}
	if !st.Sent.IsZero() {
		v.field(map[bool]string{true: "sent", false: "started"}[st.Kind == workflow.KindAgent], formatTime(st.Sent, v.loc))
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
	if u := st.Used; u != nil {
		v.field("used", usageText(u.Usage, 0)+", seen before it was cut off")
		v.field("model", u.Model)
		v.field("cost", costOf(&workflow.TurnFinished{Usage: u.Usage, Model: u.Model, Cost: u.Cost, Unpriced: u.Unpriced}))
	}
	if r := st.Reconciled; r != nil {
		v.field("found", strings.TrimSuffix(findingText(r.Finding)+": "+r.Detail, ": "))
		used := costsOf(*r)
		v.field("usage", usageText(r.Usage, 0))
		v.field("model", r.Model)
		v.field("cost", costOf(&used))
		v.field("output file", r.OutputFile)
		if r.ConversationLost {
			v.field("conversation", "of no more use; the agent gets a new one")
		}
	}
	if f := st.Finished; f != nil {
		v.field("stopped", string(f.Reason))
		v.field("outcome", f.Outcome)
		v.text("summary", f.Summary)
		if f.Data != nil {
			v.field("data", jsonText(f.Data))
		}
		v.text("error", f.Error)
		if st.Kind == workflow.KindTeam {
			v.field("usage", childUsageText(st))
		} else {
			v.field("usage", usageText(f.Usage, f.ToolCalls))
		}
		v.field("model", f.Model)
		v.field("cost", costOf(f))
		v.field("output file", f.OutputFile)
		if f.Handoff != "" {
			v.field("picked", strings.TrimSuffix(f.Handoff+": "+f.HandoffMessage, ": "))
		}
		if f.Duration > 0 {
			v.field("took", formatElapsed(f.Duration))
		}
		if f.RunID != "" || f.TurnID != "" {
			v.field("run", strings.TrimSpace(f.RunID+" "+f.TurnID))
		}
		if f.ConversationLost {
			v.field("conversation", "of no more use; the agent gets a new one")
		}
	}
	if g := st.Gate; g != nil {
		v.field("answered by", cmp.Or(g.By, "somebody"))
	}
	switch {
	case st.Held:
		v.field("put off", "the task paused before it began")
	case st.Aborted:
		v.field("stopped", "aborted: "+cmp.Or(st.Why, "the task ended"))
	case st.Why != "":
		v.field("limit", st.Why)
	}
	if st.reminded() {
		v.field("then", "no outcome was reported: the agent is asked for it once")
	} else if len(st.Handoffs) == 0 && st.Line == nil && st.Reconciled != nil {
		v.field("then", st.afterFinding())
	}
}

// costOf is the price of one turn.
func costOf(f *workflow.TurnFinished) string {
	var c spending
	c.turn(*f)
	return c.String()
}

func childUsageText(st *step) string {
	if st.ChildTurns == 0 {
		return ""
	}
	text := fmt.Sprintf("%s tokens · %s", formatCount(st.ChildUsage.TotalTokens), plural(st.ChildTurns, "turn"))
	if st.childCost > 0 {
		text += " · " + formatMoney(st.childCost)
	}
	return text
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
func (v *storyView) handoff(handoffs []*workflow.Handoff) {
	h := handoffs[0]
	for _, skipped := range h.Skipped {
		v.field("not", v.ruleText(skipped.Rule)+": "+skipped.Why)
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
	if h.Rule == 0 {
		v.field("then", strings.TrimSuffix(fmt.Sprintf("→ %s: %s", v.name(target(handoffs)), why), ": "))
		return
	}
	v.field("then", fmt.Sprintf("→ %s, by %s", v.name(target(handoffs)), why))
}

func (v *storyView) ruleText(number int) string {
	if number < 1 || number > len(v.team.Handoffs) {
		return fmt.Sprintf("rule %d", number)
	}
	return v.team.Handoffs[number-1].String()
}

func (v *storyView) ending(s *story, told taskStory) {
	v.printf("\n")
	if s.CancelledBy != "" {
		v.field("cancelled by", s.CancelledBy)
	}
	if r := s.Result; r != nil {
		v.printf("%s at %s, after %s · %s\n", v.status(told.state), formatTime(r.At, v.loc), formatElapsed(r.At.Sub(s.Submitted)), s.totals())
		v.field("why", r.Explanation)
		for _, field := range placeFields(told.state) {
			v.field(field[0], field[1])
		}
		if r.State == workflow.TaskFailed {
			v.field("what to do", remedy(s))
		}
		return
	}
	v.printf("%s · %s\n", told.state.Status, s.totals())
	for _, line := range waitingFor(told.state, v) {
		v.printf("  %s\n", line)
	}
	for _, c := range told.children {
		if c.Parent == nil || c.Parent.Spawned || c.Status.Terminal() {
			continue
		}
		for _, a := range asksOf(c) {
			v.printf("  task %s: %s\n", c.Task, askLine(a, v.loc))
		}
		if c.Status == workflow.TaskPaused && pausedOf(c).Parent == "" {
			v.printf("  task %s is paused: %s; %s\n", c.Task, oneLine(pausedOf(c).Note, 300), pausedOf(c).command(v.place))
		}
	}
	if v.driven {
		v.field("watch it", v.place.in("orchestrator run --resume "+s.Task))
		return
	}
	v.field("go on", v.place.in("orchestrator run --resume "+s.Task)+" (when nothing is driving it)")
}
