// Package engine drives tasks: it claims them, takes every event through
// workflow.Decide, commits the decision to the store and carries out what
// follows from it, through a TurnRunner.
//
// One goroutine runs per running turn and one keeps the timers; a task that
// waits is a row in the store and nothing else. What is outstanding is always
// derived from the states in the store, so a new engine on the same data
// directory goes on where the last one stopped, however it stopped. A turn
// that had been sent is never simply sent again: the TurnRunner first finds
// out what became of it.
package engine
