package teamtest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// check compares what came of a scenario with what it expects.
func (s *simulation) check(r *Result) {
	e := s.scenario.Expect
	fail := func(pos workflow.Position, format string, args ...any) {
		r.Failures = append(r.Failures, Failure{Pos: pos, Message: fmt.Sprintf(format, args...)})
	}
	text := func(want *TextExpect, got, what string) {
		if want != nil && want.Text != got {
			if got == "" {
				got = "none"
			}
			fail(want.Pos, "%s is %s, expected %s", what, got, want.Text)
		}
	}
	text(e.State, string(r.State.Status), "the state of the task")
	ended := workflow.Result{}
	if r.State.Result != nil {
		ended = *r.State.Result
	}
	text(e.Node, ended.Node, "the node that ended the task")
	text(e.Reason, string(ended.Reason), "the reason of the task's end")
	explanation := ended.Explanation
	if r.State.Pause != nil {
		explanation = r.State.Pause.Note
	}
	if e.Explanation != nil && !strings.Contains(explanation, e.Explanation.Text) {
		fail(e.Explanation.Pos, "the explanation lacks %q; it is %q", e.Explanation.Text, explanation)
	}
	checkRoute(r, e)
	if e.Rules != nil && !slices.Equal(e.Rules, r.Fired) {
		fail(e.RulesPos, "the rules %s fired, expected %s", numbers(r.Fired), numbers(e.Rules))
	}
	for _, m := range e.Messages {
		checkMessage(r, m)
	}
	bounds := []struct {
		bound *Bound
		got   int64
		what  string
		show  func(int64) string
	}{
		{e.Turns, int64(r.State.Attempts), "turns", func(n int64) string { return strconv.FormatInt(n, 10) }},
		{e.Tokens, r.State.Usage.TotalTokens, "tokens", func(n int64) string { return strconv.FormatInt(n, 10) }},
		{e.Cost, r.State.Cost, "cost", func(n int64) string { return "$" + strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) }},
		{e.Elapsed, int64(r.Elapsed), "elapsed", func(n int64) string { return time.Duration(n).String() }},
	}
	for _, b := range bounds {
		if b.bound == nil || b.got == b.bound.Value || b.bound.AtMost && b.got < b.bound.Value {
			continue
		}
		most := ""
		if b.bound.AtMost {
			most = "at most "
		}
		fail(b.bound.Pos, "%s: %s, expected %s%s", b.what, b.show(b.got), most, b.show(b.bound.Value))
	}
	s.checkCalls(r)
	if r.Passed() { // else what follows from one difference is told twice
		s.checkUsed(r)
	}
	slices.SortStableFunc(r.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column), cmp.Compare(a.Message, b.Message))
	})
}

func numbers(list []int) string {
	if len(list) == 0 {
		return "(none)"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

// checkRoute compares the routes; the order between parallel branches is free.
func checkRoute(r *Result, e Expect) {
	if e.Route == nil {
		return
	}
	if matchRoute(e.Route, r.Route) {
		return
	}
	expected := make([]string, len(e.Route))
	for i, p := range e.Route {
		expected[i] = p.String()
	}
	got := make([]string, len(r.Route))
	for i, step := range r.Route {
		got[i] = step.String()
	}
	lines := diff(expected, got, func(i, j int) bool { return e.Route[i].matches(r.Route[j]) })
	// A join that nobody expects in so many words is no difference.
	for i, line := range lines {
		if line.Sign == '+' && strings.HasPrefix(line.Text, joinName+" ") {
			lines[i].Sign = ' '
		}
	}
	pos, after := e.RoutePos, 0
	for _, line := range lines {
		if line.Sign != ' ' {
			break
		}
		if !strings.HasPrefix(line.Text, joinName+" ") {
			after++
		}
	}
	if after < len(e.Route) {
		pos = e.Route[after].Pos
	}
	message := "the route is another one"
	if !slices.ContainsFunc(lines, func(l DiffLine) bool { return l.Sign != ' ' }) {
		message = "the steps of the route come in another order"
	}
	r.Failures = append(r.Failures, Failure{Pos: pos, Message: message, Diff: lines})
}

// message is what a node was told at a visit.
type message struct {
	node, label, text string
}

// messages are those of the visits in the order in which they began.
func messages(journal []workflow.Recorded) []message {
	var out []message
	for _, r := range journal {
		for _, effect := range r.Effects {
			if start, ok := effect.(workflow.StartTurn); ok && start.Attempt == 1 && !start.Reminder {
				out = append(out, message{start.Node, start.Label, start.Message})
			}
		}
	}
	return out
}

func checkMessage(r *Result, m MessageExpect) {
	fail := func(d []DiffLine, format string, args ...any) {
		r.Failures = append(r.Failures, Failure{Pos: m.Pos, Message: fmt.Sprintf(format, args...), Diff: d})
	}
	all := slices.DeleteFunc(messages(r.Journal), func(got message) bool {
		return got.node != m.Node || m.Branch != "" && m.Branch != got.label
	})
	if m.Visit > len(all) {
		fail(nil, "%s is asked %s, there is no message %d", m.Node, times(len(all)), m.Visit)
		return
	}
	got, what := all[m.Visit-1].text, fmt.Sprintf("message %d to %s", m.Visit, m.Node)
	if m.Equals != nil && strings.TrimSpace(got) != strings.TrimSpace(*m.Equals) {
		fail(diffTexts(strings.TrimSpace(*m.Equals), strings.TrimSpace(got)), "%s is another one", what)
	}
	show := func(missing string) []DiffLine {
		lines := []DiffLine{{'-', missing}}
		for line := range strings.SplitSeq(strings.TrimSpace(got), "\n") {
			lines = append(lines, DiffLine{'+', line})
		}
		return lines
	}
	for _, want := range m.Contains {
		if !strings.Contains(got, want) {
			fail(show(want), "%s does not contain what is expected", what)
		}
	}
	for _, not := range m.Lacks {
		if strings.Contains(got, not) {
			fail(nil, "%s contains %q", what, not)
		}
	}
	for _, expression := range m.Matches {
		if !expression.MatchString(got) {
			fail(show(expression.String()), "%s does not match what is expected", what)
		}
	}
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// checkCalls compares what became of tool calls with what the scenario expects.
func (s *simulation) checkCalls(r *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.people.played {
		for i := range e.Calls {
			c := &e.Calls[i]
			if got := s.people.fate(c); c.Expect != "" && c.Expect != got {
				r.Failures = append(r.Failures, Failure{Pos: c.Pos, Message: fmt.Sprintf("the call of %s was %s, expected %s", c.Tool, got, c.Expect)})
			}
		}
	}
}
