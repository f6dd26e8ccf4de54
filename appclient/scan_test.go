package appclient

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// slowEnvelope is what quickEnvelope must agree with.
func slowEnvelope(data []byte) (envelope, bool) {
	var env envelope
	return env, json.Unmarshal(data, &env) == nil
}

func TestQuickEnvelope(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		quick       bool
	}{
		{"usual", `{"type":"stream_delta","delta":{"a":["}","\"{"]},"runtime":{"agent_id":"a","conversation_id":"c"},"event_seq":17,"emitted_at":"x","idempotency_key":"k:17"}`, true},
		{"spaces", " {\n\t\"type\" : \"x\" , \"runtime\" : { \"agent_id\" : \"a\" } } ", true},
		{"empty", `{}`, true},
		{"null", `{"type":"x","request_id":null}`, true},
		{"nested key", `{"type":"x","body":{"type":"y","request_id":"r"}}`, true},
		{"escaped backslash", `{"type":"x","delta":"\\","request_id":"r"}`, true},
		{"twice", `{"type":"x","type":"y"}`, true},
		{"escape", `{"type":"a\u0062c"}`, false},
		{"escaped key", `{"\u0074ype":"x"}`, false},
		{"wrong type", `{"type":7,"request_id":"r"}`, false},
		{"no runtime", `{"type":"x","runtime":null}`, false},
		{"negative", `{"event_seq":-1}`, false},
		{"fraction", `{"event_seq":1.5}`, false},
		{"cut", `{"type":"x"`, false},
		{"more", `{"type":"x"} {}`, false},
		{"array", `["type"]`, false},
		{"comma", `{"type":"x",}`, false},
		{"nothing", ``, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := quickEnvelope([]byte(tt.frame))
			if ok != tt.quick {
				t.Fatalf("quick %t, want %t", ok, tt.quick)
			}
			if want, valid := slowEnvelope([]byte(tt.frame)); ok && (!valid || !cmp.Equal(got, want)) {
				t.Errorf("%+v, want %+v (valid: %t)", got, want, valid)
			}
		})
	}
}

func TestMember(t *testing.T) {
	if got := string(member([]byte(`{"a":{"b":1},"b": [1,"]"] ,"c":true}`), "b")); got != `[1,"]"]` {
		t.Errorf("%q", got)
	}
	if got := member([]byte(`{"a":1`), "a"); got != nil {
		t.Errorf("%q of an object that is cut", got)
	}
}

// FuzzQuickEnvelope holds what is read quickly against encoding/json.
func FuzzQuickEnvelope(f *testing.F) {
	f.Add([]byte(`{"type":"x","runtime":{"agent_id":"a","conversation_id":"c"},"event_seq":1,"d":[{"\"":"\\"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := quickEnvelope(data)
		// encoding/json takes keys in any case, which no server writes.
		if !ok || !json.Valid(data) || bytes.ContainsAny(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZ\u017f\u212a") {
			return
		}
		if want, valid := slowEnvelope(data); valid && !cmp.Equal(got, want) {
			t.Errorf("%s\n%+v, want %+v", data, got, want)
		}
	})
}
