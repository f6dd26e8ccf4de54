// Package graph draws a team: its agents, the ends of a task and the rules
// between them, as Mermaid, as DOT for Graphviz, or as a complete SVG picture.
//
// Everything here is pure: the same team gives the same text.
package graph

import (
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
	kindEvery // all agents, for rules from "*"
	kindEnd   // succeeded, failed or cancelled
)

// every is the name of the node that stands for all agents. It is no name that
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

// newDrawing makes the nodes and edges of a team. Rules about every agent are
// drawn once, from a node that stands for all of them.
func newDrawing(t *workflow.Team) *drawing {
	d := &drawing{title: t.Name}
	d.add(node{name: "", kind: kindStart})
	for _, name := range t.AgentNames {
		d.add(node{name: name, kind: kindAgent, lines: describe(t.Agents[name])})
	}
	d.connect(0, d.index(t.Start), nil)
	for _, r := range t.Handoffs {
		for _, from := range sources(t, r) {
			at := d.index(from)
			if at < 0 {
				at = d.add(node{name: every, kind: kindEvery, lines: []string{"every agent"}})
			}
			to := at
			if r.Retry == nil {
				to = d.index(r.To)
			}
			if to < 0 {
				to = d.add(node{name: r.To, kind: kindEnd, lines: []string{r.To}})
			}
			d.connect(at, to, label(r))
		}
	}
	return d
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
func sources(t *workflow.Team, r *workflow.Rule) []string {
	all := slices.Contains(r.From, every) || len(r.From) == len(t.AgentNames)
	switch {
	case all && len(t.AgentNames) > 1:
		return []string{every}
	case all:
		return t.AgentNames
	}
	return r.From
}

// describe writes who an agent is.
func describe(a *workflow.Agent) []string {
	lines := []string{a.Name}
	switch {
	case a.AgentID != "":
		lines = append(lines, shorten(a.AgentID, 32))
	case a.Role != "" && a.Role != a.Name:
		lines = append(lines, "role "+shorten(a.Role, 32))
	}
	if a.Model != "" {
		lines = append(lines, shorten(a.Model, 40))
	}
	return lines
}

// How a label is broken into lines.
const (
	labelWidth = 34 // characters of a line
	labelLines = 3  // lines of reasons
)

// label writes a rule: its number and reasons, its condition, and how often it may fire.
func label(r *workflow.Rule) []string {
	reasons := make([]string, len(r.On))
	for i, reason := range r.On {
		reasons[i] = string(reason)
	}
	if slices.Contains(reasons, anyReason) {
		reasons = []string{"any reason"}
	}
	lines := wrap(fmt.Sprintf("%d: ", r.Number), reasons)
	if r.When != nil {
		lines = append(lines, halve("when "+shorten(r.When.String(), 2*labelWidth-10))...)
	}
	switch {
	case r.Retry != nil && r.Max > 0:
		lines = append(lines, fmt.Sprintf("retry, at most %d, %d in all", r.Retry.Max, r.Max))
	case r.Retry != nil:
		lines = append(lines, fmt.Sprintf("retry, at most %d", r.Retry.Max))
	case r.Max > 0:
		lines = append(lines, fmt.Sprintf("at most %d", r.Max))
	}
	return lines
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
