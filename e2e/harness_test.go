//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/realserver"
	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// modelHandle is how an agent names the scripted model.
const modelHandle = "lmstudio/" + scriptedmodel.Model

func startModel(t *testing.T, respond scriptedmodel.Responder) *scriptedmodel.Server {
	t.Helper()
	model, err := scriptedmodel.Start(t.Context(), respond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = model.Close() })
	return model
}

// environment is what the App Server needs to find the scripted model, with a HOME of its own.
func environment(t *testing.T, model *scriptedmodel.Server) []string {
	t.Helper()
	return realserver.Environment(t.TempDir(), model.URL())
}

// appServer is a real App Server that the test started itself.
type appServer struct {
	*realserver.Server
	url string
}

// startAppServer starts the real App Server on a free port and waits until it listens.
func startAppServer(t *testing.T, env []string) *appServer {
	t.Helper()
	s, err := realserver.Start(letta, t.TempDir(), env)
	t.Cleanup(s.Kill)
	if err != nil {
		t.Fatal(err)
	}
	return &appServer{s, s.URL()}
}

// result is how one run of the orchestrator ended.
type result struct {
	stdout, stderr string
	status         int
}

// command prepares the orchestrator's binary.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
	cmd.Env = env
	if i := slices.Index(args, "--data-dir"); i >= 0 && args[0] == "run" && i+1 < len(args) {
		t.Cleanup(func() { verifyHistories(t, env, args[i+1]) })
	}
	return cmd
}

// verifyHistories has every journal of a data directory taken through the rules
// once more and compared with what is stored.
func verifyHistories(t *testing.T, env []string, data string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(data, "orchestrator.db")); err != nil {
		return // nothing was begun
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "verify", "--data-dir", data)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the store does not hold: %v\n%s", err, out)
	}
}

// orchestrator runs the binary to its end.
func orchestrator(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := command(t, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(8*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Run() // the status says it
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// summary is the last line of `orchestrator run --json`.
type summary struct {
	Task     string `json:"task"`
	State    string `json:"state"`
	Turns    int    `json:"turns"`
	Handoffs []struct {
		From   string `json:"from"`
		Reason string `json:"reason"`
		Rule   int    `json:"rule"`
		To     string `json:"to"`
	} `json:"handoffs"`
	Tokens      int64  `json:"tokens"`
	Explanation string `json:"explanation"`
}

func lastLine(t *testing.T, r result) summary {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var s summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatalf("the last line is no JSON (%v), status %d\nstdout:\n%s\nstderr:\n%s", err, r.status, r.stdout, r.stderr)
	}
	return s
}

// route renders handoffs as "a -reason-> b".
func (s summary) route() []string {
	var out []string
	for _, h := range s.Handoffs {
		if h.From == "" {
			continue
		}
		out = append(out, h.From+" -"+h.Reason+"-> "+h.To)
	}
	return out
}

// scratchRepo makes a Git repository with one Go package.
func scratchRepo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module scratch\n\ngo 1.24\n")
	write(t, filepath.Join(dir, "greet.go"), "package scratch\n\n// Greet greets.\nfunc Greet(string) string { return \"\" }\n")
	write(t, filepath.Join(dir, "greet_test.go"), "package scratch\n\nimport \"testing\"\n\nfunc TestGreet(t *testing.T) {\n\tif got := Greet(\"en\"); got != \"hello\" {\n\t\tt.Fatal(got)\n\t}\n}\n")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "-A"},
		{"-c", "user.name=e2e", "-c", "user.email=e2e@example.invalid", "commit", "-q", "-m", "start"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// gate lets a test wait until a model request has arrived and hold it there.
type gate struct {
	arrived chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{arrived: make(chan struct{})} }

func (g *gate) arrive() { g.once.Do(func() { close(g.arrived) }) }

func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.arrived:
	case <-time.After(3 * time.Minute):
		t.Fatal("the model was not asked within 3 minutes")
	}
}
