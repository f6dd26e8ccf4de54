// Package graph draws a team: its nodes, the ends of a task and the rules
// between them, as Mermaid, as DOT for Graphviz, or as a complete SVG picture.
//
// Everything here is pure: the same team gives the same text.
package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// nodeKind says what a node stands for.
type nodeKind int

const (
	kindStart nodeKind = iota // where the task begins
	kindAgent
	kindCheck
	kindGate
	kindTeam
	kindJoin  // where branches wait for each other
	kindEvery // all nodes, for rules from "*"
	kindEnd   // succeeded, failed or cancelled
)

// every is the name of the node that stands for all nodes. It is no name that
// a team file could give.
const (
	every     = "*"
	anyReason = "*"
)

type node struct {
	name string
	kind nodeKind
	// lines are what is written in the node, the name first.
	lines []string
}

// edge is one or more rules between the same two nodes. Nodes are named by
// their place in drawing.nodes.
type edge struct {
	from, to int
	lines    []string
}

// drawing is what all formats draw.
type drawing struct {
	title string
	nodes []node
	edges []edge
}

// newDrawing makes the nodes and edges of a team. Rules about every node are
// drawn once, from a node that stands for all of them. A rule that joins
// branches leads to a node of its own, which all rules of the join share, and
// from there to its targets.
func newDrawing(t *workflow.Team) *drawing {
	d := &drawing{title: t.Name}
	d.add(node{name: "", kind: kindStart})
	for _, name := range t.NodeNames {
		d.add(describe(t, name))
	}
	d.connect(0, d.index(t.Start), nil)
	for _, r := range t.Handoffs {
		froms := d.sources(t, r)
		lines := label(r)
		if r.Join != nil {
			at := d.join(r)
			for _, from := range froms {
				d.connect(from, at, reasons(r))
			}
			froms, lines = []int{at}, conditions(fmt.Sprintf("%d", r.Number), r)
		}
		for _, from := range froms {
			if r.Retry != nil {
				d.connect(from, from, lines)
				continue
			}
			for _, to := range r.To {
				d.connect(from, d.target(to), lines)
			}
		}
	}
	return d
}

// target returns the node or the end that a rule names.
func (d *drawing) target(name string) int {
	if at := d.index(name); at >= 0 {
		return at
	}
	return d.add(node{name: name, kind: kindEnd, lines: []string{name}})
}

// join returns the node of the join that a rule belongs to.
func (d *drawing) join(r *workflow.Rule) int {
	text := string(r.Join.Mode)
	if r.Join.Mode == workflow.JoinCount {
		text = fmt.Sprintf("%d", r.Join.Count)
	}
	// No name of a team has a comma in it.
	name := "," + text + "," + strings.Join(slices.Sorted(slices.Values(r.From)), ",")
	if at := d.index(name); at >= 0 {
		return at
	}
	return d.add(node{name: name, kind: kindJoin, lines: []string{"join: " + text}})
}

func (d *drawing) add(n node) int {
	d.nodes = append(d.nodes, n)
	return len(d.nodes) - 1
}

func (d *drawing) index(name string) int {
	return slices.IndexFunc(d.nodes, func(n node) bool { return n.name == name && n.kind != kindStart })
}

// connect draws an edge, or writes more at the one that is there.
func (d *drawing) connect(from, to int, lines []string) {
	for i := range d.edges {
		if d.edges[i].from == from && d.edges[i].to == to {
			d.edges[i].lines = append(d.edges[i].lines, lines...)
			return
		}
	}
	d.edges = append(d.edges, edge{from: from, to: to, lines: lines})
}

// sources lists the nodes that a rule leads from.
func (d *drawing) sources(t *workflow.Team, r *workflow.Rule) []int {
	names := r.From
	if slices.Contains(names, every) || len(names) == len(t.NodeNames) {
		names = t.NodeNames
	}
	if len(names) == len(t.NodeNames) && len(names) > 1 {
		if at := d.index(every); at >= 0 {
			return []int{at}
		}
		text := "every agent"
		if len(t.AgentNames) < len(t.NodeNames) {
			text = "every node"
		}
		return []int{d.add(node{name: every, kind: kindEvery, lines: []string{text}})}
	}
	var out []int
	for _, name := range names {
		out = append(out, d.index(name))
	}
	return out
}

