// Package workflow is the pure core of the orchestrator: the team file, the
// rules of handoff and the state machine of a task.
//
// Nothing in this package starts a goroutine, reads a clock, draws a random
// number or touches a file, a socket or an environment variable. Times and
// identifiers arrive inside events; everything that waits is data in a State.
// That is what lets one engine store it in SQLite, a test run it with a fake
// clock, and a past task be replayed against a changed team.
package workflow
