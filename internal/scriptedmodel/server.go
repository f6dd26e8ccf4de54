// Package scriptedmodel is an OpenAI-compatible model server that answers by
// script and logs every request. The end-to-end tests put it behind the real
// App Server: its log, and not our own journal, says what was asked of the model.
package scriptedmodel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Model is the only model the server offers; App Server agents name it "lmstudio/scripted".
const Model = "scripted"

// Request is one chat completion that the App Server asked for.
type Request struct {
	// Number counts from 1 in order of arrival.
	Number int
	At     time.Time
	// Messages is the conversation as it was sent.
	Messages []Message
	// Tools are the names of the tools the model was offered.
	Tools []string
}

// Message is one message of a chat completion request.
type Message struct {
	Role       string
	Text       string
	ToolCalls  int
	ToolCallID string
}

// System returns the text of the system messages.
func (r Request) System() string {
	var parts []string
	for _, m := range r.Messages {
		if m.Role == "system" || m.Role == "developer" {
			parts = append(parts, m.Text)
		}
	}
	return strings.Join(parts, "\n")
}

// LastUser returns the last user message and how many assistant messages
// with tool calls, and which tool results, followed it.
func (r Request) LastUser() (text string, steps int, results []string) {
	at := -1
	for i, m := range r.Messages {
		if m.Role == "user" {
			at = i
		}
	}
	if at < 0 {
		return "", 0, nil
	}
	return r.Messages[at].Text, countSteps(r.Messages[at+1:]), toolResults(r.Messages[at+1:])
}

func countSteps(messages []Message) int {
	steps := 0
	for _, m := range messages {
		if m.Role == "assistant" && m.ToolCalls > 0 {
			steps++
		}
	}
	return steps
}

func toolResults(messages []Message) []string {
	var results []string
	for _, m := range messages {
		if m.Role == "tool" {
			results = append(results, m.Text)
		}
	}
	return results
}

// Reply is what the model answers to one request.
type Reply struct {
	// Status other than 0 or 200 is an HTTP error with Text as its message, or
	// with Body as the whole JSON body.
	Status    int
	Body      string
	Reasoning string
	Text      string
	ToolCalls []ToolCall
	// FinishReason defaults to "stop", or "tool_calls" where there are any.
	FinishReason string
	// Delay comes before the first byte, ChunkDelay between the words of Text.
	Delay, ChunkDelay time.Duration
	// Hang never answers; HangMid stops after the text; both end with the request or the server.
	Hang, HangMid bool
	// Drop cuts the connection before an answer, DropMid after the text.
	Drop, DropMid bool
}

// ToolCall is one tool call of a Reply. Arguments is sent as it is.
type ToolCall struct{ Name, Arguments string }

// Responder decides the answer to a request. It is called from many goroutines at once.
type Responder func(Request) Reply

// Server is a running model server.
type Server struct {
	respond Responder
	http    *http.Server
	url     string
	done    chan struct{} // closed when Serve has returned
	closing chan struct{} // closed by Close, releases hanging answers
	once    sync.Once

	mu  sync.Mutex
	log []Request
}

// Start listens on a free port of the loopback interface. A nil respond
// answers by the directives in the messages, see Directives.
func Start(ctx context.Context, respond Responder) (*Server, error) {
	if respond == nil {
		respond = NewDirectives().Respond
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the scripted model: %w", err)
	}
	s := &Server{
		respond: respond,
		url:     "http://" + listener.Addr().String() + "/v1",
		done:    make(chan struct{}),
		closing: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v0/models", s.listLMStudioModels)
	mux.HandleFunc("GET /v1/models", s.listModels)
	mux.HandleFunc("POST /v1/chat/completions", s.complete)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // always ErrServerClosed after Close
	}()
	return s, nil
}

// URL is the base URL, with /v1.
func (s *Server) URL() string { return s.url }

// Requests returns the requests so far, in order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.log...)
}

// Close cuts all connections and waits for the listener to end.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		err = s.http.Close()
		<-s.done
	})
	return err
}

func (s *Server) record(body chatRequest) Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := Request{Number: len(s.log) + 1, At: time.Now(), Messages: body.messages()}
	for _, tool := range body.Tools {
		req.Tools = append(req.Tools, tool.Function.Name)
	}
	s.log = append(s.log, req)
	return req
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{map[string]any{"id": Model, "object": "model"}}})
}

func (s *Server) listLMStudioModels(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"data": []any{map[string]any{
		"id": Model, "type": "vlm", "state": "loaded",
		"loaded_context_length": 131072, "max_context_length": 131072,
		"capabilities": []string{"tool_use", "reasoning", "vision"},
	}}})
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	var body chatRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		writeJSON(w, http.StatusBadRequest, errorBody("unreadable request: "+err.Error()))
		return
	}
	req := s.record(body)
	answer := stream{ctx: r.Context(), closing: s.closing, w: w, id: fmt.Sprintf("chatcmpl-%d", req.Number), number: req.Number}
	if err := answer.send(s.respond(req)); err != nil && !errors.Is(err, errCut) {
		return // the client went away: nobody is left to tell
	} else if errors.Is(err, errCut) {
		panic(http.ErrAbortHandler) // cuts the connection without an end of the body
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody is left to tell
}

func errorBody(message string) map[string]any {
	return map[string]any{"error": map[string]any{"message": message, "type": "server_error", "code": "scripted"}}
}
