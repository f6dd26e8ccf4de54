package appclient

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// RuntimeStart says which runtime to start. Exactly one of AgentID and
// CreateAgent is required. With neither ConversationID nor CreateConversation
// a new conversation is made.
type RuntimeStart struct {
	AgentID     string
	CreateAgent *AgentCreation
	// ConversationID is an existing id, or "default" for the agent's own conversation.
	ConversationID     string
	CreateConversation *ConversationSpec
	// ConversationSourceTags are merged into the conversation's tags (0.30.9 and later).
	ConversationSourceTags []string

	// CWD is the absolute directory that tools run in, on the server's machine; empty is the server's own directory.
	// The server accepts a directory that does not exist and falls back silently; the fallback
	// then shows in the device status and StartRuntime fails with a *MismatchError.
	// Servers compare paths as text: give the path that the server will report, without symbolic links.
	CWD string
	// Mode is ModeStandard when empty. It is always sent, as servers default to ModeUnrestricted.
	Mode Mode
	// SkillSources are all four when nil.
	SkillSources []SkillSource
	// Tools replace the tools of this connection on the runtime; none when empty.
	Tools []Tool
	// WorkspaceSandbox restricts the tools (0.30.20 and later, Linux with bwrap).
	WorkspaceSandbox *WorkspaceSandbox
	// KeepApprovals leaves approvals that a crashed server left behind as they are, instead of closing them.
	KeepApprovals bool
	// Extra is merged into the command, for fields this type does not name.
	Extra map[string]any

	// Approve decides where a turn has no Approve of its own, and about calls of turns that nobody asked for,
	// such as those after a background task. When nil, the former are denied and the latter wait for Session.Answer.
	Approve ApproveFunc
}

// AgentCreation is an agent that runtime_start makes.
type AgentCreation struct {
	AgentSpec
	// PinGlobal adds the agent to the pinned list of the server's user.
	PinGlobal bool
	// MemFS gives the agent a memory repository: dearer turns, and reflection every 25 steps.
	MemFS bool
}

// WorkspaceSandbox confines the tools to Root, which must lie strictly inside IsolationRoot.
type WorkspaceSandbox struct {
	Root          string `json:"root"`
	IsolationRoot string `json:"isolation_root"`
}

// Created says what a runtime_start made.
type Created struct {
	Agent        bool `json:"agent"`
	Conversation bool `json:"conversation"`
}

// StartRuntime starts a runtime and checks that it has the cwd and the mode
// that were asked for before it returns. Errors: *ValidationError before
// anything is sent, *RuntimeStartError when the server refused (ErrNotFound
// for unknown agents and conversations), *MismatchError.
func (c *Client) StartRuntime(ctx context.Context, start RuntimeStart) (*Session, error) {
	start = start.withDefaults()
	command, err := start.command(c.cfg.Client)
	if err != nil {
		return nil, fmt.Errorf("start runtime: %w", err)
	}
	var session *Session
	// The answer is taken in on the reader's goroutine, so that no frame of the runtime can be missed after it.
	frame, err := c.request(ctx, command, func(frame Frame) { session = c.adopt(frame, start) })
	if err != nil {
		return nil, fmt.Errorf("start runtime: %w", err)
	}
	if session == nil {
		return nil, fmt.Errorf("start runtime: %w", runtimeStartError(frame))
	}
	if err := session.verify(ctx, start); err != nil {
		session.Close()
		return nil, fmt.Errorf("start runtime: %w", err)
	}
	return session, nil
}

func (s RuntimeStart) withDefaults() RuntimeStart {
	if s.Mode == "" {
		s.Mode = ModeStandard
	}
	if s.SkillSources == nil {
		s.SkillSources = []SkillSource{SkillsBundled, SkillsGlobal, SkillsAgent, SkillsProject}
	}
	s.Tools = slices.Clone(s.Tools)
	return s
}

