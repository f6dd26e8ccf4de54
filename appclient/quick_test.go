package appclient

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// agrees holds what a quick function reads against encoding/json.
func agrees[T any](t *testing.T, data []byte, quick func([]byte) (T, bool)) (read bool) {
	t.Helper()
	got, ok := quick(data)
	if !ok {
		return false
	}
	var want T
	if err := json.Unmarshal(data, &want); err != nil {
		if !json.Valid(data) {
			return true // a mistake in what nobody looks at
		}
		t.Errorf("%s: read as %+v, which encoding/json refuses: %v", data, got, err)
	} else if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-encoding/json +quick):\n%s", data, d)
	}
	return true
}

func TestQuick(t *testing.T) {
	delta := func(data []byte) bool { return agrees(t, data, quickDelta) }
	usage := func(data []byte) bool { return agrees(t, data, quickUsage) }
	loop := func(data []byte) bool { return agrees(t, data, quickLoopStatus) }
	device := func(data []byte) bool { return agrees(t, data, quickDeviceStatus) }
	start := func(data []byte) bool { return agrees(t, data, quickStartAnswer) }
	for _, tt := range []struct {
		name  string
		read  func([]byte) bool
		data  string
		quick bool
	}{
		{"assistant", delta, `{"message_type":"assistant_message","id":"m","otid":"o","run_id":"r","seq_id":3,"content":[{"type":"text","text":"a\n"}],"tool_call":null,"date":"x"}`, true},
		{"reasoning with an escape", delta, `{"message_type":"reasoning_message","reasoning":"a\nb \"c\""}`, true},
		{"stop reason", delta, `{"message_type":"stop_reason","stop_reason":"end_turn"}`, true},
		{"tool call", delta, `{"message_type":"tool_call_message","tool_call":{"tool_call_id":"c","name":"Bash","arguments":"{}"}}`, false},
		{"tool return", delta, `{"message_type":"tool_return_message","tool_call_id":"c","tool_return":"x","status":"success"}`, false},
		{"number that is none", delta, `{"message_type":"assistant_message","seq_id":"3"}`, false},
		{"escaped key", delta, `{"message\u005ftype":"assistant_message"}`, false},
		{"no object", delta, `["a"]`, false},
		{"usage", usage, `{"message_type":"usage_statistics","prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"cached_input_tokens":0,"cache_write_tokens":1,"reasoning_tokens":2,"context_tokens":14,"requests":1}`, true},
		{"usage with null", usage, `{"prompt_tokens":null}`, false},
		{"usage with a fraction", usage, `{"prompt_tokens":1.0}`, false},
		{"idle", loop, `{"status":"WAITING_ON_INPUT","active_run_ids":[],"executing_tool_call_ids":null}`, true},
		{"running", loop, `{"status":"EXECUTING","active_run_ids":["r1","r2"] ,"client_message_ids_by_run_id":{"r1":["cm-1"],"r2":[ "cm-2", "cm-3" ]}}`, true},
		{"runs with a null", loop, `{"active_run_ids":["r1",null]}`, false},
		{"runs that are none", loop, `{"active_run_ids":{"r1":1}}`, false},
		{"array that is cut", loop, `{"active_run_ids":["r1",}`, false},
		{"device", device, `{"current_working_directory":"/w","current_permission_mode":"standard","is_processing":false,"current_loaded_tools":["Read","Bash"],"pending_control_requests":[],"memory":{"a":[1]}}`, true},
		{"device with an approval", device, `{"pending_control_requests":[{"request_id":"r"}]}`, false},
		{"start", start, `{"type":"runtime_start_response","success":true,"runtime":{"agent_id":"a","conversation_id":"c"},"agent":{"id":"a"},"conversation":{"id":"c"},"created":{"agent":true}}`, true},
		{"start refused", start, `{"success":false,"error":"no \"such\" agent"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.read([]byte(tt.data)); got != tt.quick {
				t.Errorf("read quickly: %t, want %t", got, tt.quick)
			}
		})
	}
}

// twice says whether a key of an object comes twice, which encoding/json puts
// together and no server sends.
func twice(data []byte) bool {
	seen, again := map[string]bool{}, false
	members(data, func(key, value []byte) bool {
		again = again || seen[string(key)] || twice(value)
		seen[string(key)] = true
		return true
	})
	return again
}

func FuzzQuick(f *testing.F) {
	f.Add([]byte(`{"message_type":"assistant_message","seq_id":3,"content":[{"type":"text","text":"a"}],"reasoning":"b","prompt_tokens":7}`))
	f.Add([]byte(`{"status":"s","active_run_ids":["r"],"client_message_ids_by_run_id":{"r":["m","\u00e9"]},"is_processing":true,"pending_control_requests":[]}`))
	f.Add([]byte(`{"success":true,"runtime":{"a":{}},"agent":null,"created":{},"current_loaded_tools":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.ContainsAny(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZ\u017f\u212a") || !json.Valid(data) || twice(data) {
			return
		}
		agrees(t, data, quickDelta)
		agrees(t, data, quickUsage)
		agrees(t, data, quickLoopStatus)
		agrees(t, data, quickDeviceStatus)
		agrees(t, data, quickStartAnswer)
	})
}
