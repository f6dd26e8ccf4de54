package scriptedmodel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// chatRequest is the part of an OpenAI chat completion request that matters here.
type chatRequest struct {
	Messages []struct {
		Role       string            `json:"role"`
		Content    json.RawMessage   `json:"content"`
		ToolCalls  []json.RawMessage `json:"tool_calls"`
		ToolCallID string            `json:"tool_call_id"`
	} `json:"messages"`
	Tools []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
}

func (c chatRequest) messages() []Message {
	out := make([]Message, 0, len(c.Messages))
	for _, m := range c.Messages {
		out = append(out, Message{Role: m.Role, Text: contentText(m.Content), ToolCalls: len(m.ToolCalls), ToolCallID: m.ToolCallID})
	}
	return out
}

// contentText reads content that is a string or a list of parts.
func contentText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var texts []string
	for _, p := range parts {
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, "\n")
}

// errCut asks the handler to cut the connection.
var errCut = errors.New("connection cut by script")

// stream writes one answer as server-sent events.
type stream struct {
	ctx     context.Context
	closing <-chan struct{}
	w       http.ResponseWriter
	id      string
	number  int
}

func (s stream) send(reply Reply) error {
	if err := s.wait(reply.Delay); err != nil {
		return err
	}
	switch {
	case reply.Hang:
		return s.hang()
	case reply.Drop:
		return errCut
	case reply.Status != 0 && reply.Status != http.StatusOK:
		if reply.Body != "" {
			writeJSON(s.w, reply.Status, json.RawMessage(reply.Body))
		} else {
			writeJSON(s.w, reply.Status, errorBody(reply.Text))
		}
		return nil
	}
	s.w.Header().Set("Content-Type", "text/event-stream")
	if err := s.chunk(map[string]any{"role": "assistant", "content": ""}, ""); err != nil {
		return err
	}
	if err := s.words(reply.Reasoning, "reasoning_content", 0); err != nil {
		return err
	}
	if err := s.words(reply.Text, "content", reply.ChunkDelay); err != nil {
		return err
	}
	if reply.HangMid {
		return s.hang()
	}
	if reply.DropMid {
		return errCut
	}
	for i, call := range reply.ToolCalls {
		if err := s.toolCall(i, call); err != nil {
			return err
		}
	}
	return s.finish(finishReason(reply))
}

func finishReason(reply Reply) string {
	switch {
	case reply.FinishReason != "":
		return reply.FinishReason
	case len(reply.ToolCalls) > 0:
		return "tool_calls"
	default:
		return "stop"
	}
}

func (s stream) words(text, field string, delay time.Duration) error {
	if text == "" {
		return nil
	}
	for word := range strings.SplitSeq(text, " ") {
		if err := s.chunk(map[string]any{field: word + " "}, ""); err != nil {
			return err
		}
		if err := s.wait(delay); err != nil {
			return err
		}
	}
	return nil
}

func (s stream) toolCall(index int, call ToolCall) error {
	// Arguments come in two halves, as models stream them.
	half := len(call.Arguments) / 2
	id := fmt.Sprintf("call_%d_%d", s.number, index)
	for _, delta := range []map[string]any{
		{"index": index, "id": id, "type": "function", "function": map[string]any{"name": call.Name, "arguments": ""}},
		{"index": index, "function": map[string]any{"arguments": call.Arguments[:half]}},
		{"index": index, "function": map[string]any{"arguments": call.Arguments[half:]}},
	} {
		if err := s.chunk(map[string]any{"tool_calls": []any{delta}}, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s stream) finish(reason string) error {
	if err := s.chunk(map[string]any{}, reason); err != nil {
		return err
	}
	prompt := 100 + s.number
	if err := s.event(map[string]any{
		"id": s.id, "object": "chat.completion.chunk", "created": 1, "model": Model, "choices": []any{},
		"usage": map[string]any{
			"prompt_tokens": prompt, "completion_tokens": 5, "total_tokens": prompt + 5,
			"prompt_tokens_details": map[string]any{"cached_tokens": 7},
		},
	}); err != nil {
		return err
	}
	_, err := fmt.Fprint(s.w, "data: [DONE]\n\n")
	return err
}

func (s stream) chunk(delta map[string]any, finish string) error {
	choice := map[string]any{"index": 0, "delta": delta, "finish_reason": nil}
	if finish != "" {
		choice["finish_reason"] = finish
	}
	return s.event(map[string]any{"id": s.id, "object": "chat.completion.chunk", "created": 1, "model": Model, "choices": []any{choice}})
}

func (s stream) event(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a chunk: %w", err)
	}
	if _, err := fmt.Fprintf(s.w, "data: %s\n\n", data); err != nil {
		return fmt.Errorf("write a chunk: %w", err)
	}
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
	return nil
}

func (s stream) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.closing:
		return errCut
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s stream) hang() error {
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
	select {
	case <-s.closing:
		return errCut
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
