package appclient_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// TestReplay plays every recording of a real server against the client, which
// does what the recorded client did, and compares what the client makes of it.
func TestReplay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/recordings/*.jsonl")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := replay(t, readRecording(t, file))
			compareGolden(t, filepath.Join("testdata/golden", name+".json"), got)
		})
	}
}

func compareGolden(t *testing.T, path string, value any) {
	t.Helper()
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, buffer.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to make it)", err)
	}
	if diff := gocmp.Diff(string(want), buffer.String()); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// line is one frame of a recording.
type line struct {
	Dir   string          `json:"dir"`
	Frame json.RawMessage `json:"frame"`
	// of an outgoing one
	fields       object
	kind         string
	turnFinished bool // whether a turn_finished came since the input before
	// statusFollows says that a device status comes before the next outgoing frame.
	statusFollows bool
}

func readRecording(t *testing.T, file string) []line {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	finished := false
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(l.Frame, &l.fields) // frames that are not objects are part of some recordings
		l.kind = kindOf(l.fields)
		if l.kind == "turn_finished" {
			finished = true
		}
		if l.kind == "create_message" {
			l.turnFinished, finished = finished, false
		}
		lines = append(lines, l)
	}
	for i := range lines {
		for _, next := range lines[i+1:] {
			if next.Dir == "out" || next.kind == "update_device_status" {
				lines[i].statusFollows = next.Dir == "in"
				break
			}
		}
	}
	return lines
}

// outcome is what the golden files hold.
type outcome struct {
	Starts []string       `json:"starts"`
	Turns  []turnOutcome  `json:"turns"`
	Frames map[string]int `json:"frames"`
	Gaps   int64          `json:"gaps"`
}

type turnOutcome struct {
	Input       string                `json:"input"`
	Disposition appclient.Disposition `json:"disposition"`
	StopReason  appclient.StopReason  `json:"stop_reason"`
	Text        string                `json:"text"`
	Error       string                `json:"error,omitempty"`
	GoError     string                `json:"go_error,omitempty"`
	Usage       appclient.Usage       `json:"usage"`
	RunID       string                `json:"run_id,omitempty"`
	Retries     int                   `json:"retries,omitempty"`
	Runs        []appclient.Run       `json:"runs"`
	ToolCalls   []appclient.ToolUse   `json:"tool_calls,omitempty"`
	Approvals   []string              `json:"approvals,omitempty"`
}

// player is both sides of one replay.
type player struct {
	t       *testing.T
	lines   []line
	signals chan line // outgoing lines that the client has to produce now
	mu      sync.Mutex
	changed *sync.Cond
	inbox   []object // what the client sent and no line has asked for yet
	closed  bool

	client    *appclient.Client
	session   *appclient.Session
	turn      *appclient.RunningTurn
	turns     []*appclient.RunningTurn
	inputs    []string
	starts    []string
	ready     chan struct{} // closed when session is set
	decisions sync.Map      // request id -> chan object
	answers   sync.Map      // request id -> chan object
	actions   sync.WaitGroup
}

func replay(t *testing.T, lines []line) outcome {
	p := &player{t: t, lines: lines, signals: make(chan line)}
	p.changed = sync.NewCond(&p.mu)
	server := &fake{version: "0.30.28", handle: p.serve}
	frames := make(map[string]int)
	p.client = dial(t, server.start(t), func(cfg *appclient.Config) {
		cfg.RequestTimeout = 20 * time.Second
		cfg.OnFrame = func(frame appclient.Frame) {
			name := cmp.Or(frame.Type, "?")
			if frame.Type == appclient.TypeStreamDelta {
				var body struct {
					Delta json.RawMessage `json:"delta"`
				}
				_ = frame.Decode(&body)
				delta := appclient.DecodeDelta(body.Delta)
				name += "/" + delta.MessageType
			}
			frames[name]++
		}
	})
	for l := range p.signals {
		p.act(l)
	}
	<-p.client.Done()
	p.actions.Wait()
	result := outcome{Starts: p.starts, Turns: []turnOutcome{}, Gaps: p.client.Gaps()}
	for i, turn := range p.turns {
		result.Turns = append(result.Turns, p.outcomeOf(p.inputs[i], turn))
	}
	_ = p.client.Close() // ends OnFrame
	result.Frames = frames
	return result
}

func (p *player) outcomeOf(input string, turn *appclient.RunningTurn) turnOutcome {
	r, err := turn.Wait(context.Background())
	o := turnOutcome{
		Input: input, Disposition: r.Disposition, StopReason: r.StopReason, Text: r.Text, Error: r.Error,
		Usage: r.Usage, RunID: r.RunID, Retries: r.Retries, Runs: r.Runs, ToolCalls: r.ToolCalls,
	}
	if err != nil {
		o.GoError = err.Error()
	}
	for _, a := range r.Approvals {
		text := a.RequestID + " " + a.ToolName + " " + string(a.Decision.Behavior) + a.Decision.Error
		if !a.Accepted {
			text += " (not accepted)"
		}
		o.Approvals = append(o.Approvals, text)
	}
	return o
}

// serve sends the recorded incoming frames, and waits at each outgoing one until the client has sent its like.
func (p *player) serve(w *wire) {
	var reading sync.WaitGroup
	reading.Go(func() {
		for frame := w.read(); frame != nil; frame = w.read() {
			p.mu.Lock()
			p.inbox = append(p.inbox, frame)
			p.mu.Unlock()
			p.changed.Broadcast()
		}
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.changed.Broadcast()
	})
	ids := make(map[string]any)
	var device json.RawMessage
	for _, l := range p.lines {
		if l.Dir == "out" {
			p.signals <- l
			if l.kind == "" {
				continue // nonsense, sent as it is
			}
			if got := p.awaitClient(w, l.kind, device); got != nil {
				if id, ok := l.fields["request_id"].(string); ok {
					ids[id] = got["request_id"]
				}
			}
			continue
		}
		frame := l.Frame
		if id, ok := l.fields["request_id"].(string); ok && ids[id] != nil {
			changed := make(object, len(l.fields))
			for name, value := range l.fields {
				changed[name] = value
			}
			changed["request_id"] = ids[id]
			frame, _ = json.Marshal(changed)
		}
		if l.kind == "update_device_status" {
			device = l.Frame
		}
		w.sendRaw(frame)
	}
	close(p.signals)
	_ = w.conn.Close(1001, "end of the recording")
	reading.Wait()
}

// awaitClient waits for a frame of the kind, and answers the sync that a client may send of its own accord.
func (p *player) awaitClient(w *wire, kind string, device json.RawMessage) object {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for i, frame := range p.inbox {
			got := kindOf(frame)
			if got == kind {
				p.inbox = slices.Delete(p.inbox, i, i+1)
				return frame
			}
			if got == "sync" {
				p.inbox = slices.Delete(p.inbox, i, i+1)
				w.sendRaw(bytes.Replace(device, []byte(`"idempotency_key":"`), []byte(`"idempotency_key":"again:`), 1)) // it is another event
				w.send(object{"type": "sync_response", "request_id": frame["request_id"], "success": true})
				break
			}
			if got == "app_server_info" {
				p.inbox = slices.Delete(p.inbox, i, i+1)
				w.send(object{"type": "app_server_info_response", "request_id": frame["request_id"], "success": true})
				break
			}
		}
		if p.closed {
			return nil
		}
		p.changed.Wait()
	}
}

// act makes the client do what the recorded client did.
func (p *player) act(l line) {
	if p.ready != nil {
		<-p.ready
	}
	switch {
	case l.kind == "":
		raw := []byte(l.Frame)
		var text string
		if json.Unmarshal(l.Frame, &text) == nil {
			raw = []byte(text)
		}
		_ = p.client.Send(p.t.Context(), raw) // the last ones may meet the end of the recording
	case l.kind == "runtime_start" && p.typedStart(l):
	case l.kind == "create_message" && p.typedTurn(l):
	case l.kind == "approval_response" && p.turn != nil && p.fulfil(&p.decisions, l.fields["payload"].(object)):
	case l.kind == "external_tool_call_response" && p.called(l.fields["request_id"]):
		p.fulfil(&p.answers, l.fields)
	case l.kind == "abort_message" && p.turn != nil && !over(p.turn):
		turn := p.turn
		p.actions.Go(func() {
			_, _ = p.client.AppServerInfo(context.Background()) // so that the frames sent so far have arrived
			_ = turn.Abort(context.Background())
		})
	default:
		command := maps.Clone(l.fields)
		delete(command, "request_id")
		p.actions.Go(func() { _, _ = p.client.Request(context.Background(), command) })
	}
}

// called says whether the recording has the call that an answer is for.
func (p *player) called(id any) bool {
	return p.session != nil && slices.ContainsFunc(p.lines, func(l line) bool {
		return l.kind == appclient.TypeExternalToolRequest && l.fields["request_id"] == id
	})
}

func over(turn *appclient.RunningTurn) bool {
	select {
	case <-turn.Done():
		return true
	default:
		return false
	}
}

func (p *player) fulfil(where *sync.Map, answer object) bool {
	channel, _ := where.LoadOrStore(answer["request_id"], make(chan object, 1))
	channel.(chan object) <- answer
	return true
}

func (p *player) wait(ctx context.Context, where *sync.Map, id string) (object, error) {
	channel, _ := where.LoadOrStore(id, make(chan object, 1))
	select {
	case answer := <-channel.(chan object):
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// typedStart starts the runtime through StartRuntime, unless the recorded command is one that it refuses.
func (p *player) typedStart(l line) bool {
	start := appclient.RuntimeStart{Mode: appclient.ModeUnrestricted}
	start.AgentID, _ = l.fields["agent_id"].(string)
	start.ConversationID, _ = l.fields["conversation_id"].(string)
	start.CWD, _ = l.fields["cwd"].(string)
	if mode, ok := l.fields["mode"].(string); ok {
		start.Mode = appclient.Mode(mode)
	}
	if l.fields["create_agent"] != nil {
		start.CreateAgent = &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{Name: "a", Model: "lmstudio/scripted"}}
	}
	if groups, ok := l.fields["external_tools"].([]any); ok {
		for _, group := range groups {
			scope, _ := group.(object)["scope_id"].(string)
			tools, _ := group.(object)["tools"].([]any)
			for _, tool := range tools {
				parameters, _ := json.Marshal(tool.(object)["parameters"])
				name, _ := tool.(object)["name"].(string)
				start.Tools = append(start.Tools, appclient.Tool{
					Name: name, Description: "d", Parameters: parameters, ScopeID: scope, Handler: p.handleTool,
				})
			}
		}
	}
	// What StartRuntime waits for must be in the recording.
	if !l.statusFollows || p.starts != nil || p.refused(start) {
		return false
	}
	p.starts = []string{"ok"}
	ready := make(chan struct{})
	p.ready = ready
	p.actions.Go(func() {
		defer close(ready)
		session, err := p.client.StartRuntime(context.Background(), start)
		if p.session = session; err != nil {
			p.starts[0] = err.Error()
		}
	})
	return true
}

// refused says whether StartRuntime would not send the command.
func (p *player) refused(start appclient.RuntimeStart) bool {
	return (start.AgentID == "") == (start.CreateAgent == nil) || !strings.HasPrefix(start.CWD, "/")
}

// typedTurn sends the input through StartTurn, unless a turn is in flight: the client does not queue.
func (p *player) typedTurn(l line) bool {
	payload := l.fields["payload"].(object)
	messages, _ := payload["messages"].([]any)
	scope, _ := l.fields["runtime"].(object)
	if p.session == nil || len(scope) != 2 || l.fields["request_id"] == nil || len(messages) != 1 || len(payload) != 2 {
		return false
	}
	message := messages[0].(object)
	text, ok := message["content"].(string)
	if !ok {
		return false
	}
	if p.turn != nil && l.turnFinished {
		<-p.turn.Done()
	}
	id, _ := message["client_message_id"].(string)
	turn, err := p.session.StartTurn(context.Background(), appclient.Turn{
		Text: text, ClientMessageID: id,
		Approve: func(ctx context.Context, request appclient.ApprovalRequest) (appclient.Decision, error) {
			answer, err := p.wait(ctx, &p.decisions, request.RequestID)
			if err != nil {
				return appclient.Decision{}, err
			}
			if text, ok := answer["error"].(string); ok {
				return appclient.Decision{}, errors.New(text)
			}
			var decision struct {
				Behavior appclient.Behavior
				Message  string
				Updated  json.RawMessage `json:"updated_input"`
			}
			raw, _ := json.Marshal(answer["decision"])
			err = json.Unmarshal(raw, &decision)
			if string(decision.Updated) == "null" {
				decision.Updated = nil
			}
			return appclient.Decision{Behavior: decision.Behavior, Message: decision.Message, UpdatedInput: decision.Updated}, err
		},
	})
	if errors.Is(err, appclient.ErrConversationBusy) {
		return false
	}
	if err != nil {
		p.t.Errorf("StartTurn: %v", err)
		return false
	}
	p.turn, p.turns, p.inputs = turn, append(p.turns, turn), append(p.inputs, text)
	return true
}

func (p *player) handleTool(ctx context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	answer, err := p.wait(ctx, &p.answers, call.RequestID)
	if err != nil {
		return appclient.ToolResult{}, err
	}
	if text, ok := answer["error"].(string); ok {
		return appclient.ToolResult{}, errors.New(text)
	}
	result := answer["result"].(object)
	failed, _ := result["is_error"].(bool)
	content := result["content"].([]any)
	text, _ := content[0].(object)["text"].(string)
	return appclient.ToolResult{Content: []appclient.ToolContent{{Type: "text", Text: text}}, IsError: failed}, nil
}
