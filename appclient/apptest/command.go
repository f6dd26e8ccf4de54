package apptest

import (
	"encoding/json"
	"slices"
)

// handle carries out one command. What is malformed, unknown or wrongly typed gets no answer: the real
// server drops it without a word.
func (s *session) handle(data []byte) {
	var head struct {
		Type      string `json:"type"`
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(data, &head) != nil {
		return
	}
	switch head.Type {
	case "runtime_start":
		decode(data, s.runtimeStart)
	case "input":
		decode(data, s.input)
	case "sync":
		decode(data, s.sync)
	case "abort_message":
		decode(data, s.abort)
	case "external_tool_call_response":
		decode(data, s.externalResponse)
	case "remove_queue_item":
		decode(data, s.removeQueueItem)
	case "change_device_state":
		decode(data, s.changeDeviceState)
	case "runtime_external_tools_update":
		if s.process.server.features.toolsUpdate {
			decode(data, s.updateExternalTools)
		}
	case "app_server_info":
		if s.process.server.features.serverInfo {
			s.answer(s.process.server.info(head.RequestID))
		}
	default:
		if head.RequestID != "" {
			s.manage(head.Type, head.RequestID, data)
		}
	}
}

func decode[T any](data []byte, handle func(T)) {
	var v T
	if json.Unmarshal(data, &v) == nil {
		handle(v)
	}
}

type runtimeStartResponse struct {
	Type         string        `json:"type"`
	RequestID    string        `json:"request_id"`
	Success      bool          `json:"success"`
	Runtime      *runtimeID    `json:"runtime"`
	Agent        *agent        `json:"agent"`
	Conversation *conversation `json:"conversation"`
	Created      created       `json:"created"`
	Error        string        `json:"error,omitempty"`
}

type created struct {
	Agent        bool `json:"agent"`
	Conversation bool `json:"conversation"`
}

// valid reports whether the real server would look at the command at all.
func (c runtimeStart) valid() bool {
	if c.RequestID == "" || (c.CreateAgent != nil && c.CreateAgent.Body == nil) || (c.ClientInfo != nil && c.ClientInfo.Name == nil) {
		return false
	}
	if c.Mode != nil && !slices.Contains([]string{"standard", "acceptEdits", "unrestricted", "strict"}, *c.Mode) {
		return false
	}
	for _, source := range c.SkillSources {
		if !slices.Contains([]string{"bundled", "global", "agent", "project"}, source) {
			return false
		}
	}
	var cwd *string
	return (isNull(c.CWD) || json.Unmarshal(c.CWD, &cwd) == nil) && validTools(c.ExternalTools)
}

func validTools(groups []toolGroup) bool {
	for _, g := range groups {
		for _, t := range g.Tools {
			if t.Name == nil || t.Description == nil || isNull(t.Parameters) {
				return false
			}
		}
	}
	return true
}

// exclusions are the combinations that are answered with an error.
func (c runtimeStart) exclusions() string {
	switch {
	case (c.AgentID != nil && *c.AgentID != "") == (c.CreateAgent != nil):
		return "runtime_start requires exactly one of agent_id or create_agent"
	case c.ConversationID != nil && *c.ConversationID == "":
		return "runtime_start conversation_id must be a non-empty string"
	case c.ConversationID != nil && c.CreateConversation != nil:
		return "runtime_start conversation_id cannot be combined with create_conversation"
	}
	return ""
}

func (s *session) runtimeStart(c runtimeStart) {
	if !c.valid() {
		return
	}
	answer := runtimeStartResponse{Type: "runtime_start_response", RequestID: c.RequestID}
	if answer.Error = c.exclusions(); answer.Error != "" {
		s.answer(answer)
		return
	}
	id, err := s.resolve(c, &answer)
	if err != nil {
		answer.Error = err.Error()
		s.answer(answer)
		return
	}
	answer.Success, answer.Runtime = true, &id
	rt := s.process.runtime(id)
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.applySettings(c.Mode, c.directory(s.process.server.opts.BootDir))
	rt.subscribe(s)
	rt.register(s, c.ExternalTools)
	device := c.ForceDevice == nil || *c.ForceDevice
	if c.WaitForReplay && s.process.server.features.turnEnd {
		rt.replay(s, device)
		s.answer(answer)
		return
	}
	s.answer(answer)
	rt.replay(s, device)
	if device {
		rt.emitDevice([]*session{s}) // the real server sends it again once it knows the git state
	}
}

// directory is the working directory asked for; null means the server's own, absence keeps the last.
func (c runtimeStart) directory(boot string) *string {
	if c.CWD == nil {
		return nil
	}
	var cwd *string
	if json.Unmarshal(c.CWD, &cwd) != nil || cwd == nil {
		return &boot
	}
	return cwd
}

// resolve finds or makes agent and conversation, and notes in the answer what it made.
func (s *session) resolve(c runtimeStart, answer *runtimeStartResponse) (runtimeID, error) {
	st := s.process.server.store
	var a agent
	var err error
	if c.CreateAgent != nil {
		memfs := !s.process.server.features.memfs || c.CreateAgent.MemFS == nil || *c.CreateAgent.MemFS
		a, answer.Created.Agent = st.createAgent(*c.CreateAgent.Body, memfs), true
	} else if a, err = st.agent(*c.AgentID); err != nil {
		return runtimeID{}, err
	}
	answer.Agent = &a
	var conv conversation
	if c.ConversationID != nil {
		conv, err = st.find(runtimeID{a.ID, *c.ConversationID})
	} else {
		var body conversationBody
		if c.CreateConversation != nil {
			body = c.CreateConversation.Body
		}
		body.Tags = append(body.Tags, c.SourceTags...)
		conv, err = st.createConversation(a.ID, body)
		answer.Created.Conversation = err == nil
	}
	if err != nil {
		return runtimeID{}, err
	}
	answer.Conversation = &conv
	return runtimeID{a.ID, conv.ID}, nil
}

// scoped is what commands about a runtime have in common.
type scoped struct {
	RequestID string    `json:"request_id"`
	Runtime   runtimeID `json:"runtime"`
}

func (c runtimeID) valid() bool { return c.AgentID != "" && c.ConversationID != "" }

// lockRuntime locks the runtime that a command is about and subscribes the
// session to it, as every such command does. The caller unlocks it. A scope
// that is incomplete gives nil: the command is dropped without an answer.
func (s *session) lockRuntime(id runtimeID) *agentRuntime {
	if !id.valid() {
		return nil
	}
	rt := s.process.runtime(id)
	rt.mu.Lock()
	rt.subscribe(s)
	return rt
}

type syncCommand struct {
	scoped
	ForceDevice bool `json:"force_device_status"`
}

func (s *session) sync(c syncCommand) {
	rt := s.lockRuntime(c.Runtime)
	if rt == nil {
		return
	}
	defer rt.mu.Unlock()
	rt.replay(s, c.ForceDevice)
	if c.RequestID != "" {
		s.answer(scopedResponse{"sync_response", c.RequestID, &c.Runtime, true})
	}
}

type scopedResponse struct {
	Type      string     `json:"type"`
	RequestID string     `json:"request_id"`
	Runtime   *runtimeID `json:"runtime,omitempty"`
	Success   bool       `json:"success"`
}

type abortResponse struct {
	scopedResponse
	Aborted bool `json:"aborted"`
}

func (s *session) abort(c scoped) {
	rt := s.lockRuntime(c.Runtime)
	if rt == nil {
		return
	}
	defer rt.mu.Unlock()
	active := rt.turn != nil && !rt.cancelling
	var ended func()
	if active {
		ended = rt.cancelTurn(false)
	}
	if c.RequestID != "" {
		s.answer(abortResponse{scopedResponse{"abort_message_response", c.RequestID, &c.Runtime, true}, active})
	}
	if ended != nil {
		ended()
	}
}

type deviceStateCommand struct {
	scoped
	Payload struct {
		Mode *string `json:"mode"`
		CWD  *string `json:"cwd"`
	} `json:"payload"`
}

func (s *session) changeDeviceState(c deviceStateCommand) {
	rt := s.lockRuntime(c.Runtime)
	if rt == nil {
		return
	}
	defer rt.mu.Unlock()
	rt.applySettings(c.Payload.Mode, c.Payload.CWD)
	rt.emitDevice(rt.subscribers)
}

type externalToolsUpdate struct {
	RequestID string `json:"request_id"`
	Updates   []struct {
		Runtimes      []runtimeID `json:"runtimes"`
		ExternalTools []toolGroup `json:"external_tools"`
	} `json:"updates"`
}

func (s *session) updateExternalTools(c externalToolsUpdate) {
	seen := map[runtimeID]bool{}
	for _, u := range c.Updates {
		for _, id := range u.Runtimes {
			if seen[id] || !id.valid() || !validTools(u.ExternalTools) {
				return
			}
			seen[id] = true
		}
	}
	for _, u := range c.Updates {
		for _, id := range u.Runtimes {
			rt := s.process.runtime(id)
			rt.mu.Lock()
			rt.register(s, u.ExternalTools)
			rt.mu.Unlock()
		}
	}
	if c.RequestID != "" {
		s.answer(scopedResponse{Type: "runtime_external_tools_update_response", RequestID: c.RequestID, Success: true})
	}
}
