package engine

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TurnRunner carries out turns on App Servers. orchestrator/runner implements
// it; tests use a fake.
type TurnRunner interface {
	// Run carries out one attempt at a turn. It calls Recorder.Sending, and
	// sends nothing when that fails, before the input frame is written.
	// The engine fills in Turn and Attempt of what is returned. Nothing may use
	// rec after Run has returned.
	// Whatever goes wrong with the App Server or the model is a TurnFinished with
	// a reason, and so is a connection that fails before Sending. A turn that may
	// go on without us is no TurnFinished but an *UnknownOutcomeError, after which
	// the engine calls Reconcile; an input that certainly reached no model is a
	// *NotConsumedError. Any other error means that nothing may be recorded:
	// ctx ended, or the recorder failed. context.Cause(ctx) is ErrStopping or
	// ErrTurnAborted then; on the latter the App Server should be told to abort.
	Run(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error)
	// Reconcile finds out what became of an attempt that was sent and with which
	// contact was lost, be it by the orchestrator's own end. It must be sure that
	// the attempt does not run any more, or report FindingUnknown: what follows
	// may send again. An error means that it cannot be found out now,
	// for instance because the App Server cannot be reached; the engine asks again later.
	Reconcile(ctx context.Context, req TurnRequest) (workflow.TurnReconciled, error)
}

// TurnRequest is everything a TurnRunner needs to know.
type TurnRequest struct {
	Task  string
	Team  *workflow.Team
	Agent *workflow.Agent
	Turn  workflow.Turn
	// Workspace is the absolute directory the tools must run in.
	Workspace string
	// Conversation is the runtime this agent already has in this task; zero for its first turn.
	Conversation workflow.Runtime
	// Consumed, for Reconcile, is what UnknownOutcomeError.Consumed said of the attempt.
	Consumed bool
}

// Recorder receives what must be durable, and what people watch, while a turn runs.
type Recorder interface {
	// RuntimeStarted stores the runtime exactly as the App Server returned it.
	RuntimeStarted(ctx context.Context, rt RuntimeRecord) error
	// Sending commits that the input is about to be sent. It fails with
	// store.ErrConversationBusy when another turn holds the conversation.
	Sending(ctx context.Context, clientMessageID string, rt workflow.Runtime) error
	// Accepted commits that the App Server acknowledged the input.
	Accepted(ctx context.Context, disposition string) error
	// Progress shows what the turn does now. It never blocks and is not stored.
	Progress(p Progress)
}

// RuntimeRecord is one row of the runtime registry.
type RuntimeRecord struct {
	Runtime workflow.Runtime
	CWD     string
	Mode    string
	Role    string
	Agent   string // name of the team's agent
	Task    string
	// Raw is the "runtime" object of runtime_start_response, byte for byte.
	Raw []byte
}

// ProgressKind says what a Progress is about.
type ProgressKind string

// The kinds of progress.
const (
	ProgressText     ProgressKind = "text"     // a piece of the answer
	ProgressThinking ProgressKind = "thinking" // a piece of reasoning
	ProgressTool     ProgressKind = "tool"     // a tool call starts
	ProgressToolDone ProgressKind = "tool_done"
	ProgressUsage    ProgressKind = "usage"
	ProgressRetry    ProgressKind = "retry" // the App Server retries the model
	ProgressApproval ProgressKind = "approval"
	// ProgressBlocked: the turn waits because another one holds its conversation; Text says which.
	ProgressBlocked ProgressKind = "blocked"
	// ProgressReconcile: what became of a turn cannot be found out yet; Text says why.
	ProgressReconcile ProgressKind = "reconcile"
)

// Progress is one live observation of a running turn.
type Progress struct {
	Kind ProgressKind
	// Text is the piece of text, the retry's message, or the approval's decision.
	Text string
	// Tool and Argument name a tool call, e.g. "Edit", "cmd/root.go".
	Tool     string
	Argument string
	Usage    workflow.Usage
}
