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
	// given are the answers that were sent, by the request of the App Server, and
	// again those that were lost with their connection: the same request is made
	// again on the next one.
	given, again map[string]givenAnswer
	// lost counts the connections that were lost.
	lost int
}

// givenAnswer is the answer to what has a key.
type givenAnswer struct {
	key string
	to  *askedQuestion
}

// connectionLost notes which answers the App Server may not have got.
// It returns how many connections were lost.
func (a *asking) connectionLost(accepted func(request string) bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost++
	a.again = a.given
	a.given = nil
	for request := range a.again {
		if accepted(request) {
			delete(a.again, request)
		}
	}
	return a.lost
}

// asker is the request of the App Server that makes a question necessary.
type asker struct {
	request string
	// lost is how many connections had been lost before the one that it came from.
	lost int
}

// askedQuestion is answered when done is closed.
type askedQuestion struct {
	done   chan struct{}
	answer engine.Answer
	err    error
}

// errNoTurn says that a question came when the turn was over.
var errNoTurn = errors.New("the turn is over")

// errConnectionGone says that the answer cannot be sent on the connection that the
// question came from.
var errConnectionGone = errors.New("the connection of the question is gone")

// ask puts a question to a person and waits. The turn's time stands still meanwhile. Errors: the end of ctx, or the recorder's, which end the turn.
func (a *attempt) ask(ctx context.Context, by asker, q engine.Question) (engine.Answer, error) {
	defer a.clock.pause()()
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%s", q.Kind, q.Tool, q.Argument, q.Text)
	open, err := a.question(key, by, q) //nolint:contextcheck // the question outlives the call that put it, and ends with the turn
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
	if a.asking.lost != by.lost {
		return engine.Answer{}, errConnectionGone
	}
	if a.asking.open[key] == open {
		delete(a.asking.open, key) // the same asked again is another question
	}
	if a.asking.given == nil {
		a.asking.given = map[string]givenAnswer{}
	}
	a.asking.given[by.request] = givenAnswer{key, open}
	return open.answer, open.err
}

// question returns the open question with a key, or the one whose answer to the
// request was lost, and asks it where there is none.
func (a *attempt) question(key string, by asker, q engine.Question) (*askedQuestion, error) {
	a.asking.mu.Lock()
	defer a.asking.mu.Unlock()
	if a.asking.lost != by.lost {
		return nil, errConnectionGone
	}
	if open := a.asking.open[key]; open != nil {
		return open, nil
	}
	if given, ok := a.asking.again[by.request]; ok && given.key == key {
		delete(a.asking.again, by.request)
		return given.to, nil
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
