package graph

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Mermaid draws a team as a Mermaid flowchart.
func Mermaid(t *workflow.Team) string {
	d := newDrawing(t)
	var b strings.Builder
	b.WriteString("flowchart TB\n")
	for i, n := range d.nodes {
		text := mermaidText(n.lines)
		shape := map[nodeKind]string{
			kindStart: `(( ))`, kindAgent: `["` + text + `"]`, kindEvery: `{{"` + text + `"}}`, kindEnd: `(["` + text + `"])`,
			kindCheck: `[/"` + text + `"/]`, kindGate: `{"` + text + `"}`, kindTeam: `[["` + text + `"]]`, kindJoin: `(("` + text + `"))`,
		}[n.kind]
		fmt.Fprintf(&b, "    %s%s\n", d.mermaidID(i), shape)
	}
	for _, e := range d.edges {
		arrow := "-->"
		if d.nodes[e.from].kind == kindEvery {
			arrow = "-.->"
		}
		if len(e.lines) > 0 {
			arrow += `|"` + mermaidText(e.lines) + `"|`
		}
		fmt.Fprintf(&b, "    %s %s %s\n", d.mermaidID(e.from), arrow, d.mermaidID(e.to))
	}
	return b.String()
}

// mermaidWord is a name that Mermaid takes as it is. One with a hyphen could
// read as an arrow or begin with a keyword.
var mermaidWord = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// mermaidKeywords are the words of the flowchart language, and o and x, which
// are ends of arrows.
func mermaidKeywords() []string {
	return []string{
		"end", "graph", "flowchart", "subgraph", "style", "linkstyle", "class", "classdef", "click", "default", "direction",
		"interpolate", "call", "href", "o", "x",
	}
}

// mermaidID is the name of a node. Names of a team are in lower case, so that
// those made up here, in upper case, cannot be among them.
func (d *drawing) mermaidID(i int) string {
	n := d.nodes[i]
	switch {
	case n.kind == kindStart:
		return "START"
	case n.kind == kindEvery:
		return "EVERY"
	case n.kind == kindJoin:
		return fmt.Sprintf("JOIN%d", i)
	case mermaidWord.MatchString(n.name) && !slices.Contains(mermaidKeywords(), n.name):
		return n.name
	}
	return fmt.Sprintf("N%d", i)
}

// mermaidText escapes what Mermaid or the browser would read as markup, by
// the character's number, which is Mermaid's own way to write it.
func mermaidText(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		for _, r := range line {
			if strings.ContainsRune("\"#<>&`;\\{}[]|*~$%", r) {
				fmt.Fprintf(&b, "#%d;", r)
				continue
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