// describe writes what a node is.
func describe(t *workflow.Team, name string) node {
	n := node{name: name, lines: []string{name}}
	add := func(format string, a ...any) { n.lines = append(n.lines, fmt.Sprintf(format, a...)) }
	kind, _ := t.Kind(name)
	switch kind {
	case workflow.KindCheck:
		n.kind = kindCheck
		c := t.Checks[name]
		add("%s", shorten(cmp.Or(c.Run, strings.Join(c.Command, " ")), 40))
	case workflow.KindGate:
		n.kind = kindGate
		add("%s", shorten(t.Gates[name].Question.String(), 40))
	case workflow.KindTeam:
		n.kind = kindTeam
		add("team %s", shorten(t.Teams[name].File, 36))
	case workflow.KindAgent:
		n.kind = kindAgent
		a := t.Agents[name]
		switch {
		case a.AgentID != "":
			add("%s", shorten(a.AgentID, 32))
		case a.Role != "" && a.Role != a.Name:
			add("role %s", shorten(a.Role, 32))
		}
		if a.Model != "" {
			add("%s", shorten(a.Model, 40))
		}
	}
	return n
}

// How a label is broken into lines.
const (
	labelWidth = 34 // characters of a line
	labelLines = 3  // lines of reasons
)

// label writes a rule: its number and reasons, its condition, what it starts,
// and how often it may fire.
func label(r *workflow.Rule) []string { return append(reasons(r), conditions("", r)...) }

// reasons writes the number and the reasons of a rule.
func reasons(r *workflow.Rule) []string {
	names := make([]string, len(r.On))
	for i, reason := range r.On {
		names[i] = string(reason)
	}
	if slices.Contains(names, anyReason) {
		names = []string{"any reason"}
	}
	return wrap(fmt.Sprintf("%d: ", r.Number), names)
}

// conditions writes the rest of a rule, after a first line if there is one.
func conditions(first string, r *workflow.Rule) []string {
	var lines []string
	if first != "" {
		lines = append(lines, first)
	}
	if r.When != nil {
		lines = append(lines, halve("when "+shorten(r.When.String(), 2*labelWidth-10))...)
	}
	switch {
	case r.ForEach != nil:
		lines = append(lines, halve("for each of "+shorten(r.ForEach.String(), 2*labelWidth-20))...)
		if r.MaxParallel > 0 && r.MaxParallel < r.MaxItems {
			lines = append(lines, fmt.Sprintf("%d at once, at most %d", r.MaxParallel, r.MaxItems))
		} else {
			lines = append(lines, fmt.Sprintf("all at once, at most %d", r.MaxItems))
		}
	case len(r.To) > 1:
		lines = append(lines, "in parallel")
	}
	if limits := limits(r.Limits); limits != "" {
		lines = append(lines, limits)
	}
	switch {
	case r.Retry != nil && r.Max > 0:
		lines = append(lines, fmt.Sprintf("retry, at most %d, %d in all", r.Retry.Max, r.Max))
	case r.Retry != nil:
		lines = append(lines, fmt.Sprintf("retry, at most %d", r.Retry.Max))
	case r.Max > 0 && r.ForEach != nil:
		lines = append(lines, fmt.Sprintf("fires at most %d times", r.Max))
	case r.Max > 0:
		lines = append(lines, fmt.Sprintf("at most %d", r.Max))
	}
	return lines
}

// limits writes the limits of each branch that a rule starts.
func limits(l workflow.Limits) string {
	var parts []string
	if l.Turns > 0 {
		parts = append(parts, fmt.Sprintf("%d turns", l.Turns))
	}
	if l.Tokens > 0 {
		parts = append(parts, fmt.Sprintf("%d tokens", l.Tokens))
	}
	if l.Duration > 0 {
		text := l.Duration.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		parts = append(parts, text)
	}
	if l.Cost > 0 {
		parts = append(parts, fmt.Sprintf("$%.2f", float64(l.Cost)/1e6))
	}
	if len(parts) == 0 {
		return ""
	}
	return "limits " + strings.Join(parts, ", ")
}

// wrap breaks a list of words into lines; of a long list it says how many more there are.
func wrap(first string, words []string) []string {
	lines := []string{first}
	for i, word := range words {
		last := len(lines) - 1
		if i < len(words)-1 {
			word += ", "
		}
		if utf8.RuneCountInString(lines[last]+word) > labelWidth && lines[last] != first {
			if len(lines) == labelLines {
				lines[last] += fmt.Sprintf("and %d more", len(words)-i)
				break
			}
			lines, last = append(lines, ""), last+1
		}
		lines[last] += word
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// halve breaks a long text at the space nearest to its middle.
func halve(text string) []string {
	middle, at := len(text)/2, -1
	for i := range len(text) {
		if text[i] == ' ' && (at < 0 || max(i-middle, middle-i) < max(at-middle, middle-at)) {
			at = i
		}
	}
	if at < 0 || utf8.RuneCountInString(text) <= labelWidth {
		return []string{text}
	}
	return []string{text[:at], text[at+1:]}
}

// shorten puts text on one line of at most n characters.
func shorten(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