type wireTool struct {
	Name        string          `json:"name"`
	Label       string          `json:"label,omitempty"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

type wireToolGroup struct {
	ScopeID string     `json:"scope_id,omitempty"`
	Tools   []wireTool `json:"tools"`
}

// toolGroups groups the tools by scope in order of appearance.
func toolGroups(tools []Tool) []wireToolGroup {
	groups := []wireToolGroup{}
	for _, tool := range tools {
		i := slices.IndexFunc(groups, func(g wireToolGroup) bool { return g.ScopeID == tool.ScopeID })
		if i < 0 {
			groups = append(groups, wireToolGroup{ScopeID: tool.ScopeID})
			i = len(groups) - 1
		}
		groups[i].Tools = append(groups[i].Tools, wireTool{tool.Name, tool.Label, tool.Description, tool.Parameters})
	}
	return groups
}

// command validates and builds the runtime_start command.
func (s RuntimeStart) command(info ClientInfo) (map[string]any, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	command := map[string]any{
		"type": "runtime_start", "mode": s.Mode, "skill_sources": s.SkillSources,
		"external_tools": toolGroups(s.Tools), "client_info": info, "recover_approvals": !s.KeepApprovals,
		"force_device_status": true, "cwd": nil,
	}
	if s.CWD != "" {
		command["cwd"] = s.CWD
	}
	if s.CreateAgent != nil {
		body, err := s.CreateAgent.body("create_agent.body")
		if err != nil {
			return nil, err
		}
		command["create_agent"] = map[string]any{"body": body, "pin_global": s.CreateAgent.PinGlobal, "memfs": s.CreateAgent.MemFS}
	} else {
		command["agent_id"] = s.AgentID
	}
	if s.ConversationID != "" {
		command["conversation_id"] = s.ConversationID
	} else {
		spec := ConversationSpec{}
		if s.CreateConversation != nil {
			spec = *s.CreateConversation
			spec.AgentID = ""
		}
		command["create_conversation"] = map[string]any{"body": spec}
	}
	if s.ConversationSourceTags != nil {
		command["conversation_source_tags"] = s.ConversationSourceTags
	}
	if s.WorkspaceSandbox != nil {
		command["workspace_sandbox"] = s.WorkspaceSandbox
	}
	for name, value := range s.Extra {
		command[name] = value
	}
	return command, nil
}

// runtimeStartAnswer is a runtime_start_response.
type runtimeStartAnswer struct {
	Success      bool            `json:"success"`
	Error        string          `json:"error"`
	Runtime      json.RawMessage `json:"runtime"`
	Agent        json.RawMessage `json:"agent"`
	Conversation json.RawMessage `json:"conversation"`
	Created      json.RawMessage `json:"created"`
}

// adopt registers the runtime of a successful answer; nil for any other.
func (c *Client) adopt(frame Frame, start RuntimeStart) *Session {
	var answer runtimeStartAnswer
	var runtime Runtime
	if unmarshalQuickly(frame.Raw, &answer, quickStartAnswer) != nil || !answer.Success || isNull(answer.Runtime) ||
		json.Unmarshal(answer.Runtime, &runtime) != nil {
		return nil
	}
	session := &Session{client: c, rt: c.acquire(runtime, answer.Runtime, start)}
	session.since = session.rt.deviceCount()
	session.agent, session.conv = answer.Agent, answer.Conversation
	take(answer.Created, &session.made)
	return session
}

// runtimeStartError makes the error of a refused runtime_start.
func runtimeStartError(frame Frame) error {
	var answer runtimeStartAnswer
	if err := frame.Decode(&answer); err != nil {
		return err
	}
	failure := &RuntimeStartError{CommandError: CommandError{Command: "runtime_start", Message: answer.Error}}
	if answer.Success {
		failure.Message = "success without a usable runtime"
	}
	var named struct {
		ID string `json:"id"`
	}
	take(answer.Agent, &named)
	failure.AgentID, named.ID = named.ID, ""
	take(answer.Conversation, &named)
	failure.ConversationID = named.ID
	take(answer.Created, &failure.Created)
	return failure
}

// verify compares the device status with what was asked for. A status that
// differs, or does not come, is asked for once more: it might be older than the start.
func (s *Session) verify(ctx context.Context, start RuntimeStart) error {
	if s.client.transport == TransportSingle {
		wait, cancel := context.WithTimeout(ctx, statusTimeout)
		err := s.rt.awaitDevice(wait, s.client, s.since)
		cancel()
		if err == nil && s.mismatch(start) == nil {
			return nil
		}
	}
	// With two sockets the replay may have come before the answer, when the runtime was not known yet, and a status
	// from before the start after it. After a sync the last status is from after the start.
	seen := s.rt.deviceCount()
	if err := s.Sync(ctx); err != nil {
		return fmt.Errorf("verify cwd and mode: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, s.client.cfg.RequestTimeout)
	defer cancel()
	if err := s.rt.awaitDevice(wait, s.client, seen); err != nil {
		return fmt.Errorf("verify cwd and mode: no device status came: %w", err)
	}
	return s.mismatch(start)
}

// mismatch compares with the last device status; a *MismatchError when they differ.
func (s *Session) mismatch(start RuntimeStart) error {
	status := s.DeviceStatus()
	if start.CWD != "" && cleanPath(status.CWD) != cleanPath(start.CWD) {
		return &MismatchError{Field: "cwd", Want: start.CWD, Got: status.CWD, Runtime: s.Runtime(), Created: s.made}
	}
	if status.Mode != start.Mode {
		return &MismatchError{Field: "mode", Want: string(start.Mode), Got: string(status.Mode), Runtime: s.Runtime(), Created: s.made}
	}
	return nil
}

// statusTimeout is how long the replay after a runtime_start may take before the state is asked for.
const statusTimeout = 5 * time.Second

// cleanPath brings paths of any operating system to one form.
func cleanPath(p string) string { return path.Clean(strings.ReplaceAll(p, `\`, "/")) }
