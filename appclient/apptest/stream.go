package apptest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// say streams text and stores it.
func (t *turn) say(p part, where string) error {
	text := p.text
	if t.fromScript(where) {
		var err error
		if text, err = expand(text, t.templateData()); err != nil {
			return &faultError{p.where, err.Error()}
		}
	}
	store := t.rt.process.server.store
	for _, chunk := range chunks(text, p.words) {
		if err := t.checkpoint(); err != nil {
			return err
		}
		m := store.addText(t.rt.id, t.text, p.kind, chunk)
		if m != t.text {
			t.text = m
			t.stored = append(t.stored, m)
		}
		d := t.chunk(p.kind)
		if p.kind == "reasoning_message" {
			d.OTID, d.Reasoning = "provider-reasoning-0-"+t.otid, chunk
		} else {
			d.OTID, d.Content = "provider-assistant-0-"+t.otid, []textPart{{Type: "text", Text: chunk}}
		}
		t.send(d)
		if p.pause > 0 {
			if err := t.silence(p.pause); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *turn) fromScript(where string) bool { return strings.HasPrefix(where, "script ") }

// chunk is a delta of the model; the first of a run announces it.
func (t *turn) chunk(kind string) delta {
	t.lastChunkID = t.rt.process.newChunkID()
	d := t.bare(kind)
	d.ID, d.Date, d.AgentID, d.ConversationID = t.lastChunkID, t.rt.date(), t.rt.id.AgentID, t.rt.id.ConversationID
	return d
}

func (t *turn) bare(kind string) delta {
	t.seq++
	return delta{Type: "message", MessageType: kind, RunID: t.runID, SeqID: t.seq}
}

// send sends a delta of the model, after the announcement of its run.
func (t *turn) send(d delta) {
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if !t.began {
		t.began = true
		ids := append(t.input.ids[:len(t.input.ids):len(t.input.ids)], t.injected...)
		rt.addRunInputs(t.runID, ids)
		if !rt.cancelling {
			rt.activeRuns = []string{t.runID}
			rt.setStatus(statusProcessing)
		}
	}
	rt.emitDelta(d)
}

// finishRequest ends a model request: its tool calls, its usage, its stop reason.
func (t *turn) finishRequest(r *request) (stop, problem string, err error) {
	if err := t.checkpoint(); err != nil {
		return "", "", err
	}
	stop = "end_turn"
	if r.stop != "" {
		stop = r.stop
	}
	for i := range r.calls {
		c := &r.calls[i]
		if err := t.render(c); err != nil {
			return t.stopFor(err)
		}
		stop = "requires_approval"
		call := toolCall{ID: t.callID(i), Name: c.Name, Arguments: c.raw}
		d := t.chunk("approval_request_message")
		d.ToolCall = &call
		t.callChunk(call.ID, d.ID)
		t.send(d)
		t.rt.process.server.store.addCall(t.rt.id, call)
	}
	usage := t.chunk("usage_statistics")
	usage.usageDelta = t.usage(r)
	t.send(usage)
	end := t.bare("stop_reason")
	end.StopReason = stop
	t.send(end)
	t.rt.process.server.store.finish(t.stored)
	if stop != "end_turn" && stop != "requires_approval" {
		problem = "Unexpected stop reason: " + stop
	}
	return stop, problem, nil
}

// callID is unique over the life of the process, as the scripted model's ids are.
func (t *turn) callID(i int) string { return fmt.Sprintf("call_%d_%d", t.number, i) }

// render makes the arguments of a call.
func (t *turn) render(c *call) error {
	if c.raw != "" || c.Input == nil {
		return nil
	}
	input, err := expandValue(c.Input, t.templateData())
	if err != nil {
		return &faultError{"tool " + c.Name, err.Error()}
	}
	raw, err := json.Marshal(input)
	if err != nil {
		return &faultError{"tool " + c.Name, err.Error()}
	}
	c.raw = string(raw)
	return nil
}

// usage are the numbers of a request; without a script's they grow with the requests, as the model's do.
func (t *turn) usage(r *request) *usageDelta {
	u := Usage{PromptTokens: 93 + t.number, CompletionTokens: 5, CachedInputTokens: 7}
	if r.usage != nil {
		u = *r.usage
	}
	total := u.PromptTokens + u.CompletionTokens + u.CachedInputTokens
	return &usageDelta{
		PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens, CachedInput: u.CachedInputTokens, Reasoning: u.ReasoningTokens,
		TotalTokens: total, Context: total,
	}
}

// modelFailure is why a model request failed.
type modelFailure struct {
	message string
	lost    bool // the stream broke: no loop_error, no inner retries
}

func newModelFailure(f Failure) modelFailure {
	if f.Message == "terminated" {
		return modelFailure{message: "terminated"}
	}
	status := f.Status
	if status == 0 {
		status = 500
	}
	message := f.Message
	if message == "" {
		message = fmt.Sprintf("scripted failure %d", status)
	}
	return modelFailure{message: fmt.Sprintf("%d: %s", status, mustJSON(map[string]string{"message": message, "type": "server_error"}))}
}

// text is the explanation in turn_finished: pretty JSON, as the real server has it; none for a broken stream.
func (f modelFailure) text(run string) string {
	if f.lost {
		return ""
	}
	data, err := json.MarshalIndent(map[string]any{"error": map[string]any{
		"error": map[string]string{"type": "llm_error", "message": f.message, "detail": f.message}, "run_id": run,
	}}, "", "  ")
	if err != nil {
		return f.message
	}
	return string(data)
}

func (f modelFailure) apiError(run string) map[string]any {
	return map[string]any{"message_type": "error_message", "message": f.message, "error_type": "llm_error", "run_id": run, "detail": f.message}
}

// innerRetry announces that the same run tries again, and waits.
func (t *turn) innerRetry(f modelFailure, n int) error {
	d := t.chunk("event_message")
	delay := 1000 << (n - 1)
	d.EventType, d.EventData = "retry", map[string]any{"attempt": n, "max_attempts": innerRetries, "delay_ms": delay, "message": f.message}
	t.send(d)
	t.countRequest()
	return t.silence(t.rt.process.server.opts.RetryDelay << (n - 1))
}

// failAttempt shows that a run has failed.
func (t *turn) failAttempt(f modelFailure) {
	rt := t.rt
	if !f.lost {
		terminal := false
		d := rt.lifecycle(delta{
			MessageType: "loop_error", RunID: t.runID, Message: f.text(t.runID), StopReason: "llm_api_error", Terminal: &terminal,
			APIError: f.apiError(t.runID),
		})
		t.send(d)
	}
	d := t.chunk("error_message")
	d.Message, d.Detail, d.ErrorType, d.Retryable = f.message, f.message, "llm_error", true
	t.send(d)
	end := t.bare("stop_reason")
	end.StopReason = "llm_api_error"
	t.send(end)
}

// retry announces another run, waits, and stores the user message again, as the server does.
func (t *turn) retry(attempt int) error {
	rt := t.rt
	d := rt.lifecycle(delta{
		MessageType: "retry", RunID: t.runID, Message: "Unexpected downstream LLM API error, retrying...", Reason: "llm_api_error",
		Attempt: attempt + 1, MaxAttempts: outerRetries, DelayMS: 1000 << attempt,
	})
	rt.mu.Lock()
	rt.emitDelta(d)
	rt.mu.Unlock()
	if err := t.silence(rt.process.server.opts.RetryDelay << attempt); err != nil {
		return err
	}
	rt.process.server.store.addUser(rt.id, t.input.parts, string(newUUID()))
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if !rt.cancelling {
		for _, status := range []string{statusSending, statusWaiting, statusProcessing} {
			rt.setStatus(status)
		}
	}
	return nil
}
