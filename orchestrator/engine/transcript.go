package engine

import (
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Transcripts keeps the streams of turns for people. orchestrator/transcript
// implements it. Nothing in it may fail or wait.
type Transcripts interface {
	// Begin begins the transcript of an attempt that is about to be sent, or goes on with it.
	Begin(start TranscriptStart) Transcript
}

// Transcript takes what is seen of one attempt, without secrets.
type Transcript interface {
	Add(p Progress)
	// Close ends it; end is a workflow.TurnFinished or a workflow.TurnReconciled, or
	// nil where nothing is known of the end yet.
	Close(end workflow.EventBody)
}

// TranscriptStart says what an attempt is.
type TranscriptStart struct {
	Task          string
	Turn, Attempt int
	Node          string
	Kind          workflow.NodeKind
	Runtime       workflow.Runtime
	Model         string
	// Prompt is the message that is sent, or the command of a check.
	Prompt string
}

// beginTranscript is nil where none is kept.
func (e *Engine) beginTranscript(key turnKey, turn workflow.Turn, rt workflow.Runtime, model, prompt string) Transcript {
	if e.o.Transcripts == nil {
		return nil
	}
	return e.o.Transcripts.Begin(TranscriptStart{
		Task: key.task, Turn: key.turn, Attempt: key.attempt, Node: turn.Node, Kind: turn.Kind, Runtime: rt, Model: model, Prompt: e.o.Redact.String(prompt),
	})
}

// closeTranscript ends one that may be nil.
func (e *Engine) closeTranscript(t Transcript, end workflow.EventBody) {
	if t != nil {
		t.Close(e.redacted(end))
	}
}

// keptOnly says whether an observation is for the transcript alone: it would be
// too much for those who watch.
func (p Progress) keptOnly() bool {
	switch p.Kind {
	case ProgressToolCall, ProgressToolReturn, ProgressStop, ProgressStatus, ProgressQuestion, ProgressAnswer:
		return true
	case ProgressText, ProgressThinking, ProgressTool, ProgressToolDone, ProgressUsage, ProgressRetry, ProgressApproval,
		ProgressBlocked, ProgressReconcile, ProgressOutput:
	}
	return p.Subagent != ""
}

// watched is what those who watch get of it.
func (p Progress) watched() Progress {
	p.Call, p.Input, p.Status = "", "", ""
	return p
}

// keep sets the transcript of the attempt, which may be nil.
func (r *recorder) keep(t Transcript) {
	if t != nil {
		r.kept.Store(&t)
	}
}

// takeKept returns the transcript of the attempt once; nil where there is none.
func (r *recorder) takeKept() Transcript {
	if kept := r.kept.Swap(nil); kept != nil {
		return *kept
	}
	return nil
}
