package apptest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// innerRetries is how often a failing model request is repeated within a run, outerRetries how many more
// runs follow.
const (
	innerRetries = 3
	outerRetries = 3
)

// play plays the turn: model request, tools, model request, until the model stops. It returns the stop
// reason and its explanation, or an error when the turn was cancelled or the server stopped.
func (t *turn) play() (stop, problem string, err error) {
	rt := t.rt
	s := rt.process.server
	if problem = t.lookup(); problem != "" {
		return "error", problem, nil
	}
	t.closeOpenCalls()
	s.store.addUser(rt.id, t.input.parts, t.input.otid)
	text := joinParts(t.input.parts)
	plan, where, bad := t.plan(text)
	if bad != nil {
		s.reportError(bad)
		return "error", bad.Error(), nil
	}
	for i := 0; i < len(plan); i++ {
		t.announceRequest(i)
		if stop, problem, err = t.request(&plan[i], where); err != nil || stop != "requires_approval" {
			return stop, problem, err
		}
		if err = t.runCalls(plan[i].calls); err != nil {
			return "", "", err
		}
		if joined := t.inject(); joined != "" {
			// The model answers the input that joined; a directive in it replaces what was planned.
			if parseDirectives(joined).list != nil {
				plan = append(plan[:i+1], planDirectives(joined, "")...)
			}
		}
	}
	return "end_turn", "", nil
}

// lookup finds the agent and checks that the conversation exists, because inputs are accepted without; it
// returns what is wrong, or "".
func (t *turn) lookup() string {
	st := t.rt.process.server.store
	var err error
	if t.agent, err = st.agent(t.rt.id.AgentID); err != nil {
		return err.Error()
	}
	if _, err = st.find(t.rt.id); err != nil {
		return err.Error()
	}
	return ""
}

// plan notes the turn and finds out what the model will do.
func (t *turn) plan(text string) ([]request, string, error) {
	rt := t.rt
	s := rt.process.server
	rt.mu.Lock()
	mode, cwd := rt.mode, rt.cwd
	rt.mu.Unlock()
	script, name, scripted := s.opts.Script.find(t.agent.Name)
	key := name
	if script.PerConversation {
		key += "\x00" + rt.id.ConversationID
	}
	if t.input.notice != nil {
		key += "\x00notice" // a turn of the server's own does not use up the script
	}
	asked := AskedTurn{
		Agent: t.agent.Name, AgentID: t.agent.ID, ConversationID: rt.id.ConversationID, ClientMessageIDs: t.input.ids,
		Text: text, Mode: mode, WorkingDirectory: cwd, At: s.opts.Now(),
	}
	s.update(func() {
		s.played[key]++
		t.visit = s.played[key]
		s.asked = append(s.asked, asked)
	})
	if s.opts.Answer != nil && t.input.notice == nil {
		if steps, ok := s.opts.Answer(asked); ok {
			where := fmt.Sprintf("agent %q, turn %d", t.agent.Name, t.visit)
			return planScript(steps, where), where, nil
		}
	}
	switch {
	case t.input.notice != nil:
		say := t.input.notice.Say
		if say == "" {
			say = "noted"
		}
		return []request{{parts: []part{{kind: "assistant_message", text: say, words: true}}}}, "", nil
	case !scripted:
		s.mu.Lock()
		reply := fmt.Sprintf("reply %d", s.requests+1)
		s.mu.Unlock()
		return planDirectives(text, reply), "message", nil
	}
	where := fmt.Sprintf("script %s: agent %q, turn %d", s.opts.Script.Name, name, t.visit)
	steps, err := script.turn(t.visit - 1)
	if err != nil {
		return nil, where, fmt.Errorf("script %s: agent %q: %w", s.opts.Script.Name, name, err)
	}
	return planScript(steps, where), where, nil
}

// closeOpenCalls gives the calls of an interrupted turn the result that the model sees of them.
func (t *turn) closeOpenCalls() {
	t.rt.mu.Lock()
	open := t.rt.openCalls
	t.rt.openCalls = nil
	t.rt.mu.Unlock()
	for _, id := range open {
		t.rt.process.server.store.addReturn(t.rt.id, id, "error", "User interrupted the stream")
	}
}

// announceRequest shows the states before a model answers.
func (t *turn) announceRequest(i int) {
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.cancelling {
		return
	}
	if i > 0 {
		rt.setStatus(statusSending)
	}
	rt.setStatus(statusWaiting)
	if i > 0 && len(t.injected) == 0 {
		rt.activeRuns = nil
	}
	rt.setStatus(statusProcessing)
	if i > 0 {
		rt.emitLoop(rt.subscribers)
		rt.emitDevice(rt.subscribers)
	}
}

// request plays one model request with the server's retries.
func (t *turn) request(r *request, where string) (stop, problem string, err error) {
	for attempt := 0; ; attempt++ {
		t.newRun()
		cause, err := t.attempt(r, where)
		switch {
		case errors.Is(err, errLost):
		case err != nil:
			return t.stopFor(err)
		default:
			return t.finishRequest(r)
		}
		if !t.rt.process.server.features.retries {
			t.failAttempt(cause)
			return "error", cause.text(t.runID), nil
		}
		t.failAttempt(cause)
		if attempt == outerRetries {
			t.terminalInfo = cause.apiError(t.runID)
			return "llm_api_error", cause.text(t.runID), nil
		}
		if err := t.retry(attempt); err != nil {
			return "", "", err
		}
	}
}

