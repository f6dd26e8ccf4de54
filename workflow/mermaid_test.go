package workflow

import (
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
)

// TestStatesDocument keeps docs/states.md equal to the tables.
func TestStatesDocument(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# States

This page is generated from the tables in ` + "`workflow/lifecycle.go`" + ` by ` + "`go test ./workflow -update`" + `. Do not edit it.

## Task

A task is one run of a team. It is ` + "`waiting`" + ` while all that it waits for is a time (the back-off of a retry, a provider's quota) or a person
(an open gate), and holds no resources then. It is ` + "`paused`" + ` when a person asked for it, or when a limit is reached and no rule says what
happens then: what runs goes on to its end, nothing new begins, and everything goes on where it was when the task is resumed.
` + "`succeeded`, `failed` and `cancelled`" + ` are final.

` + "```mermaid\n" + MermaidTask() + "```" + `

## Turn

A turn is one visit of a node: a message to an agent and what the agent makes of it, a run of a check, the task of a sub-team, or a gate,
which stays ` + "`pending`" + ` until it is answered or expires. Every attempt at a turn begins at ` + "`pending`" + `, which means: certainly not
sent. ` + "`sent`" + ` means: it may have been sent, and after a crash it is never simply sent again but looked up first. ` + "`running`" + ` means: the App Server
has acknowledged it (of a check: that it was started; of a sub-team: that its task is there). ` + "`awaiting_approval`" + ` means: it has asked a person,
and goes on when there is an answer or the time to answer is over.

` + "```mermaid\n" + MermaidTurn() + "```\n")
	golden.File(t, "../docs/states.md", b.String())
}
