package workflow

import (
	"strings"
	"testing"
)

// TestStatesDocument keeps docs/states.md equal to the tables.
func TestStatesDocument(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# States

This page is generated from the tables in ` + "`workflow/lifecycle.go`" + ` by ` + "`go test ./workflow -update`" + `. Do not edit it.

## Task

A task is one run of a team. It is ` + "`waiting`" + ` while it waits for a time (the back-off of a retry) and holds no resources then.
` + "`succeeded`, `failed` and `cancelled`" + ` are final.

` + "```mermaid\n" + MermaidTask() + "```" + `

## Turn

A turn is one message to one agent and what the agent makes of it. Every attempt at a turn begins at ` + "`pending`" + `, which means: certainly not
sent. ` + "`sent`" + ` means: it may have been sent, and after a crash it is never simply sent again but looked up first. ` + "`running`" + ` means: the App Server
has acknowledged it.

` + "```mermaid\n" + MermaidTurn() + "```\n")
	golden(t, "../docs/states.md", b.String())
}
