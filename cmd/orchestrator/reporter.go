package main

import (
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// reporter shows a person, or a program, how a task goes on.
type reporter interface {
	// begin shows which task this is. earlier is its journal so far.
	begin(team *workflow.Team, earlier []store.Record)
	// record shows one committed event.
	record(rec store.Record)
	// progress shows what a running turn does.
	progress(turn int, node string, p engine.Progress)
	// note shows a remark of the command itself, also after end.
	note(text string)
	// end shows the result and gives the terminal back. changes may be empty.
	// It is called once, also when the task has not ended.
	end(changes string)
}
