//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// quick is a team that needs no App Server.
const quick = `version: 1
name: quick
limits: {turns: 2}
checks:
  door: {run: "true"}
start: door
handoffs:
  - {from: door, on: passed, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// TestClientOfAnotherGenerator has a TypeScript client generated from
// docs/openapi.yaml by a tool that we have nothing to do with. It compiles in strict
// mode, and with it a task is submitted, followed to its end, and listed.
func TestClientOfAnotherGenerator(t *testing.T) {
	t.Parallel()
	tools := os.Getenv("ORCHESTRATOR_E2E_OPENAPI")
	if tools == "" {
		t.Fatal("ORCHESTRATOR_E2E_OPENAPI does not name the directory of the generator; run `make e2e`, which installs it")
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.ts", "package.json", "tsconfig.json"} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join("openapiclient", name)))
	}
	document, err := filepath.Abs("../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	node := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	node("node_modules/.bin/openapi-ts", "-i", document, "-o", "client", "-c", "@hey-api/client-fetch", "--no-log-file")
	node("node_modules/.bin/tsc", "-p", ".")

	env := append(os.Environ(), "HOME="+dir)
	daemon := serve(t, env, t.TempDir(), "--app-server", "none", "--listen", "127.0.0.1:0")
	var said struct {
		Task    string
		Events  int
		Tasks   [][2]string
		Problem string
		Status  int
	}
	decode(t, node("node", "built/main.js", daemon.URL(), quick), &said)
	list, err := daemon.List(t.Context(), client.ListOptions{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d tasks, %v", len(list), err)
	}
	if len(said.Tasks) != 1 || said.Tasks[0] != [2]string{list[0].Task, string(workflow.TaskSucceeded)} || said.Events == 0 {
		t.Errorf("the client says %+v", said)
	}
	if said.Problem != "urn:orchestrator:problem:task-not-found" || said.Status != 404 {
		t.Errorf("of a task that is not there it says %+v", said)
	}
}
