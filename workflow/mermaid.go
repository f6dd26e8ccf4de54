package workflow

import (
	"fmt"
	"strings"

	"github.com/looplab/fsm"
)

// MermaidTask draws the lifecycle of a task as a Mermaid state diagram.
func MermaidTask() string { return mermaid(taskTable(), "") }

// MermaidTurn draws the lifecycle of a turn as a Mermaid state diagram.
func MermaidTurn() string { return mermaid(turnTable(), string(TurnPending)) }

// mermaid draws a table. start is the state that a machine begins in; with an
// empty start the table itself says so by steps that lead out of no state.
func mermaid(table fsm.Events, start string) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	if start != "" {
		fmt.Fprintf(&b, "    [*] --> %s\n", start)
	}
	left := map[string]bool{}
	for _, step := range table {
		for _, from := range step.Src {
			left[from] = true
			if from == "" {
				from = "[*]"
			}
			fmt.Fprintf(&b, "    %s --> %s: %s\n", from, step.Dst, step.Name)
		}
	}
	drawn := map[string]bool{}
	for _, step := range table {
		last := !left[step.Dst] || step.Dst == string(TurnEnded)
		if last && !drawn[step.Dst] {
			drawn[step.Dst] = true
			fmt.Fprintf(&b, "    %s --> [*]\n", step.Dst)
		}
	}
	return b.String()
}
