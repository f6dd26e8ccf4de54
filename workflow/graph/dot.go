package graph

import (
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// DOT draws a team in the language of Graphviz.
func DOT(t *workflow.Team) string {
	d := newDrawing(t)
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n", dotText(d.title))
	b.WriteString("    rankdir=TB;\n    node [fontname=\"Helvetica\", fontsize=12];\n    edge [fontname=\"Helvetica\", fontsize=10];\n")
	for i, n := range d.nodes {
		style := map[nodeKind]string{
			kindStart: "shape=point, width=0.15", kindAgent: "shape=box", kindEvery: "shape=hexagon, style=dashed", kindEnd: "shape=box, style=rounded",
			kindCheck: "shape=parallelogram", kindGate: "shape=diamond", kindTeam: "shape=box, peripheries=2", kindJoin: "shape=circle",
		}[n.kind]
		fmt.Fprintf(&b, "    n%d [label=%s, %s];\n", i, dotText(n.lines...), style)
	}
	for _, e := range d.edges {
		style := ""
		if d.nodes[e.from].kind == kindEvery {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "    n%d -> n%d [label=%s%s];\n", e.from, e.to, dotText(e.lines...), style)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText quotes lines of text as one string of DOT.
func dotText(lines ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(lines))
	for i, line := range lines {
		quoted[i] = escape.Replace(line)
	}
	return `"` + strings.Join(quoted, `\n`) + `"`
}
