//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// kept is a team with an agent that begins anew in each task, and one that keeps what it learns.
const kept = `version: 1
name: kept
inputs: {goal: {type: string, required: true}}
limits: {turns: 12}
agents:
  worker: {prompt: You work.}
  keeper: {prompt: You remember., memory: true}
start: worker
message: "<worker> {{ .input.goal }}"
handoffs:
  - {from: worker, on: end_turn, to: keeper, message: "<keeper> {{ .input.goal }}"}
  - {from: keeper, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// keepers waits for the ends of tasks and returns the agents with memory that took part.
func keepers(t *testing.T, daemon *serving, tasks []string) []workflow.Runtime {
	t.Helper()
	var found []workflow.Runtime
	for _, task := range tasks {
		state := daemon.await(task, "the end", ended)
		if state.Status != workflow.TaskSucceeded {
			t.Errorf("%s: %+v", task, state.Result)
		}
		at := state.Conversations["keeper"]
		at.ConversationID = ""
		if !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	return found
}

// TestPoolOfAppServers runs a daemon on two real App Servers: the work is shared
// out, an agent with memory stays where it lives, and while one server is dead, its
// conversations wait and everything else goes to the other one.
func TestPoolOfAppServers(t *testing.T) {
	t.Parallel()
	held := newGate()
	release := make(chan struct{})
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		if text, _, _ := req.LastUser(); strings.Contains(text, "hold.") && !isContinuation(text) {
			held.arrive()
			<-release
		}
		return scriptedmodel.Reply{Text: "done"}
	})
	servers := map[string]*appServer{}
	config := "version: 1\napp_servers:\n"
	for _, name := range []string{"a", "b"} {
		servers[name] = startAppServer(t, environment(t, model)) // each has its own HOME
		config += fmt.Sprintf("  - {name: %s, url: %q, max_turns: 3}\n", name, servers[name].url)
	}
	file := filepath.Join(t.TempDir(), "orchestrator.yaml")
	write(t, file, config)
	daemon := serve(t, environment(t, model), t.TempDir(), "--config", file)
	submit := func(goal string) string {
		made, err := daemon.Submit(t.Context(), api.SubmitRequest{Source: kept, File: "kept.yaml", Input: map[string]any{"goal": goal}}, "")
		if err != nil {
			t.Fatal(err)
		}
		return made.Task.Task
	}
	var tasks []string
	for i := range 8 {
		tasks = append(tasks, submit(fmt.Sprintf("share %d.", i)))
	}
	keeper := keepers(t, daemon, tasks)
	if len(keeper) != 1 {
		t.Errorf("the agent with memory is %v", keeper)
	}
	list, err := daemon.Servers(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("servers: %+v, %v", list, err)
	}
	for _, s := range list {
		if s.State != "ready" || s.Conversations < 2 || s.Version == "" {
			t.Errorf("%+v", s)
		}
	}

	// One dies in the middle of a turn.
	pinned := submit("hold.")
	held.wait(t)
	state, err := daemon.Task(t.Context(), pinned)
	if err != nil {
		t.Fatal(err)
	}
	dead, alive := servers["a"], servers["b"]
	if state.Turns[0].Runtime.Server == strings.TrimSuffix(servers["b"].url, "/") {
		dead, alive = alive, dead
	}
	if err := dead.KillWhole(); err != nil {
		t.Fatal(err)
	}
	close(release)
	tasks = nil
	for i := range 4 {
		tasks = append(tasks, submit(fmt.Sprintf("alone %d.", i)))
	}
	// The keeper may live on the dead server; the workers do not depend on it.
	for _, task := range tasks {
		state := daemon.await(task, "the worker", func(s workflow.State) bool { return s.Nodes["worker"].Reason == workflow.ReasonEndTurn })
		if got := state.Conversations["worker"].Server; got != strings.TrimSuffix(alive.url, "/") {
			t.Errorf("a worker ran on %s, which is dead", got)
		}
	}
	if state := daemon.await(pinned, "its state", func(workflow.State) bool { return true }); ended(state) {
		t.Errorf("the task of the dead server has ended: %+v", state.Result)
	}
	if err := dead.Restart(); err != nil {
		t.Fatal(err)
	}
	if after := keepers(t, daemon, append(tasks, pinned)); len(after) != 1 || after[0] != keeper[0] {
		t.Errorf("the agent with memory was %v and is %v", keeper, after)
	}
	for _, marker := range []string{"<worker> share", "<keeper> share", "<worker> alone", "<keeper> alone"} {
		n := 4
		if strings.HasSuffix(marker, "share") {
			n = 8
		}
		if original, again := asked(model, marker); original != n || again != 0 {
			t.Errorf("%s: asked %d times, continued %d times; want %d and none", marker, original, again, n)
		}
	}
	if original, again := asked(model, "<worker> hold."); original != 1 || again > 1 {
		t.Errorf("the turn of the dead server: asked %d times, continued %d times", original, again)
	}
}
