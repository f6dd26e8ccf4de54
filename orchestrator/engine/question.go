package engine

import (
	"context"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// questionKey names a question that a running turn waits for.
type questionKey struct {
	task     string
	question int
}

// Ask implements Recorder.
func (r *recorder) Ask(ctx context.Context, q Question) (Answer, error) {
	r.Progress(Progress{Kind: ProgressQuestion, Text: q.Text, Tool: q.Tool, Argument: q.Argument}) //nolint:contextcheck // it takes none
	a, err := r.ask(ctx, q)
	if err == nil {
		text := a.Text
		if a.Expired {
			text += " (nobody answered in time)"
		}
		r.Progress(Progress{Kind: ProgressAnswer, Text: text, Argument: a.By}) //nolint:contextcheck // it takes none
	}
	return a, err
}

func (r *recorder) ask(ctx context.Context, q Question) (Answer, error) {
	answered := make(chan Answer, 1)
	var key questionKey
	err := r.record(ctx, "ask a person", func() error {
		r.acceptance.flush()
		_, err := r.engine.applyThen(ctx, r.key.task, workflow.QuestionAsked{
			Turn: r.key.turn, Attempt: r.key.attempt, Kind: q.Kind, Text: q.Text, Tool: q.Tool, Argument: q.Argument, Choices: q.Choices,
		}, func(event workflow.EventBody, next workflow.State, effects []workflow.Effect) {
			id := next.LastQuestion
			if asked, ok := event.(workflow.QuestionAsked); ok && asked.Question != 0 {
				id = asked.Question
			}
			for _, effect := range effects {
				if a, ok := effect.(workflow.AnswerQuestion); ok && a.Question == id {
					answered <- Answer{Text: a.Answer, By: a.By, Expired: a.Expired} // it was given before, when nobody could hear it
					return
				}
			}
			// Before anybody can answer: the task is still locked.
			key = questionKey{r.key.task, id}
			r.engine.mu.Lock()
			defer r.engine.mu.Unlock()
			r.engine.questions[key] = answered
		})
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	defer func() {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		delete(r.engine.questions, key)
	}()
	select {
	case a := <-answered: // it was there already
		return a, nil
	default:
	}
	r.engine.lend(r.work)
	defer r.engine.takeBack(r.work)
	select {
	case a := <-answered:
		return a, nil
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("ask a person: %w", context.Cause(ctx))
	}
}

// deliver gives an answer to the turn that asked, if it runs here. e.mu is held.
func (e *Engine) deliver(task string, a workflow.AnswerQuestion) {
	if c := e.questions[questionKey{task, a.Question}]; c != nil {
		select {
		case c <- Answer{Text: a.Answer, By: a.By, Expired: a.Expired}:
		default: // it has one already
		}
	}
}

// Report implements Recorder.
func (r *recorder) Report(ctx context.Context, text string, percent *int) error {
	return r.record(ctx, "record the progress", func() error {
		r.acceptance.flush()
		_, err := r.engine.apply(ctx, r.key.task, workflow.ProgressReported{Turn: r.key.turn, Attempt: r.key.attempt, Text: text, Percent: percent})
		return err
	})
}
