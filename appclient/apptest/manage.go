package apptest

import (
	"encoding/json"
	"strings"
)

// manage answers the commands about agents, conversations, messages and models.
func (s *session) manage(kind, requestID string, data []byte) {
	var c struct {
		AgentID        string          `json:"agent_id"`
		ConversationID string          `json:"conversation_id"`
		Body           json.RawMessage `json:"body"`
		Query          json.RawMessage `json:"query"`
		Settings       json.RawMessage `json:"settings"`
	}
	if json.Unmarshal(data, &c) != nil {
		return
	}
	st := s.process.server.store
	fields := map[string]any{}
	var err error
	known := true
	switch kind {
	case "agent_create":
		var body agentBody
		if isNull(c.Body) || json.Unmarshal(c.Body, &body) != nil {
			return
		}
		fields["agent"] = st.createAgent(body, true)
	case "agent_update":
		var body agentBody
		if isNull(c.Body) || json.Unmarshal(c.Body, &body) != nil {
			return
		}
		fields["agent"], err = nullable(st.updateAgent(c.AgentID, body))
	case "agent_retrieve":
		fields["agent"], err = nullable(st.agent(c.AgentID))
	case "agent_delete":
		fields["agent_id"], err = c.AgentID, st.deleteAgent(c.AgentID)
	case "agent_list":
		var q agentQuery
		if !query(c.Query, &q) {
			return
		}
		fields["agents"] = st.listAgents(q)
	case "conversation_create":
		var body conversationBody
		if isNull(c.Body) || json.Unmarshal(c.Body, &body) != nil {
			return
		}
		fields["conversation"], err = nullable(st.createConversation(body.AgentID, body))
	case "conversation_retrieve":
		fields["conversation"], err = nullable(st.conversationByID(c.ConversationID))
	case "conversation_update":
		var body conversationBody
		if isNull(c.Body) || json.Unmarshal(c.Body, &body) != nil {
			return
		}
		fields["conversation"], err = nullable(st.updateConversation(c.ConversationID, body))
	case "conversation_list":
		var q conversationQuery
		if !query(c.Query, &q) {
			return
		}
		fields["conversations"] = st.listConversations(q)
	case "conversation_messages_list":
		var q messageQuery
		if !query(c.Query, &q) {
			return
		}
		fields["messages"], fields["next_before"], fields["has_more"], err =
			st.listMessages(c.ConversationID, q, s.process.server.version.atLeast(27, 21))
	case "list_models":
		fields["entries"], fields["available_handles"] = s.process.server.models()
	case "get_reflection_settings", "set_reflection_settings":
		fields["reflection_settings"] = c.Settings
		if isNull(c.Settings) {
			fields["reflection_settings"] = reflectionSettings{Trigger: "step-count", StepCount: 25}
		}
	default:
		known = false
	}
	if !known {
		return
	}
	fields["type"], fields["request_id"], fields["success"] = kind+"_response", requestID, err == nil
	if err != nil {
		fields["error"] = err.Error()
	}
	s.answer(fields)
}

func query(raw json.RawMessage, into any) bool {
	return isNull(raw) || json.Unmarshal(raw, into) == nil
}

// nullable is the value, or null when there is an error.
func nullable[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

type modelEntry struct {
	ID     string `json:"id"`
	Handle string `json:"handle"`
	Label  string `json:"label"`
}

func (s *Server) models() ([]modelEntry, []string) {
	entries := []modelEntry{}
	for _, handle := range s.opts.Models {
		entries = append(entries, modelEntry{ID: handle, Handle: handle, Label: handle[strings.LastIndexByte(handle, '/')+1:]})
	}
	return entries, s.opts.Models
}
