package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// maxQuestions bounds the questions of one turn.
	maxQuestions = 20
	// maxQuestion bounds a question, and maxChoice one choice, in bytes.
	maxQuestion = 8 << 10
	maxChoice   = 500
	maxChoices  = 20
	// askPatience is how long one call of ask_human waits. App Servers end a call
	// of an external tool after five minutes.
	askPatience = 4 * time.Minute
)

// questions serves ask_human.
//
// An App Server ends the call of a tool after five minutes, but waits without
// a limit for the permission to call it, which it asks for in every mode but
// unrestricted. So the person is asked while it waits for that. In the mode
// unrestricted the call returns after a while and the model is told to call it
// again: the question stays open, and the next call goes on waiting for it.
type questions struct {
	a *attempt

	mu    sync.Mutex
	asked int
	// open are the questions whose answer the model has not seen, by their text and choices.
	open map[string]*openQuestion
}

// openQuestion is one question on its way.
type openQuestion struct {
	done   chan struct{}
	answer engine.Answer
	err    error
}

func (q *questions) tool() appclient.Tool {
	return appclient.Tool{
		Name: workflow.ToolAskHuman, Label: "Ask a person",
		Description: "Ask a person a question and wait for the answer. People are slow and dear: ask only what you cannot find out or decide yourself, " +
			"and all of it at once. When nobody answers in time you are told so and go on by yourself.",
		Parameters: object(map[string]any{
			"question": property("string", "The question, with all that is needed to answer it."),
			"choices": map[string]any{
				"type": "array", "items": map[string]any{"type": "string"}, "maxItems": maxChoices,
				"description": "Optional: the answers to choose from.",
			},
		}, "question"),
		Approve: q.approve,
		Handler: q.a.during(q.handle),
	}
}

// approve waits for the person, and allows the call that fetches the answer.
func (q *questions) approve(ctx context.Context, request appclient.ApprovalRequest) (appclient.Decision, error) {
	ctx, done, ok := q.a.calls.begin(ctx)
	if !ok {
		return appclient.Allow(), nil // the handler says that the turn is over
	}
	defer done()
	question, mistake := parseQuestion(appclient.ToolCall{Input: request.Input})
	if mistake != "" {
		return appclient.Allow(), nil // the handler says what is wrong
	}
	open, ok := q.put(question) //nolint:contextcheck // the question outlives the call that put it, and ends with the turn
	if !ok {
		return appclient.Allow(), nil
	}
	defer q.a.clock.pause()()
	select {
	case <-open.done:
		return appclient.Allow(), nil
	case <-ctx.Done():
		return appclient.Decision{}, context.Cause(ctx)
	}
}

func (q *questions) handle(ctx context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	question, mistake := parseQuestion(call)
	if mistake != "" {
		return appclient.ErrorResult("Nobody was asked: " + mistake + " Call " + workflow.ToolAskHuman + " again."), nil
	}
	open, ok := q.put(question) //nolint:contextcheck // the question outlives the call that put it, and ends with the turn
	if !ok {
		return appclient.ErrorResult(fmt.Sprintf("Nobody was asked: %d questions were asked in this turn, which is as many as may be. Decide yourself.", maxQuestions)), nil
	}
	defer q.a.clock.pause()()
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	select {
	case <-open.done:
	case <-patience.C:
		return appclient.TextResult("Nobody has answered yet, and the question stays open. Call " + workflow.ToolAskHuman +
			" again with exactly the same arguments to go on waiting for the answer."), nil
	case <-ctx.Done():
		return appclient.ToolResult{}, context.Cause(ctx)
	}
	q.seen(question)
	switch answer := open.answer; {
	case open.err != nil:
		return appclient.ToolResult{}, open.err
	case answer.Expired:
		return appclient.TextResult(fmt.Sprintf("Nobody answered within %v. Go on as best you can: decide yourself, choose what is easiest to undo, "+
			"and name the assumption in your last message.", q.a.expires())), nil
	case answer.By != "":
		return appclient.TextResult(answer.By + " answers: " + answer.Text), nil
	default:
		return appclient.TextResult("The answer: " + answer.Text), nil
	}
}

func questionKey(question engine.Question) string {
	return question.Text + "\x00" + strings.Join(question.Choices, "\x00")
}

// put asks the question, or finds it when it is open already. ok is false when
// there were too many, or the turn is over.
func (q *questions) put(question engine.Question) (open *openQuestion, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := questionKey(question)
	if open = q.open[key]; open != nil {
		return open, true
	}
	if q.asked >= maxQuestions {
		return nil, false
	}
	open = &openQuestion{done: make(chan struct{})}
	if !q.a.calls.start(func(ctx context.Context) {
		defer close(open.done)
		open.answer, open.err = q.a.rec.Ask(ctx, question)
		if open.err != nil && ctx.Err() == nil {
			q.a.breakOff(open.err)
		}
	}) {
		return nil, false
	}
	q.asked++
	if q.open == nil {
		q.open = make(map[string]*openQuestion)
	}
	q.open[key] = open
	return open, true
}

// seen closes a question whose answer goes to the model.
func (q *questions) seen(question engine.Question) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, questionKey(question))
}

// parseQuestion reads the arguments. mistake says what the model has to mend.
func parseQuestion(call appclient.ToolCall) (question engine.Question, mistake string) {
	args, err := argumentsOf(call)
	if err != nil {
		return question, err.Error() + " with question."
	}
	text, ok := args.text("question")
	if !ok || text == "" || len(text) > maxQuestion {
		return question, fmt.Sprintf("question must be a text of at most %d KiB.", maxQuestion>>10)
	}
	question = engine.Question{Kind: workflow.QuestionText, Text: printable(text)}
	if !args.has("choices") {
		return question, ""
	}
	var choices []string
	if json.Unmarshal(args["choices"], &choices) != nil || len(choices) > maxChoices {
		return question, fmt.Sprintf("choices must be a list of at most %d texts, or left out.", maxChoices)
	}
	for _, c := range choices {
		c = strings.TrimSpace(printable(c))
		if c == "" || len(c) > maxChoice || slices.Contains(question.Choices, c) {
			return question, fmt.Sprintf("each of the choices must be a text of its own, of at most %d bytes.", maxChoice)
		}
		question.Choices = append(question.Choices, c)
	}
	return question, ""
}
