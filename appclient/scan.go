package appclient

import (
	"bytes"
	"unicode/utf8"
)

// members calls visit with the key and the value of every member of a JSON
// object, as they are written. It looks at every byte once and decodes nothing,
// since most of a frame is read by nobody. It is false for what is no object, and
// does not notice every mistake within a value.
func members(data []byte, visit func(key, value []byte) bool) bool {
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return false
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return space(data, i+1) == len(data)
	}
	for i < len(data) && data[i] == '"' {
		end := text(data, i)
		if end < 0 {
			return false
		}
		key := data[i+1 : end-1]
		if i = space(data, end); i >= len(data) || data[i] != ':' {
			return false
		}
		begin := space(data, i+1)
		if end = value(data, begin); end < 0 || !visit(key, data[begin:end]) {
			return false
		}
		if i = space(data, end); i >= len(data) {
			return false
		}
		if data[i] == '}' {
			return space(data, i+1) == len(data)
		}
		if data[i] != ',' {
			return false
		}
		i = space(data, i+1)
	}
	return false
}

// member is the value of one member of an object; nil where it has none.
func member(data []byte, name string) []byte {
	var found []byte
	if !members(data, func(key, value []byte) bool {
		if string(key) == name {
			found = value
		}
		return true
	}) {
		return nil
	}
	return found
}

// space is where white space that begins at i has ended.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// text is where the string that begins at i has ended; negative where it has no end.
func text(data []byte, i int) int {
	for i++; i < len(data); i++ {
		next := bytes.IndexByte(data[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		escaped := 0
		for data[i-1-escaped] == '\\' {
			escaped++
		}
		if escaped%2 == 0 {
			return i + 1
		}
	}
	return -1
}

// value is where the value that begins at i has ended; negative where it has no end.
func value(data []byte, i int) int {
	if i >= len(data) {
		return -1
	}
	switch data[i] {
	case '"':
		return text(data, i)
	case '{', '[':
	default:
		end := i
		for end < len(data) && bytes.IndexByte([]byte(",}] \n\t\r\":[{"), data[end]) < 0 {
			end++
		}
		if end == i {
			return -1
		}
		return end
	}
	for depth := 0; i < len(data); {
		switch data[i] {
		case '"':
			if i = text(data, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// plain reads a string that is written as it is, or null, which is the empty one.
func plain(value []byte) (string, bool) {
	if string(value) == "null" {
		return "", true
	}
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	value = value[1 : len(value)-1]
	for _, c := range value {
		if c == '\\' || c < ' ' {
			return "", false
		}
	}
	return string(value), utf8.Valid(value)
}

// count reads a whole number of up to 18 digits.
func count(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 18 || value[0] == '0' && len(value) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// quickEnvelope reads the envelope of a frame as servers write it. It is false
// where anything is unusual, and is then read by other means.
func quickEnvelope(data []byte) (envelope, bool) {
	var env envelope
	ok := members(data, func(key, value []byte) (ok bool) {
		switch string(key) {
		case "type":
			env.Type, ok = plain(value)
		case "request_id":
			env.RequestID, ok = plain(value)
		case "subagent_id":
			env.SubagentID, ok = plain(value)
		case "idempotency_key":
			env.Key, ok = plain(value)
		case "event_seq":
			env.EventSeq, ok = count(value)
		case "runtime":
			var rt Runtime
			ok = members(value, func(key, value []byte) (ok bool) {
				switch string(key) {
				case "agent_id":
					rt.AgentID, ok = plain(value)
				case "conversation_id":
					rt.ConversationID, ok = plain(value)
				default:
					ok = !bytes.ContainsAny(key, `\`)
				}
				return ok
			})
			env.Runtime = &rt
		default: // a key may be written in another way
			ok = !bytes.ContainsAny(key, `\`)
		}
		return ok
	})
	return env, ok
}
