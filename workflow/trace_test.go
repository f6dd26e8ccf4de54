package workflow

import (
	"strings"
	"testing"
)

func TestParseTrace(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, tt := range []struct{ parent, state, want, wantState string }{
		{good, "", good, ""},
		{" " + good + " ", " vendor=1 ", good, "vendor=1"},
		{good, strings.Repeat("x", 513), good, ""},
		{good, "a=\x00", good, ""},
		{"cc" + good[2:] + "-more", "", good, ""},
		{good + "-more", "", "", ""},
		{"ff" + good[2:], "", "", ""},
		{"", "a=1", "", ""},
		{strings.ToUpper(good), "", "", ""},
		{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "", "", ""},
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-" + strings.Repeat("0", 16) + "-01", "", "", ""},
		{good[:len(good)-1], "", "", ""},
		{"00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01", "", "", ""},
	} {
		got := ParseTrace(tt.parent, tt.state)
		if got == nil {
			got = &TraceContext{}
		}
		if *got != (TraceContext{Parent: tt.want, State: tt.wantState}) {
			t.Errorf("%q, %q: %+v", tt.parent, tt.state, got)
		}
	}
}
