package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// runCheck runs the command of a check. That it is going to run is committed
// before, so that after a crash it is known that it may have.
func (e *Engine) runCheck(ctx context.Context, w *work, state workflow.State, team *workflow.Team, turn workflow.Turn) {
	if _, err := e.apply(ctx, w.key.task, workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt}); err != nil {
		e.handle(ctx, w.key.task, "record the start of the check", err)
		return
	}
	frames := e.frameTimes(w.key)
	kept := e.beginTranscript(w.key, turn, workflow.Runtime{}, "", commandOf(team.Checks[turn.Node]))
	defer func() { e.closeTranscript(kept, nil) }()
	finish := func(finished workflow.TurnFinished) {
		t := kept
		kept = nil
		e.finishKept(ctx, w.key, finished, t, nil)
	}
	frames.starting()
	finished, err := e.callCheck(ctx, CheckRequest{
		Task: w.key.task, Check: team.Checks[turn.Node], Turn: turn, Workspace: state.Workspace,
		Environment: e.commandEnvironment(state, turn), OutputLimit: outputLimit(team), OutputFile: e.outputFile(w.key), Redact: e.o.Redact,
		Progress: func(p Progress) { e.publishProgress(w.key, turn.Node, p) }, Output: keepOutputIn(kept),
	})
	frames.over()
	defer e.observing.forget(w.key)
	if err != nil {
		if budget := (*BudgetError)(nil); errors.As(context.Cause(ctx), &budget) {
			finish(workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: budget.Note})
			return
		}
		if ctx.Err() == nil {
			finish(workflow.TurnFinished{Reason: workflow.ReasonFailed, Error: err.Error()})
			return
		}
		// Stopped: the next start finds that it may have run.
		e.o.Log.Debug().Err(err).Str("task", w.key.task).Int("turn", turn.ID).Msg("check stopped; nothing is recorded for it")
		return
	}
	finish(finished)
}

// keepOutputIn is nil where there is no transcript.
func keepOutputIn(kept Transcript) func(p []byte) {
	if kept == nil {
		return nil
	}
	return func(p []byte) { kept.Add(Progress{Kind: ProgressOutput, Text: string(p)}) }
}

// commandOf is empty for a check that there is not.
func commandOf(check *workflow.Check) string {
	if check == nil {
		return ""
	}
	return check.Run
}

func (e *Engine) callCheck(ctx context.Context, req CheckRequest) (finished workflow.TurnFinished, err error) {
	if e.o.Checks == nil {
		return workflow.TurnFinished{Reason: workflow.ReasonFailed, Error: "this orchestrator runs no checks"}, nil
	}
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("task", req.Task).Msg("the check runner panicked")
			finished, err = workflow.TurnFinished{Reason: workflow.ReasonFailed, Error: fmt.Sprintf("the check runner panicked: %v", p)}, nil
		}
	}()
	return e.o.Checks.RunCheck(ctx, req)
}

// commandEnvironment is what a command is told of its task and of the trace.
func (e *Engine) commandEnvironment(state workflow.State, turn workflow.Turn) []string {
	trace := state.Trace
	if e.o.Trace != nil {
		trace = e.o.Trace(&state, turn)
	}
	env := checkEnvironment(state, turn)
	if trace == nil {
		return env
	}
	return append(env, "TRACEPARENT="+trace.Parent, "TRACESTATE="+trace.State)
}

// checkEnvironment is what a command is told of its task.
func checkEnvironment(state workflow.State, turn workflow.Turn) []string {
	env := []string{
		"ORCHESTRATOR_TASK=" + state.Task, "ORCHESTRATOR_TEAM=" + state.Team, "ORCHESTRATOR_NODE=" + turn.Node,
		fmt.Sprintf("ORCHESTRATOR_TURN=%d", turn.ID), fmt.Sprintf("ORCHESTRATOR_ATTEMPT=%d", turn.Attempt),
		"ORCHESTRATOR_WORKSPACE=" + state.Workspace, "ORCHESTRATOR_GIT_BRANCH=" + state.GitBranch,
	}
	var inputs []string
	for name, value := range state.Input {
		inputs = append(inputs, "INPUT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+strings.ReplaceAll(fmt.Sprint(value), "\x00", ""))
	}
	slices.Sort(inputs)
	return append(env, inputs...)
}

// outputFile is where the whole of a long output goes; empty without Options.OutputDir.
func (e *Engine) outputFile(key turnKey) string {
	if e.o.OutputDir == "" {
		return ""
	}
	return filepath.Join(e.o.OutputDir, key.task, fmt.Sprintf("%d.%d.txt", key.turn, key.attempt))
}
