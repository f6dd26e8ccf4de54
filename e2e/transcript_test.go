//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
)

// TestTranscript: what a turn with tool calls says and does on the real App
// Server is kept, with arguments and returns, also of a call that was denied.
func TestTranscript(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		_, step, _ := req.LastUser()
		switch step {
		case 0:
			return scriptedmodel.Reply{Text: "I write it. ", ToolCalls: call("Write", map[string]any{"file_path": "kept.txt", "content": "what is written"})}
		case 1:
			return scriptedmodel.Reply{ToolCalls: call("Write", map[string]any{"file_path": "denied.txt", "content": "never"})}
		}
		return scriptedmodel.Reply{Text: "All is written."}
	})
	env, dir, data := environment(t, model), t.TempDir(), t.TempDir()
	team := teamFile(t, `version: 1
name: kept
inputs: {dir: {required: true}}
limits: {turns: 3}
workspace: {directory: "{{ .input.dir }}"}
agents:
  writer:
    prompt: Write.
    approvals: {allow: ["Write(kept.txt)"]}
start: writer
message: go and write
handoffs:
  - {from: writer, on: end_turn, to: succeeded}
  - {from: writer, on: "*", to: failed}
`)
	r := orchestrator(t, env, "run", team, "--input", "dir="+dir, "--app-server", startAppServer(t, env).url, "--data-dir", data, "--json")
	if r.status != 0 {
		t.Fatalf("status %d\n%s\n%s", r.status, r.stdout, r.stderr)
	}
	task := lastLine(t, r).Task
	told := orchestrator(t, env, "transcript", task, "--json", "--data-dir", data)
	if told.status != 0 {
		t.Fatalf("status %d\n%s", told.status, told.stderr)
	}
	t.Log(orchestrator(t, env, "transcript", task, "--data-dir", data).stdout)
	var records []transcript.Record
	for line := range strings.Lines(told.stdout) {
		var record transcript.Record
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	has := func(what string, fits func(transcript.Record) bool) {
		t.Helper()
		for _, r := range records {
			if fits(r) {
				return
			}
		}
		t.Errorf("there is no %s in\n%s", what, told.stdout)
	}
	has("prompt", func(r transcript.Record) bool {
		return r.Type == transcript.Prompt && strings.Contains(r.Text, "go and write")
	})
	has("text before the call", func(r transcript.Record) bool {
		return r.Type == transcript.Text && strings.Contains(r.Text, "I write it.")
	})
	has("tool call", func(r transcript.Record) bool {
		return r.Type == transcript.ToolCall && r.Tool == "Write" && strings.Contains(r.Input, "what is written") && r.Call != ""
	})
	has("tool return", func(r transcript.Record) bool {
		return r.Type == transcript.ToolReturn && r.Status == "success" && strings.Contains(r.Text, filepath.Base("kept.txt"))
	})
	has("approval", func(r transcript.Record) bool {
		return r.Type == transcript.Approval && strings.HasPrefix(r.Text, "denied")
	})
	has("denied call", func(r transcript.Record) bool {
		return r.Type == transcript.ToolCall && strings.Contains(r.Input, "denied.txt")
	})
	has("return of the denied call", func(r transcript.Record) bool { return r.Type == transcript.ToolReturn && r.Status == "error" })
	has("usage", func(r transcript.Record) bool { return r.Type == transcript.Usage && r.Usage.TotalTokens > 0 })
	if last := records[len(records)-1]; last.Type != transcript.End || last.Reason != "end_turn" || last.Usage.TotalTokens == 0 {
		t.Errorf("it ends with %+v", last)
	}
	for _, r := range records {
		if r.Type == transcript.Cut {
			t.Errorf("something is missing: %+v", r)
		}
	}
}
