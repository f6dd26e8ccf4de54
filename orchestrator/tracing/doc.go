// Package tracing tells OpenTelemetry what tasks do: a trace for each task, with
// spans of its turns, checks, waits, handoffs and commits, sent with OTLP over HTTP.
//
// It is an observer of the engine. A span is made when what it tells of is over,
// from the state before and after a decision, and never kept open. The IDs follow
// from the IDs of tasks, turns and attempts, so that whoever goes on after a crash
// goes on with the same trace. Attributes are those of the semantic conventions for
// generative AI where there are any, and orchestrator.… otherwise.
package tracing
