package workflow

import "strings"

// TraceContext says which trace a task belongs to, as W3C Trace Context has it
// (https://www.w3.org/TR/trace-context/).
type TraceContext struct {
	// Parent is a traceparent: 00-TRACE-SPAN-FLAGS in hexadecimal digits.
	Parent string `json:"traceparent"`
	// State is the tracestate that came with it; it may be empty.
	State string `json:"tracestate,omitempty"`
}

// maxTraceState bounds a tracestate, in bytes; longer ones may be dropped, as the standard says.
const maxTraceState = 512

// ParseTrace makes a TraceContext; nil when the traceparent is not valid. A
// tracestate that is not valid is left out.
func ParseTrace(parent, state string) *TraceContext {
	parent = strings.TrimSpace(parent)
	parts := strings.Split(parent, "-")
	if len(parts) < 4 || !isHex(parts[0], 2) || !isHex(parts[1], 32) || !isHex(parts[2], 16) || !isHex(parts[3], 2) {
		return nil
	}
	switch {
	case parts[0] == "ff", strings.Trim(parts[1], "0") == "", strings.Trim(parts[2], "0") == "":
		return nil
	case parts[0] == "00" && len(parts) > 4:
		return nil
	}
	t := &TraceContext{Parent: "00-" + strings.Join(parts[1:4], "-")} // of a later version, what this one knows
	state = strings.TrimSpace(state)
	if len(state) <= maxTraceState && strings.IndexFunc(state, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		t.State = state
	}
	return t
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}
