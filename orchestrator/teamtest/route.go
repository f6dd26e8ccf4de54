package teamtest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// joinName is how a route names a join.
const joinName = "join"

// StepPattern is an expected step of a route. What is empty is not checked.
type StepPattern struct {
	Node   string
	Branch string
	Reason string
	// Target is as Step.Target returns it.
	Target string
	Rule   int
	Pos    workflow.Position
}

// stepSyntax is NODE[@BRANCH] [REASON] [-> TARGET] [rule N].
var stepSyntax = regexp.MustCompile(`^([a-z][a-z0-9_-]*)(?:@(\S+))?(?:\s+([a-z][a-z0-9_-]*))??(?:\s*->\s*([^>]+?))?(?:\s+rule\s+(\d+))?$`)

func (p *parser) route(n *yaml.Node) []StepPattern {
	out := []StepPattern{}
	for _, item := range p.List(n) {
		text, ok := p.Text(item, "a step of the route")
		if !ok {
			continue
		}
		if step, ok := p.step(item, text); ok {
			out = append(out, step)
		}
	}
	return out
}

func (p *parser) step(n *yaml.Node, text string) (StepPattern, bool) {
	m := stepSyntax.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		p.Problem(n, "write, for example:  tests failed -> coder", "%q is no step: it has the form NODE REASON -> TARGET", text)
		return StepPattern{}, false
	}
	s := StepPattern{Node: m[1], Branch: m[2], Reason: m[3], Target: targetText(m[4]), Pos: position(n)}
	if m[5] != "" {
		s.Rule, _ = strconv.Atoi(m[5]) // digits; one that is too large matches no rule
	}
	team := p.file.Team
	kind, known := team.Kind(s.Node)
	if !known && s.Node != joinName {
		p.Problem(n, workflow.DidYouMean(s.Node, team.NodeNames), "the team %s has no node %q", team.Name, s.Node)
		return s, false
	}
	if known && s.Reason != "" && !slices.Contains(team.Reasons(s.Node), workflow.Reason(s.Reason)) {
		// A gate answered by its expiry ends with another reason, which Reasons knows.
		of := node{team: team, name: s.Node, kind: kind}
		p.Problem(n, workflow.DidYouMean(s.Reason, slices.DeleteFunc(of.reasons(), func(r string) bool {
			return r == EndingCrash || r == EndingQuota || r == EndingOpen
		})), "%s cannot end with %q", s.Node, s.Reason)
		return s, false
	}
	for name := range strings.SplitSeq(s.Target, ", ") {
		name, _, _ = strings.Cut(name, " ×")
		if _, ok := team.Kind(name); !ok && name != "" && !slices.Contains(targetNames(), name) {
			p.Problem(n, workflow.DidYouMean(name, append(targetNames(), team.NodeNames...)), "the team %s has no node %q", team.Name, name)
			return s, false
		}
	}
	return s, true
}

func targetNames() []string {
	return []string{workflow.TerminalSucceeded, workflow.TerminalFailed, workflow.TerminalCancelled, "retry", joinName}
}

// targetText writes a target as Step.Target does: "worker x3" is "worker ×3".
func targetText(s string) string {
	parts := strings.Split(strings.TrimSpace(s), ",")
	for i, part := range parts {
		fields := strings.Fields(part)
		if len(fields) == 2 {
			fields[1] = "×" + strings.TrimLeft(fields[1], "x×*")
		}
		parts[i] = strings.Join(fields, " ")
	}
	return strings.Join(parts, ", ")
}

// String is the pattern as a file would say it.
func (p StepPattern) String() string {
	text := p.Node
	if p.Branch != "" {
		text += "@" + p.Branch
	}
	if p.Reason != "" {
		text += " " + p.Reason
	}
	if p.Target != "" {
		text += " -> " + p.Target
	}
	if p.Rule != 0 {
		text += "  rule " + strconv.Itoa(p.Rule)
	}
	return text
}

// matches reports whether a step is what the pattern says.
func (p StepPattern) matches(s workflow.Step) bool {
	name := s.Node
	if s.Join() {
		name = joinName
	}
	return p.Node == name && (p.Branch == "" || p.Branch == s.Label) && (p.Reason == "" || p.Reason == string(s.Reason)) &&
		(p.Target == "" || p.Target == s.Target()) && (p.Rule == 0 || p.Rule == s.Rule)
}

// maxRouteTries bounds the search for an order of parallel branches in which
// the expected route is the one that was taken.
const maxRouteTries = 100_000

// matchRoute reports whether the patterns are the steps, in an order in which
// every step comes after those that it follows from. Joins may be left out of
// the patterns.
func matchRoute(patterns []StepPattern, steps []workflow.Step) bool {
	m := &routeMatch{patterns: patterns, steps: steps, done: make([]bool, len(steps)), tries: maxRouteTries}
	return m.from(0)
}

type routeMatch struct {
	patterns []StepPattern
	steps    []workflow.Step
	done     []bool
	tries    int
}

// from matches the patterns from the one with index at on.
func (m *routeMatch) from(at int) bool {
	if m.tries--; m.tries < 0 {
		return false
	}
	for i := range m.steps {
		if m.done[i] || !m.ready(i) {
			continue
		}
		said := at < len(m.patterns) && m.patterns[at].matches(m.steps[i])
		if !said && !m.steps[i].Join() {
			continue
		}
		next := at
		if said {
			next++
		}
		m.done[i] = true
		if m.from(next) {
			return true
		}
		m.done[i] = false
	}
	return at == len(m.patterns) && !slices.Contains(m.done, false)
}

func (m *routeMatch) ready(i int) bool {
	return !slices.ContainsFunc(m.steps[i].After, func(before int) bool { return !m.done[before] })
}
