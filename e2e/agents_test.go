//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// TestApprovals: what a pattern allows is on the disk, what none allows is not,
// and the agent is told so and goes on.
func TestApprovals(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		_, step, results := req.LastUser()
		writes := []string{"allowed.txt", "denied.txt", "otherwise.txt"}
		if step < len(writes) {
			return scriptedmodel.Reply{ToolCalls: call("Write", map[string]any{"file_path": writes[step], "content": "text"})}
		}
		return scriptedmodel.Reply{Text: strings.Join(results, " | ")}
	})
	env, dir := environment(t, model), t.TempDir()
	team := teamFile(t, `version: 1
name: approvals
inputs: {dir: {required: true}}
limits: {turns: 3}
workspace: {directory: "{{ .input.dir }}"}
agents:
  writer:
    prompt: Write.
    permission_mode: standard
    approvals: {allow: ["Write(allowed.txt)", "Write(denied.txt)"], deny: ["Write(denied*)"]}
start: writer
message: go
handoffs:
  - {from: writer, on: end_turn, to: succeeded}
  - {from: writer, on: "*", to: failed}
`)
	data := t.TempDir()
	r := orchestrator(t, env, "run", team, "--input", "dir="+dir, "--app-server", startAppServer(t, env).url, "--data-dir", data, "--json")
	if r.status != 0 || lastLine(t, r).State != "succeeded" {
		t.Fatalf("status %d\n%s\n%s", r.status, r.stdout, r.stderr)
	}
	if got := read(t, filepath.Join(dir, "allowed.txt")); got != "text" {
		t.Errorf("allowed.txt holds %q", got)
	}
	for _, name := range []string{"denied.txt", "otherwise.txt"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	requests := model.Requests()
	_, steps, results := requests[len(requests)-1].LastUser()
	if steps != 3 || len(results) != 3 || len(requests) != 4 {
		t.Fatalf("%d requests, %d steps, results %q", len(requests), steps, results)
	}
	for i, denied := range []bool{false, true, true} {
		if got := strings.Contains(strings.ToLower(results[i]), "den"); got != denied {
			t.Errorf("result %d of the agent: %q", i, results[i])
		}
	}
}

// TestTimeouts: a turn that takes too long and one that is silent are aborted,
// and routed by their own reason.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	const rules = `
start: worker
message: go
handoffs:
  - {from: worker, on: REASON, to: fallback, message: "instead"}
  - {from: worker, on: "*", to: failed}
  - {from: fallback, on: end_turn, to: worker, max: 1, message: "once more"}
  - {from: fallback, on: "*", to: failed}
`
	for reason, first := range map[string]scriptedmodel.Reply{
		"turn_timeout": slow,
		// Silent in the midst of its answer: it cannot even be aborted, so that its conversation is given up.
		"stalled": {Text: "half an answer", HangMid: true},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
				if text, _, _ := req.LastUser(); strings.HasSuffix(text, "go") {
					return first
				}
				return scriptedmodel.Reply{Text: "fine"}
			})
			limit := map[string]string{"turn_timeout": "turn_timeout: 2s", "stalled": "stall_timeout: 2s"}[reason]
			team := teamFile(t, `version: 1
name: timeouts
limits: {turns: 5}
agents:
  worker: {prompt: Work., `+limit+`}
  fallback: {prompt: Work instead.}`+strings.Replace(strings.Replace(rules, "REASON", reason, 1),
				`  - {from: worker, on: "*"`, `  - {from: worker, on: end_turn, to: succeeded}
  - {from: worker, on: "*"`, 1))
			env := environment(t, model)
			r := orchestrator(t, env, "run", team, "--app-server", startAppServer(t, env).url, "--data-dir", t.TempDir(), "--json")
			want := "worker -" + reason + "-> fallback fallback -end_turn-> worker worker -end_turn-> succeeded"
			if got := lastLine(t, r); r.status != 0 || strings.Join(got.route(), " ") != want {
				t.Errorf("status %d, %q\n%s", r.status, got.route(), r.stderr)
			}
			if n := len(model.Requests()); n != 3 {
				t.Errorf("the model was asked %d times", n)
			}
			if story := r.stderr; !strings.Contains(story, limit[:strings.Index(limit, ":")]) {
				t.Errorf("the journal does not name the limit:\n%s", story)
			}
		})
	}
}

// TestAgentsAndConversations: tasks of one team share its agents and have
// conversations of their own; what the team file says of an agent is what the
// model is told; an agent that exists is used as it is.
func TestAgentsAndConversations(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply { return scriptedmodel.Reply{Text: "fine"} })
	env, data := environment(t, model), t.TempDir()
	server := startAppServer(t, env)
	team := func(name, agent string) string {
		return teamFile(t, `version: 1
name: `+name+`
limits: {turns: 3}
agents: {worker: {`+agent+`}}
start: worker
message: go
handoffs:
  - {from: worker, on: end_turn, to: succeeded}
  - {from: worker, on: "*", to: failed}
`)
	}
	// run returns agent and conversation, and the system prompt that the model got.
	run := func(file string) (agent, conversation, system string) {
		t.Helper()
		r := orchestrator(t, env, "run", file, "--app-server", server.url, "--data-dir", data, "--json")
		if r.status != 0 {
			t.Fatalf("status %d\n%s\n%s", r.status, r.stdout, r.stderr)
		}
		for _, e := range journal(r.stderr) {
			if e.Event.Type == "turn_sending" {
				agent, conversation = e.Event.Body.Runtime.AgentID, e.Event.Body.Runtime.ConversationID
			}
		}
		requests := model.Requests()
		return agent, conversation, requests[len(requests)-1].System()
	}
	first := team("shared", "prompt: You are the FIRST edition.")
	agent1, conversation1, system1 := run(first)
	agent2, conversation2, system2 := run(first)
	agent3, conversation3, system3 := run(team("shared", "prompt: You are the SECOND edition."))
	if agent1 == "" || agent1 != agent2 || agent2 != agent3 {
		t.Errorf("agents %s, %s, %s", agent1, agent2, agent3)
	}
	if conversation1 == conversation2 || conversation2 == conversation3 || conversation1 == conversation3 {
		t.Errorf("conversations %s, %s, %s", conversation1, conversation2, conversation3)
	}
	for i, system := range []string{system1, system2, system3} {
		want, other := "FIRST", "SECOND"
		if i == 2 {
			want, other = other, want
		}
		if !strings.Contains(system, want) || strings.Contains(system, other) {
			t.Errorf("task %d: the model was told\n%s", i+1, system)
		}
	}
	agent4, conversation4, system4 := run(team("other", "agent_id: "+agent1))
	if agent4 != agent1 || conversation4 == conversation3 || !strings.Contains(system4, "SECOND") {
		t.Errorf("agent_id: %s, %s, told\n%s", agent4, conversation4, system4)
	}
	agent5, _, _ := run(team("other", "prompt: You are somebody else."))
	if agent5 == agent1 {
		t.Error("another team got the same agent")
	}
	for i, req := range model.Requests() {
		users := 0
		for _, m := range req.Messages {
			if m.Role == "user" {
				users++
			}
		}
		if users != 1 {
			t.Errorf("request %d holds %d inputs: a conversation is not new", i+1, users)
		}
	}
	listed := orchestrator(t, env, "appserver", "agents", "list", "--url", server.url, "--json")
	var any json.RawMessage
	if err := json.Unmarshal([]byte(strings.SplitN(listed.stdout, "\n", 2)[0]), &any); err != nil || strings.Count(listed.stdout, "agent-local-") != 2 {
		t.Errorf("agents: %v\n%s", err, listed.stdout)
	}
}
