package engine

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
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
	// a reason. A server that cannot be reached before Sending is an
	// *UnreachableError, after which Run is called again some time. A turn that may
	// go on without us is an *UnknownOutcomeError, after which
	// the engine calls Reconcile; an input that certainly reached no model is a
	// *NotConsumedError. Any other error means that nothing may be recorded:
	// ctx ended, or the recorder failed. context.Cause(ctx) is ErrStopping or
	// ErrTurnAborted then; on the latter the App Server should be told to abort.
	// Where the cause is a *BudgetError the App Server is told to abort too, but
	// the turn ends as a TurnFinished: with ReasonBudgetExceeded, the text and
	// the usage so far, and the cause's text as its error.
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
	// Server is the App Server on which room was taken; empty without Options.Servers.
	Server string
	// Conversation is the runtime this agent already has in this task; zero for its first turn.
	Conversation workflow.Runtime
	// NeedPrice says that a limit of money is set: see RuntimeRecord.Model.
	NeedPrice bool
	// HandoffTargets are what the tool handoff may name; empty when the agent may not use it.
	HandoffTargets []string
	// SpawnTeams are the sub-teams that the tool spawn_task may name.
	SpawnTeams []string
	// Consumed, for Reconcile, is what UnknownOutcomeError.Consumed said of the attempt.
	Consumed bool
	// Frames is told when frames of the turn are written and read; it may be nil.
	Frames *FrameTimes
}

// Recorder receives what must be durable, and what people watch, while a turn runs.
type Recorder interface {
	// RuntimeStarted notes the runtime exactly as the App Server returned it. It is
	// stored with Sending: a runtime in which nothing was sent is of no use to anybody.
	RuntimeStarted(ctx context.Context, rt RuntimeRecord) error
	// Sending commits that the input is about to be sent. It fails with
	// store.ErrConversationBusy when another turn holds the conversation.
	Sending(ctx context.Context, clientMessageID string, rt workflow.Runtime) error
	// Accepted notes that the App Server acknowledged the input. It is stored soon,
	// at the latest with the end of the turn, and does not wait for that.
	Accepted(ctx context.Context, disposition string) error
	// Progress shows what the turn does now. It never blocks and is not stored.
	// The engine enforces limits by what ProgressUsage says, so that it is to be
	// sent after every usage_statistics.
	Progress(p Progress)
	// Ask commits a question to a person, and returns their answer when it is
	// committed. When nobody answers in time it returns an Answer with Expired
	// (AnswerDeny for an approval). Errors: the end of ctx, and those of the store.
	Ask(ctx context.Context, q Question) (Answer, error)
	// Report commits what the agent said of its progress. percent is nil or 0 to 100.
	Report(ctx context.Context, text string, percent *int) error
	// Spawn makes a task of the sub-team with this name and returns its ID. The
	// same call is identified by id, the tool call's, so that it makes one task.
	// Errors for the agent to read are *SpawnError.
	Spawn(ctx context.Context, id, team string, input map[string]any) (task string, err error)
}

// Question is what an agent asks a person.
type Question struct {
	Kind workflow.QuestionKind
	Text string
	// Tool and Argument are what an approval is asked for.
	Tool, Argument string
	Choices        []string
}

// Answer is what a person answered.
type Answer struct {
	Text string
	By   string
	// Expired says that nobody answered in time.
	Expired bool
}

// RuntimeRecord is one row of the runtime registry.
type RuntimeRecord struct {
	Runtime workflow.Runtime
	CWD     string
	Mode    string
	Role    string
	Agent   string // name of the team's agent
	Task    string
	// Model is the handle of the model; empty when it is not known. Where
	// TurnRequest.NeedPrice is set and the model has no known price,
	// RuntimeStarted fails with a *PriceError, and the turn is not sent.
	Model string
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
	// ProgressOutput: a piece of the output of a check.
	ProgressOutput ProgressKind = "output"

	// Those that follow are for the transcript alone: see Transcripts.

	// ProgressToolCall: a tool was called that did not start, such as one that was denied.
	ProgressToolCall ProgressKind = "tool_call"
	// ProgressToolReturn: Text is what came back of a tool.
	ProgressToolReturn ProgressKind = "tool_return"
	// ProgressStop: Text is the stop reason of one request to the model.
	ProgressStop ProgressKind = "stop"
	// ProgressStatus: Text is what else the App Server says.
	ProgressStatus ProgressKind = "status"
	// ProgressQuestion and ProgressAnswer: what a person is asked, and answers.
	ProgressQuestion ProgressKind = "question"
	ProgressAnswer   ProgressKind = "answer"
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

	// Call is the ID of a tool call, Input its arguments as JSON, and Status says how
	// it ended; Subagent is set on what a sub-agent of the App Server does. They are
	// for the transcript alone.
	Call, Input, Status, Subagent string
}

// CheckRunner runs the commands of checks. orchestrator/check implements it.
type CheckRunner interface {
	// RunCheck runs the command to its end or its timeout, and then ends whatever
	// the command left running. It reports everything that can go wrong with the command,
	// also that it cannot be started, as a TurnFinished with ReasonFailed. An
	// error means that nothing may be recorded: ctx ended. Where its cause is a
	// *BudgetError, the check ends as a TurnFinished with ReasonBudgetExceeded.
	RunCheck(ctx context.Context, req CheckRequest) (workflow.TurnFinished, error)
}

// CheckRequest is everything a CheckRunner needs to know.
type CheckRequest struct {
	Task  string
	Check *workflow.Check
	Turn  workflow.Turn
	// Workspace is the absolute directory of the task.
	Workspace string
	// Environment is NAME=value of what the check is told of its task.
	Environment []string
	// OutputLimit is how long TurnFinished.Output may be, in bytes; of a longer
	// output the beginning and the end are kept, and the whole goes to OutputFile.
	OutputLimit int
	// OutputFile is made when the output is longer than OutputLimit.
	OutputFile string
	// Redact takes secrets out of the output, in its file, too; nil knows none.
	Redact *redact.Redactor
	// Progress shows the newest of the output now and then. It never blocks.
	Progress func(p Progress)
	// Output takes all of the output as it comes, without secrets; nil takes nothing.
	// It never blocks, and must not keep p.
	Output func(p []byte)
}

// Prices says what a turn costs.
type Prices interface {
	// Price returns millionths of a US dollar, rounded up; known is false when the
	// model has no price, which is never the same as zero.
	Price(model string, u workflow.Usage) (cost int64, known bool)
}
