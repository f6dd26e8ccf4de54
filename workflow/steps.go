package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Recorded is one event of a journal and the effects that its decision had.
type Recorded struct {
	Seq     int64
	Event   Event
	Effects []Effect
}

// Step is the end of a node and what followed from it, or a join. The steps of
// a task are its route.
type Step struct {
	// Turn is the turn that ended; 0 of a join.
	Turn int `json:"turn,omitempty"`
	// Node is empty for a join.
	Node string `json:"node,omitempty"`
	// Label is that of the branch in which the node ended.
	Label  string `json:"label,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	// To lists the nodes, or the terminal, that the rule goes to; empty for a
	// retry and for a branch that arrives at a join.
	To []string `json:"to,omitempty"`
	// Rule is 0 where the engine itself decided.
	Rule    int  `json:"rule,omitempty"`
	Retry   bool `json:"retry,omitempty"`
	Arrived bool `json:"arrived,omitempty"`
	// Joined are the turns that a join has brought together.
	Joined []int `json:"joined,omitempty"`
	// After are the indexes of the steps that this one follows from.
	After   []int         `json:"after,omitempty"`
	At      time.Time     `json:"at"`
	Note    string        `json:"note,omitempty"`
	Skipped []SkippedRule `json:"skipped,omitempty"`
}

// Join reports whether the step is a join, and not the end of a node.
func (s Step) Join() bool { return len(s.Joined) > 0 }

// Target says where the step leads, e.g. "coder", "worker ×3", "retry" or "join".
func (s Step) Target() string {
	switch {
	case s.Retry:
		return "retry"
	case s.Arrived:
		return "join"
	}
	var out []string
	for i := 0; i < len(s.To); {
		n := 1
		for i+n < len(s.To) && s.To[i+n] == s.To[i] {
			n++
		}
		name := s.To[i]
		if n > 1 {
			name += fmt.Sprintf(" ×%d", n)
		}
		out = append(out, name)
		i += n
	}
	return strings.Join(out, ", ")
}

// String is the step on one line, e.g. "tests failed -> coder  rule 3".
func (s Step) String() string {
	var b strings.Builder
	if s.Join() {
		b.WriteString("join")
	} else {
		b.WriteString(s.Node)
		if s.Label != "" && s.Label != s.Node {
			b.WriteString("@" + s.Label)
		}
		b.WriteString(" " + string(s.Reason))
	}
	if target := s.Target(); target != "" {
		b.WriteString(" -> " + target)
	}
	if s.Rule > 0 {
		fmt.Fprintf(&b, "  rule %d", s.Rule)
	}
	return b.String()
}

// Steps makes the route of a task out of its journal.
func Steps(journal []Recorded) []Step {
	b := stepBuilder{turns: map[int]stepTurn{}, last: map[int]int{}}
	for _, r := range journal {
		for _, effect := range r.Effects {
			switch e := effect.(type) {
			case Handoff:
				b.handoff(e, r.Event.At)
			case StartTurn:
				t := b.turns[e.Turn]
				t.node, t.label = e.Node, e.Label
				b.turns[e.Turn] = t
			case BranchEnded:
				b.branchEnded(e, r.Event.At)
			}
		}
	}
	return b.steps
}

type stepTurn struct {
	node, label string
	after       []int
}

type stepBuilder struct {
	steps []Step
	turns map[int]stepTurn
	last  map[int]int // the last step of a turn
}

// of returns the step of a turn that goes on with h, or a new one.
func (b *stepBuilder) of(h Handoff, at time.Time) int {
	if i, ok := b.last[h.FromTurn]; ok && !h.Retry {
		if s := b.steps[i]; !s.Retry && !s.Arrived && s.Rule == h.Rule && s.Reason == h.Reason {
			return i // another branch of the same fan-out
		}
	}
	t := b.turns[h.FromTurn]
	after := t.after
	if i, ok := b.last[h.FromTurn]; ok {
		after = []int{i}
	}
	s := Step{Turn: h.FromTurn, Node: h.From, Label: t.label, Reason: h.Reason, Rule: h.Rule, Retry: h.Retry, After: after, At: at, Note: h.Note, Skipped: h.Skipped}
	if b.arrived(h.Joined) {
		s.Turn, s.Node, s.Label, s.Reason, s.Joined = 0, "", "", "", h.Joined
		s.After = nil
		for _, turn := range h.Joined {
			if i, ok := b.last[turn]; ok {
				s.After = append(s.After, i)
			}
		}
	}
	b.steps = append(b.steps, s)
	return len(b.steps) - 1
}

// arrived reports whether branches were waiting: a join outside of branches is
// nothing but a rule.
func (b *stepBuilder) arrived(joined []int) bool {
	return slices.ContainsFunc(joined, func(turn int) bool {
		i, ok := b.last[turn]
		return ok && b.steps[i].Arrived
	})
}

func (b *stepBuilder) handoff(h Handoff, at time.Time) {
	if h.From == "" && len(h.Joined) == 0 { // the start of the task
		b.turns[h.ToTurn] = stepTurn{node: h.To, label: h.Label}
		return
	}
	i := b.of(h, at)
	if !h.Retry {
		b.steps[i].To = append(b.steps[i].To, h.To)
	}
	b.last[h.FromTurn] = i
	if h.ToTurn != 0 && !h.Retry {
		b.turns[h.ToTurn] = stepTurn{node: h.To, label: h.Label, after: []int{i}}
	}
}

// branchEnded adds the end of a node whose branch arrived at a join, or succeeded.
func (b *stepBuilder) branchEnded(e BranchEnded, at time.Time) {
	if e.Turn == 0 || e.How == BranchCancelled {
		return
	}
	if i, ok := b.last[e.Turn]; ok && e.How == BranchSucceeded && b.steps[i].Rule == e.Rule && !b.steps[i].Retry {
		return // its handoff has said it
	}
	t := b.turns[e.Turn]
	s := Step{Turn: e.Turn, Node: e.From, Label: e.Label, Reason: e.Reason, Rule: e.Rule, After: t.after, At: at, Skipped: e.Skipped, Arrived: e.How == BranchArrived}
	if i, ok := b.last[e.Turn]; ok {
		s.After = []int{i}
	}
	if e.How == BranchSucceeded {
		s.To = []string{TerminalSucceeded}
	}
	b.steps = append(b.steps, s)
	b.last[e.Turn] = len(b.steps) - 1
}

// InBranchOrder orders the steps by branches, so that the order in which
// parallel branches happened to end does not show.
func InBranchOrder(steps []Step) []Step {
	follow := make([][]int, len(steps))
	for i, s := range steps {
		for _, before := range s.After {
			follow[before] = append(follow[before], i)
		}
	}
	out := make([]Step, 0, len(steps))
	places := map[int]int{} // in out, by the index in steps
	var visit func(i int)
	visit = func(i int) {
		if _, done := places[i]; done || slices.ContainsFunc(steps[i].After, func(before int) bool { _, done := places[before]; return !done }) {
			return
		}
		places[i] = len(out)
		s := steps[i]
		s.After = make([]int, len(steps[i].After))
		for k, before := range steps[i].After {
			s.After[k] = places[before]
		}
		out = append(out, s)
		slices.SortStableFunc(follow[i], func(a, b int) int { return cmp.Compare(steps[a].Turn, steps[b].Turn) })
		for _, next := range follow[i] {
			visit(next)
		}
	}
	for i, s := range steps {
		if len(s.After) == 0 {
			visit(i)
		}
	}
	return out
}
