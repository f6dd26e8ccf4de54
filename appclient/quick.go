package appclient

import (
	"bytes"
	"encoding/json"
)

// What is in this file reads what servers send most, as they write it, without
// encoding/json, which looks at every byte three times. All of it is false where
// anything is unusual, and is then read by encoding/json.

// elements calls visit with every element of a JSON array, as it is written. It is
// false for what is no array.
func elements(data []byte, visit func(value []byte) bool) bool {
	i := space(data, 0)
	if i >= len(data) || data[i] != '[' {
		return false
	}
	if i = space(data, i+1); i < len(data) && data[i] == ']' {
		return space(data, i+1) == len(data)
	}
	for {
		end := value(data, i)
		if end < 0 || !visit(data[i:end]) {
			return false
		}
		if i = space(data, end); i >= len(data) {
			return false
		}
		if data[i] == ']' {
			return space(data, i+1) == len(data)
		}
		if data[i] != ',' {
			return false
		}
		i = space(data, i+1)
	}
}

// words reads a string, also one with escapes, or null.
func words(value []byte) (text string, ok bool) {
	if text, ok = plain(value); !ok && len(value) > 0 && value[0] == '"' {
		ok = json.Unmarshal(value, &text) == nil
	}
	return text, ok
}

// plains reads an array of strings that are written as they are, or null.
func plains(data []byte) ([]string, bool) {
	if string(data) == "null" {
		return nil, true
	}
	list := []string{}
	ok := elements(data, func(value []byte) bool {
		text, ok := plain(value)
		list = append(list, text)
		return ok && value[0] == '"'
	})
	return list, ok
}

// truth reads true or false.
func truth(value []byte) (is, ok bool) {
	return string(value) == "true", string(value) == "true" || string(value) == "false"
}

// other says that a member that is not looked at is no other one, written in another way.
func other(key []byte) bool { return !bytes.ContainsAny(key, `\`) }

// quickDelta reads a delta that calls no tool.
func quickDelta(raw []byte) (wireDelta, bool) {
	var w wireDelta
	ok := members(raw, func(key, value []byte) (ok bool) {
		switch string(key) {
		case "message_type":
			w.MessageType, ok = plain(value)
		case "id":
			w.ID, ok = plain(value)
		case "otid":
			w.OTID, ok = plain(value)
		case "run_id":
			w.RunID, ok = plain(value)
		case "seq_id":
			w.SeqID, ok = count(value)
		case "content":
			w.Content, ok = value, true
		case "message":
			w.Message, ok = value, true
		case "reasoning":
			w.Reasoning, ok = words(value)
		case "summary":
			w.Summary, ok = words(value)
		case "status":
			w.Status, ok = plain(value)
		case "stop_reason":
			var reason string
			reason, ok = plain(value)
			w.StopReason = StopReason(reason)
		case "tool_call", "tool_calls":
			return string(value) == "null"
		case "tool_call_id", "tool_name", "tool_args", "tool_return", "is_terminal", "event_type", "event_data", "level", "output":
			return false
		default:
			ok = other(key)
		}
		return ok
	})
	return w, ok
}

// quickUsage reads the figures of a usage_statistics.
func quickUsage(raw []byte) (u Usage, ok bool) {
	ok = members(raw, func(key, value []byte) (ok bool) {
		var n int64
		switch string(key) {
		case "prompt_tokens":
			u.PromptTokens, ok = count(value)
		case "completion_tokens":
			u.CompletionTokens, ok = count(value)
		case "total_tokens":
			u.TotalTokens, ok = count(value)
		case "cached_input_tokens":
			u.CachedInputTokens, ok = count(value)
		case "cache_write_tokens":
			u.CacheWriteTokens, ok = count(value)
		case "reasoning_tokens":
			u.ReasoningTokens, ok = count(value)
		case "context_tokens":
			u.ContextTokens, ok = count(value)
		case "requests":
			n, ok = count(value)
			u.Requests = int(n)
		default:
			ok = other(key)
		}
		return ok
	})
	return u, ok
}

// quickLoopStatus reads a loop_status.
func quickLoopStatus(raw []byte) (s LoopStatus, ok bool) {
	ok = members(raw, func(key, value []byte) (ok bool) {
		switch string(key) {
		case "status":
			var name string
			name, ok = plain(value)
			s.Status = LoopStatusName(name)
		case "active_run_ids":
			s.ActiveRunIDs, ok = plains(value)
		case "executing_tool_call_ids":
			s.ExecutingToolCallIDs, ok = plains(value)
		case "client_message_ids_by_run_id":
			if string(value) == "null" {
				return true
			}
			if s.ClientMessageIDs == nil {
				s.ClientMessageIDs = map[string][]string{}
			}
			ok = members(value, func(key, value []byte) (ok bool) {
				s.ClientMessageIDs[string(key)], ok = plains(value)
				return ok && other(key)
			})
		default:
			ok = other(key)
		}
		return ok
	})
	return s, ok
}

// quickDeviceStatus reads a device_status without open approvals.
func quickDeviceStatus(raw []byte) (s DeviceStatus, ok bool) {
	ok = members(raw, func(key, value []byte) (ok bool) {
		switch string(key) {
		case "current_working_directory":
			s.CWD, ok = plain(value)
		case "current_permission_mode":
			var mode string
			mode, ok = plain(value)
			s.Mode = Mode(mode)
		case "is_processing":
			s.IsProcessing, ok = truth(value)
		case "current_loaded_tools":
			s.LoadedTools, ok = plains(value)
		case "pending_control_requests":
			if ok = string(value) == "null" || string(value) == "[]"; string(value) == "[]" {
				s.Pending = []ApprovalRequest{}
			}
		default:
			ok = other(key)
		}
		return ok
	})
	return s, ok
}

// quickStartAnswer reads a runtime_start_response.
func quickStartAnswer(raw []byte) (a runtimeStartAnswer, ok bool) {
	ok = members(raw, func(key, value []byte) (ok bool) {
		switch string(key) {
		case "success":
			a.Success, ok = truth(value)
		case "error":
			a.Error, ok = plain(value)
		case "runtime":
			a.Runtime, ok = json.RawMessage(value), true
		case "agent":
			a.Agent, ok = json.RawMessage(value), true
		case "conversation":
			a.Conversation, ok = json.RawMessage(value), true
		case "created":
			a.Created, ok = json.RawMessage(value), true
		default:
			ok = other(key)
		}
		return ok
	})
	return a, ok
}

// unmarshalQuickly is json.Unmarshal of what one of the functions above may read.
func unmarshalQuickly[T any](raw []byte, into *T, quick func([]byte) (T, bool)) error {
	if value, ok := quick(raw); ok {
		*into = value
		return nil
	}
	return json.Unmarshal(raw, into)
}
