package main

import (
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// reporter shows a person, or a program, how a task goes on.
type reporter interface {
	// begin shows which task this is. earlier is its journal so far, and after it
	// those of the tasks that belong to it.
	begin(team *workflow.Team, earlier []store.Record)
	// record shows one committed event of the task, or of one that belongs to it.
	record(rec store.Record)
	// progress shows what a running turn does.
	progress(task string, turn int, node string, p engine.Progress)
	// asks shows what a person can answer now. It is called when that changes.
	asks(open []ask)
	// note shows a remark of the command itself, also after end.
	note(text string)
	// end shows the result and gives the terminal back. It is called once, also
	// when the task has not ended.
	end(last ending)
}

// ending is what there is to tell at the end of a run besides the journal.
type ending struct {
	// changes of the workspace; may be empty.
	changes string
	// waits is set when the task has not ended and waits for somebody.
	waits *waits
}
