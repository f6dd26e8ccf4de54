package conformance

import (
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func runtimeScenarios() []scenario {
	return []scenario{
		{"app server info", func(f Features) bool { return f.ServerInfo }, serverInfo},
		{"new agent", nil, newAgent},
		{"new conversation of an existing agent", nil, newConversation},
		{"existing agent and conversation", nil, existingConversation},
		{"default conversation", nil, defaultConversation},
		{"unknown agent", nil, unknownAgent},
		{"unknown conversation", nil, unknownConversation},
		{"conversation of another agent", nil, foreignConversation},
		{"cwd that does not exist", nil, badCWD},
		{"mode of a conversation changes", nil, modeChanges},
		{"invalid mode", nil, invalidMode},
		{"unknown command", nil, unknownCommand},
		{"input for an unknown agent", turnFinished, inputUnknownAgent},
	}
}

func serverInfo(e *env) {
	c := e.dial()
	info, err := c.AppServerInfo(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	overHTTP, err := appclient.FetchServerInfo(e.ctx, appclient.Config{URL: e.target.URL, Token: e.target.Token})
	if err != nil {
		e.Fatal(err)
	}
	if !info.Known() {
		e.Error("the server does not tell its version")
	}
	e.equal("version over HTTP", overHTTP.Version, info.Version)
	e.equal("backend", info.Backend, "local")
	e.equal("protocol version", info.ProtocolVersion, 1)
	e.equal("capability runtime_start", info.Capabilities["runtime_start"], true)
	e.equal("capability split_channels", info.Capabilities["split_channels"], !e.target.Supports.ManyClients)
}

func newAgent(e *env) {
	s := e.start(e.dial(), appclient.RuntimeStart{
		Mode: appclient.ModeAcceptEdits,
		CreateAgent: &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{
			Name: "team/planner", Model: e.target.Model, System: "You plan.", Description: "plans", Tags: []string{"t1"},
		}},
		CreateConversation: &appclient.ConversationSpec{Summary: "a task"},
	})
	e.equal("created", s.Created(), appclient.Created{Agent: true, Conversation: true})
	e.equal("name", s.Agent().Name, "team/planner")
	e.equal("model", s.Agent().Model, e.target.Model)
	e.equal("system", s.Agent().System, "You plan.")
	e.equal("description", s.Agent().Description, "plans")
	e.equal("summary", s.Conversation().Summary, "a task")
	e.equal("cwd", s.DeviceStatus().CWD, e.dir)
	e.equal("mode", s.DeviceStatus().Mode, appclient.ModeAcceptEdits)
	if err := s.Sync(e.ctx); err != nil { // the loop status may come after the answer
		e.Fatal(err)
	}
	e.equal("idle", s.LoopStatus().Idle(), true)
	var rt appclient.Runtime
	if err := json.Unmarshal(s.RawRuntime(), &rt); err != nil {
		e.Fatal(err)
	}
	e.equal("runtime", rt, s.Runtime())
}

func newConversation(e *env) {
	c := e.dial()
	first := e.start(c, appclient.RuntimeStart{})
	second := e.start(c, appclient.RuntimeStart{AgentID: first.Runtime().AgentID})
	e.equal("created", second.Created(), appclient.Created{Conversation: true})
	e.equal("agent", second.Runtime().AgentID, first.Runtime().AgentID)
	if second.Runtime().ConversationID == first.Runtime().ConversationID {
		e.Error("the conversation is not a new one")
	}
	e.say(second, "x [[say:ok]]")
}

func existingConversation(e *env) {
	c := e.dial()
	first := e.start(c, appclient.RuntimeStart{})
	e.say(first, "x [[say:remember this]]")
	if err := c.Close(); err != nil && !errors.Is(err, appclient.ErrConnectionLost) {
		e.Fatal(err)
	}
	c = e.dial()
	second := e.start(c, again(first))
	e.equal("created", second.Created(), appclient.Created{})
	e.equal("runtime", second.Runtime(), first.Runtime())
	e.text(e.say(second, "y [[say:more]]").Text, "more")
	e.equal("messages", len(e.messages(c, second)), 4)
}

func defaultConversation(e *env) {
	c := e.dial()
	first := e.start(c, appclient.RuntimeStart{})
	s := e.start(c, appclient.RuntimeStart{AgentID: first.Runtime().AgentID, ConversationID: "default"})
	e.equal("created", s.Created(), appclient.Created{})
	e.equal("conversation", s.Runtime().ConversationID, "default")
	e.text(e.say(s, "x [[say:at home]]").Text, "at home")
	page, err := c.ListMessages(e.ctx, appclient.MessageQuery{ConversationID: "default", AgentID: s.Runtime().AgentID})
	if err != nil {
		e.Fatal(err)
	}
	e.equal("messages", len(page.Messages), 2)
}

// refused starts a runtime that the server must refuse.
func (e *env) refused(c *appclient.Client, start appclient.RuntimeStart) *appclient.RuntimeStartError {
	e.Helper()
	_, err := c.StartRuntime(e.ctx, e.complete(start))
	var refusal *appclient.RuntimeStartError
	if !errors.As(err, &refusal) {
		e.Fatalf("start runtime: %v, want a refusal", err)
	}
	return refusal
}

func unknownAgent(e *env) {
	err := e.refused(e.dial(), appclient.RuntimeStart{AgentID: "agent-none"})
	if !errors.Is(err, appclient.ErrNotFound) {
		e.Errorf("refusal is %v, want ErrNotFound", err)
	}
}

func unknownConversation(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	err := e.refused(c, appclient.RuntimeStart{AgentID: s.Runtime().AgentID, ConversationID: "local-conv-99999999"})
	if !errors.Is(err, appclient.ErrNotFound) {
		e.Errorf("refusal is %v, want ErrNotFound", err)
	}
	e.equal("agent in the refusal", err.AgentID, s.Runtime().AgentID)
}

func foreignConversation(e *env) {
	c := e.dial()
	one, other := e.start(c, appclient.RuntimeStart{}), e.start(c, appclient.RuntimeStart{})
	err := e.refused(c, appclient.RuntimeStart{AgentID: one.Runtime().AgentID, ConversationID: other.Runtime().ConversationID})
	e.contains("refusal", err.Message, "belongs to")
}

func badCWD(e *env) {
	missing := filepath.Join(e.dir, "missing")
	_, err := e.dial().StartRuntime(e.ctx, e.complete(appclient.RuntimeStart{CWD: missing}))
	var mismatch *appclient.MismatchError
	if !errors.As(err, &mismatch) {
		e.Fatalf("start runtime: %v, want a mismatch", err)
	}
	e.equal("field", mismatch.Field, "cwd")
	e.equal("wanted", mismatch.Want, missing)
}

func modeChanges(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{Mode: appclient.ModeStrict})
	e.equal("mode", s.DeviceStatus().Mode, appclient.ModeStrict)
	start := again(s)
	start.Mode = appclient.ModeStandard
	e.equal("mode", e.start(c, start).DeviceStatus().Mode, appclient.ModeStandard)
}

