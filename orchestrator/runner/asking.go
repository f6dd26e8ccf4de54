package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// asking are the questions of a turn to people. One outlives the connection on
// which the App Server has asked for it: whoever asks the same again, on the next
// connection, gets the answer to the first question and does not ask twice.
type asking struct {
	mu   sync.Mutex
	open map[string]*askedQuestion
}

// askedQuestion is answered when done is closed.
type askedQuestion struct {
	done   chan struct{}
	answer engine.Answer
	err    error
}

// errNoTurn says that a question came when the turn was over.
var errNoTurn = errors.New("the turn is over")

// ask puts a question to a person and waits. The turn's time stands still
// meanwhile. Errors: the end of ctx, or the recorder's, which end the turn.
func (a *attempt) ask(ctx context.Context, q engine.Question) (engine.Answer, error) {
	defer a.clock.pause()()
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%s", q.Kind, q.Tool, q.Argument, q.Text)
	open, err := a.question(key, q) //nolint:contextcheck // the question outlives the call that put it, and ends with the turn
	if err != nil {
		return engine.Answer{}, err
	}
	select {
	case <-open.done:
	case <-ctx.Done():
		return engine.Answer{}, context.Cause(ctx) // the question stays, and with it its answer
	}
	a.asking.mu.Lock()
	defer a.asking.mu.Unlock()
	if a.asking.open[key] == open {
		delete(a.asking.open, key) // the same asked again is another question
	}
	return open.answer, open.err
}

// question returns the open question with a key, and asks it where there is none.
func (a *attempt) question(key string, q engine.Question) (*askedQuestion, error) {
	a.asking.mu.Lock()
	defer a.asking.mu.Unlock()
	if open := a.asking.open[key]; open != nil {
		return open, nil
	}
	open := &askedQuestion{done: make(chan struct{})}
	if !a.calls.start(func(life context.Context) {
		defer close(open.done)
		open.answer, open.err = a.rec.Ask(life, q)
		if open.err != nil && life.Err() == nil {
			a.breakOff(open.err)
		}
	}) {
		return nil, errNoTurn
	}
	if a.asking.open == nil {
		a.asking.open = map[string]*askedQuestion{}
	}
	a.asking.open[key] = open
	return open, nil
}
