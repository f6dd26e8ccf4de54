// Package runner carries out turns on a Letta App Server for the engine: it
// keeps one connection, reuses one Letta agent for every agent of a team,
// starts runtimes, sends the input, answers permission requests by the team's
// patterns and by asking people, serves the tools of the orchestrator
// (report_outcome, handoff, update_progress, ask_human, spawn_task), and says how
// the turn ended.
//
// Whatever goes wrong with the server, the model or the connection is a reason
// of the turn (workflow.TurnFinished) and no error: handoff rules decide about
// it. An error of Run or Reconcile means that nothing may be recorded.
package runner
