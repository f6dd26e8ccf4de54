package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// asking is how a run gets answers from people.
type asking struct {
	prepared []prepared // --answer
	// interactive says that somebody sits at the terminal, whose answers come
	// through answers.
	interactive bool
	answers     chan typed
	// leaving holds a token when that somebody leaves the answers for later.
	leaving chan struct{}
	open    []ask // as the reporter knows them
	tried   map[turnQuestion]bool
}

// turnQuestion names an ask.
type turnQuestion struct {
	task           string
	turn, question int
}

// terminalInput is the standard input where somebody can type; nil where not.
func terminalInput(in io.Reader) io.Reader {
	f, ok := in.(interface {
		io.Reader
		Fd() uintptr
	})
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// leave is called when the person at the terminal will answer no more.
func (a *asking) leave() {
	select {
	case a.leaving <- struct{}{}:
	default: // once is enough
	}
}

// consider answers what can be answered without anybody, shows the rest, and
// ends the run when nothing else is left.
func (d *drive) consider(ctx context.Context) {
	open := d.family.asks()
	for _, a := range open {
		key := turnQuestion{a.Task, a.Turn, a.Question}
		given, ok := answerFor(d.prepared, a)
		if !ok || d.tried[key] {
			continue
		}
		d.tried[key] = true
		d.give(ctx, a, given, userName()+" (--answer)")
		return // what follows comes as an update
	}
	if !slices.EqualFunc(open, d.open, ask.same) {
		d.open = open
		d.reporter.asks(open)
	}
	w, blocked := d.family.blocked(d.task)
	if !blocked || len(w.paused) == 0 && d.interactive {
		return
	}
	if slices.ContainsFunc(w.asks, func(a ask) bool { return !a.Expires.IsZero() && !a.Expires.After(time.Now()) }) && len(w.paused) == 0 {
		return // its time is over, which the engine is about to notice
	}
	d.waits = &w
}

// give records an answer.
func (d *drive) give(ctx context.Context, a ask, given answer, by string) {
	ctx = context.WithoutCancel(ctx)
	var err error
	if a.Kind == askGate {
		_, err = d.AnswerGate(ctx, a.Task, a.Turn, given.approved, by, given.text)
	} else {
		_, err = d.AnswerQuestion(ctx, a.Task, a.Question, given.text, by)
	}
	switch {
	case err == nil:
	case errors.Is(err, workflow.ErrStale), errors.Is(err, workflow.ErrTerminal):
		d.reporter.note(fmt.Sprintf("the answer to %s came too late: it is not open any more", a.name()))
	default:
		d.reporter.note(fmt.Sprintf("the answer to %s could not be recorded: %s", a.name(), firstSentence(err)))
	}
}

// resumePaused goes on with what is paused of a task that is to be driven.
func (d *drive) resumePaused(ctx context.Context) error {
	if d.flags.resume == "" {
		return nil
	}
	found := watched{family: family{}, seq: map[string]int64{}}
	if _, err := found.look(ctx, d, d.task); err != nil {
		return err
	}
	for _, s := range found.family.sorted() {
		if s.Status == workflow.TaskPaused && pausedOf(s).Parent == "" { // the others follow
			if _, err := d.Resume(ctx, s.Task, userName(), workflow.Limits{}); err != nil {
				return err
			}
		}
	}
	return nil
}