// dropped sends a command that must get no answer, and others after it that do.
func (e *env) dropped(c *appclient.Client, command object) {
	e.Helper()
	command["request_id"] = "dropped"
	raw, err := json.Marshal(command)
	if err != nil {
		e.Fatal(err)
	}
	sub := c.Frames()
	defer sub.Close()
	if err := c.Send(e.ctx, raw); err != nil {
		e.Fatal(err)
	}
	e.start(c, appclient.RuntimeStart{})
	if _, err := c.ListAgents(e.ctx, appclient.AgentQuery{Limit: 1}); err != nil {
		e.Fatal(err)
	}
	e.await(sub, "agent_list_response", func(f appclient.Frame) bool {
		if f.RequestID == "dropped" {
			e.Errorf("the server answered %s", f.Raw)
		}
		return f.Type == "agent_list_response"
	})
}

func invalidMode(e *env) {
	c := e.dial()
	_, err := c.StartRuntime(e.ctx, e.complete(appclient.RuntimeStart{Mode: "yolo"}))
	var invalid *appclient.ValidationError
	if !errors.As(err, &invalid) {
		e.Errorf("start runtime: %v, want a validation error", err)
	}
	e.dropped(c, object{"type": "runtime_start", "mode": "yolo", "create_agent": object{"body": object{"name": "x"}}})
}

func unknownCommand(e *env) {
	e.dropped(e.dial(), object{"type": "does_not_exist"})
}

func inputUnknownAgent(e *env) {
	c := e.dial()
	sub := c.Frames()
	defer sub.Close()
	var ack accepted
	e.request(c, object{"type": "input", "runtime": object{"agent_id": "agent-none", "conversation_id": "default"}, "payload": object{
		"kind": "create_message", "messages": []object{{"role": "user", "content": "x", "client_message_id": "u1"}},
	}}, &ack)
	e.equal("disposition", ack.Disposition, "started")
	var end struct {
		StopReason string `json:"stop_reason"`
		Error      string `json:"error"`
	}
	if err := e.awaitEnd(sub).Decode(&end); err != nil {
		e.Fatal(err)
	}
	e.equal("stop reason", end.StopReason, "error")
	e.equal("error", end.Error, "Agent agent-none not found")
}