// stopFor turns an error of the script into the end of the turn.
func (t *turn) stopFor(err error) (string, string, error) {
	var bad *faultError
	if errors.As(err, &bad) {
		t.rt.process.server.reportError(bad)
		return "error", bad.Error(), nil
	}
	return "", "", err
}

// faultError is a script that does not fit what happened.
type faultError struct {
	where   string
	problem string
}

func (f *faultError) Error() string { return f.where + ": " + f.problem }

// newRun begins a model request; its run is announced with its first chunk.
func (t *turn) newRun() {
	run, n := t.rt.process.newRun()
	t.rt.mu.Lock()
	t.began = false
	t.rt.mu.Unlock()
	t.runID, t.number, t.seq, t.text, t.stored = run, n, 0, nil, nil
	t.otid = string(newUUID())
	t.countRequest()
}

func (t *turn) countRequest() {
	s := t.rt.process.server
	s.update(func() { s.requests++ })
}

// attempt plays the parts of a request. errLost means that the model failed, for the returned cause.
func (t *turn) attempt(r *request, where string) (modelFailure, error) {
	if r.failure != nil {
		f := newModelFailure(*r.failure)
		times := r.failure.Times
		for n := 1; times == 0 || n <= times; n++ {
			if err := t.checkpoint(); err != nil {
				return f, err
			}
			if n > innerRetries || !t.rt.process.server.features.retries {
				if times > 0 {
					if r.failure.Times -= n; r.failure.Times == 0 {
						r.failure = nil // all failures are used up: the next run succeeds
					}
				}
				return f, errLost
			}
			if err := t.innerRetry(f, n); err != nil {
				return f, err
			}
		}
		r.failure = nil
	}
	for i := range r.parts {
		if err := t.part(r.parts[i], where); err != nil {
			return modelFailure{message: "terminated", lost: true}, err
		}
	}
	return modelFailure{}, nil
}

// checkpoint is where a cancelled turn stops.
func (t *turn) checkpoint() error {
	if t.rt.process.ctx.Err() != nil {
		return errStopped
	}
	if t.aborted() {
		return errCancelled
	}
	return nil
}

// silence is the model saying nothing; a cancelled turn stays blocked until it is over.
func (t *turn) silence(d time.Duration) error {
	if err := t.rt.process.wait(d); err != nil {
		return errStopped
	}
	return t.checkpoint()
}

func (t *turn) part(p part, where string) error {
	if p.expect != nil {
		if err := t.expect(p); err != nil {
			return err
		}
	}
	switch {
	case p.kind != "":
		return t.say(p, where)
	case p.echoTool:
		text := t.lastResult
		if len(text) > 200 {
			text = text[:200]
		}
		return t.say(part{kind: "assistant_message", text: "tool said: " + text, words: true}, "")
	case p.delay != 0:
		return t.silence(p.delay)
	case p.hang:
		if limit := t.rt.process.server.opts.ProviderTimeout; limit > 0 {
			if err := t.silence(limit); err != nil {
				return err
			}
			return errLost
		}
		<-t.rt.process.ctx.Done()
		return errStopped
	case p.cut:
		if err := t.checkpoint(); err != nil {
			return err
		}
		return errLost
	}
	return t.fault(p)
}

// fault plays what goes wrong between server and client.
func (t *turn) fault(p part) error {
	rt := t.rt
	rt.mu.Lock()
	subscribers := rt.subscribers
	switch {
	case p.duplicate > 0:
		for _, s := range subscribers {
			s.duplicate(p.duplicate)
		}
	case p.unknown != nil:
		frame := map[string]any{"type": "unknown_event"}
		for k, v := range p.unknown {
			frame[k] = v
		}
		kind, _ := frame["type"].(string)
		rt.emit(subscribers, kind, frame)
	case p.unsolicited != nil:
		t.notices = append(t.notices, p.unsolicited)
	}
	rt.mu.Unlock()
	if p.drop && len(subscribers) > 0 {
		rt.process.dropSessions(subscribers)
		select {
		case <-t.ctx.Done(): // the disconnection has cancelled the turn
		case <-time.After(time.Second):
			// another client subscribed meanwhile and keeps the turn alive
		}
	}
	return t.checkpoint()
}

func (t *turn) expect(p part) error {
	text := joinParts(t.input.parts)
	for _, want := range p.expect.MessageContains {
		if !strings.Contains(text, want) {
			return &faultError{p.where, fmt.Sprintf("the message does not contain %q; it is %q", want, text)}
		}
	}
	for _, not := range p.expect.MessageLacks {
		if strings.Contains(text, not) {
			return &faultError{p.where, fmt.Sprintf("the message contains %q; it is %q", not, text)}
		}
	}
	t.rt.mu.Lock()
	mode := t.rt.mode
	t.rt.mu.Unlock()
	if p.expect.Mode != "" && mode != p.expect.Mode {
		return &faultError{p.where, fmt.Sprintf("the permission mode is %q, expected %q", mode, p.expect.Mode)}
	}
	return nil
}

func (t *turn) templateData() map[string]any {
	t.rt.mu.Lock()
	cwd := t.rt.cwd
	t.rt.mu.Unlock()
	return map[string]any{
		"cwd": cwd, "message": joinParts(t.input.parts), "agent": t.agent.Name, "visit": t.visit, "tool": t.lastResult,
	}
}
