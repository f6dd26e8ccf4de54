//go:build unix

package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/check"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// writer is an agent that writes a file where it is told to work.
type writer struct {
	during func(req engine.TurnRequest)
}

func (w writer) Run(ctx context.Context, req engine.TurnRequest, rec engine.Recorder) (workflow.TurnFinished, error) {
	rt := workflow.Runtime{Server: "s", AgentID: req.Task, ConversationID: fmt.Sprint(req.Turn.ID)}
	if err := rec.Sending(ctx, fmt.Sprint(req.Task, req.Turn.ID, req.Turn.Attempt), rt); err != nil {
		return workflow.TurnFinished{}, err
	}
	if w.during != nil {
		w.during(req)
	}
	err := os.WriteFile(filepath.Join(req.Workspace, "written"), []byte("by "+req.Agent.Name+"\n"), 0o600)
	return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "done"}, err
}

func (writer) Reconcile(context.Context, engine.TurnRequest) (workflow.TurnReconciled, error) {
	return workflow.TurnReconciled{Finding: workflow.FindingNotConsumed}, nil
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=P", "-c", "user.email=p@example.org"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func newRepository(t *testing.T) string {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	repo, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	git(t, repo, "init", "-q", "-b", "main")
	if err := os.WriteFile(filepath.Join(repo, ".gitignore"), []byte("*.log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "add", ".")
	git(t, repo, "commit", "-q", "-m", "first")
	return repo
}

func parseTeam(t *testing.T, workspace string) *workflow.Team {
	t.Helper()
	source := "version: 1\nname: t\ninputs:\n  goal: {default: Mend it}\nworkspace:\n" + workspace +
		"agents:\n  a: {prompt: P., permission_mode: acceptEdits}\nstart: a\nhandoffs:\n  - {from: a, on: end_turn, to: succeeded}\n  - {from: \"*\", on: \"*\", to: failed}\n"
	team, err := workflow.Parse("t.yaml", []byte(source), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// newTestEngine drives the tasks of a data directory until the test ends.
func newTestEngine(t *testing.T, s *store.Store, w engine.Workspaces, turns engine.TurnRunner) (e *engine.Engine, stop func() error) {
	t.Helper()
	e = engine.New(engine.Options{Store: s, Runner: turns, Checks: check.New(check.Options{}), Log: zerolog.Nop(), Workspaces: w})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return e, stop
}

func openData(t *testing.T) *store.Store {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ids, err := s.TaskIDs(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			if _, err := s.VerifyTask(context.Background(), id); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func whole(repo, more string) string {
	return "  worktree: {repo: " + repo + "}\n  setup: [\"echo prepared > prepared.log\", \"echo set up\"]\n  commit: {message: \"{{ .input.goal }}: {{ .output }}\"}\n" +
		"  publish: {patch: \"{{ .task.id }}.patch\"}\n" + more
}

// TestAWorktreeFromTheClaimToTheEnd: it is made, set up, committed, published and removed.
func TestAWorktreeFromTheClaimToTheEnd(t *testing.T) {
	repo, s := newRepository(t), openData(t)
	e, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{})
	state, _, err := e.Submit(t.Context(), engine.Submission{Input: map[string]any{"goal": "Mend it"}, Team: parseTeam(t, whole(repo, "  cleanup: always\n"))})
	if err != nil {
		t.Fatal(err)
	}
	id := state.Task
	if state, err = e.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, repo, s, state)
	if log := git(t, repo, "log", "-1", "--format=%an: %s", "team/"+id); log != "orchestrator: Mend it: done" {
		t.Errorf("committed as %q", log)
	}
}

// checkWhole checks the end of a task with the workspace of whole.
func checkWhole(t *testing.T, repo string, s *store.Store, state workflow.State) {
	t.Helper()
	p, branch := state.Place, "team/"+state.Task
	if state.Status != workflow.TaskSucceeded || p.Status != workflow.PlaceFinished || !p.Removed || p.Files != 1 || p.Insertions != 1 || p.Deletions != 0 || p.Publish != workflow.PublishDone {
		t.Fatalf("%s: %+v", state.Status, p)
	}
	if git(t, repo, "show", branch+":written") != "by a" || git(t, repo, "rev-parse", branch) != p.Commit {
		t.Error("the branch does not have the result")
	}
	// What git ignores is nowhere else.
	if git(t, repo, "show", p.SavedRef+":prepared.log") != "prepared" {
		t.Error("an ignored file is lost")
	}
	if _, err := os.Stat(state.Workspace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the worktree: %v", err)
	}
	if list := git(t, repo, "worktree", "list"); strings.Count(list, "\n") != 0 {
		t.Errorf("git knows of\n%s", list)
	}
	patch, err := os.ReadFile(filepath.Join(s.Dir(), "results", state.Task, state.Task+".patch"))
	if err != nil || !strings.Contains(string(patch), "+by a") {
		t.Errorf("the patch: %v, %q", err, patch)
	}
}

// cutOff stops the engine in the middle of the n-th thing that is done with a workspace.
type cutOff struct {
	engine.Workspaces
	mu    sync.Mutex
	left  int
	after bool // what was asked for is done, and nothing is recorded of it
	stop  func()
}

func (c *cutOff) cut(ctx context.Context, do func(context.Context) error) error {
	c.mu.Lock()
	c.left--
	now := c.left == 0
	c.mu.Unlock()
	if !now {
		return do(ctx)
	}
	if c.after {
		if err := do(ctx); err != nil {
			return err
		}
	}
	c.stop()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (c *cutOff) Make(ctx context.Context, req engine.PlaceRequest) (place engine.Place, err error) {
	err = c.cut(ctx, func(ctx context.Context) error { place, err = c.Workspaces.Make(ctx, req); return err })
	return place, err
}

func (c *cutOff) Save(ctx context.Context, team *workflow.Team, state workflow.State) (body workflow.WorkspaceSaved, err error) {
	err = c.cut(ctx, func(ctx context.Context) error { body, err = c.Workspaces.Save(ctx, team, state); return err })
	return body, err
}

func (c *cutOff) Publish(ctx context.Context, team *workflow.Team, state workflow.State) (detail string, err error) {
	err = c.cut(ctx, func(ctx context.Context) error { detail, err = c.Workspaces.Publish(ctx, team, state); return err })
	return detail, err
}

func (c *cutOff) Remove(ctx context.Context, team *workflow.Team, state workflow.State) (body workflow.WorkspaceFinished, err error) {
	err = c.cut(ctx, func(ctx context.Context) error { body, err = c.Workspaces.Remove(ctx, team, state); return err })
	return body, err
}

// TestAWorktreeThoughTheOrchestratorDies: wherever it is cut off, the next one
// comes to the same end.
func TestAWorktreeThoughTheOrchestratorDies(t *testing.T) {
	for step, name := range []string{"make", "save", "publish", "remove"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %t", name, after), func(t *testing.T) {
				repo, s := newRepository(t), openData(t)
				stopped := make(chan struct{})
				places := &cutOff{Workspaces: newPlaces(s.Dir(), true), left: step + 1, after: after, stop: func() { close(stopped) }}
				first, stop := newTestEngine(t, s, places, writer{})
				state, _, err := first.Submit(t.Context(), engine.Submission{Input: map[string]any{"goal": "Mend it"}, Team: parseTeam(t, whole(repo, "  cleanup: on_success\n"))})
				if err != nil {
					t.Fatal(err)
				}
				<-stopped
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				second, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{})
				if state, err = second.Wait(t.Context(), state.Task); err != nil {
					t.Fatal(err)
				}
				checkWhole(t, repo, s, state)
			})
		}
	}
}

// TestADirectoryIsForOneTask: a second task that writes in it, or within it,
// waits for the first, and says so.
func TestADirectoryIsForOneTask(t *testing.T) {
	s := openData(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	working := 0
	begun, goOn := make(chan string, 3), make(chan struct{})
	e, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{during: func(req engine.TurnRequest) {
		mu.Lock()
		if working++; working > 1 {
			t.Errorf("%d tasks work in one directory", working)
		}
		mu.Unlock()
		begun <- req.Task
		<-goOn
		mu.Lock()
		working--
		mu.Unlock()
	}})
	updates := e.Subscribe("")
	defer updates.Close()
	submit := func(directory string) string {
		state, _, err := e.Submit(t.Context(), engine.Submission{Input: map[string]any{"goal": "Mend it"}, Team: parseTeam(t, "  directory: "+directory+"\n")})
		if err != nil {
			t.Fatal(err)
		}
		return state.Task
	}
	first := submit(dir)
	if got := <-begun; got != first {
		t.Fatalf("%s began", got)
	}
	second, third := submit(inner), submit(dir)
	for waiting := map[string]bool{}; len(waiting) < 2; {
		if u := <-updates.Updates(); u.Record != nil {
			if wait, ok := u.Record.Event.Body.(workflow.WorkspaceWaits); ok {
				waiting[u.Task] = true
				if wait.Task != first || !strings.Contains(wait.Detail, "in which task "+first+" works") {
					t.Errorf("waits for %+v", wait)
				}
			}
		}
	}
	close(goOn)
	for _, id := range []string{first, second, third} {
		if state, err := e.Wait(t.Context(), id); err != nil || state.Status != workflow.TaskSucceeded {
			t.Errorf("%+v, %v", state.Result, err)
		}
	}
}

// TestATurnIsNotSentElsewhere: an agent that is to work where another checkout
// is now is not asked.
func TestATurnIsNotSentElsewhere(t *testing.T) {
	repo, s := newRepository(t), openData(t)
	source := strings.Replace(whole(repo, ""), "\n", "\n", 1)
	turns := 0
	e, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{during: func(req engine.TurnRequest) {
		turns++
		// The agent, or somebody, puts the operator's repository in its place.
		if err := errors.Join(os.Rename(req.Workspace, req.Workspace+".away"), os.Mkdir(req.Workspace, 0o700),
			os.WriteFile(filepath.Join(req.Workspace, ".git"), []byte("gitdir: "+filepath.Join(repo, ".git")+"\n"), 0o600)); err != nil {
			t.Error(err)
		}
	}})
	team, err := workflow.Parse("t.yaml", []byte("version: 1\nname: t\ninputs:\n  goal: {default: Mend it}\nworkspace:\n"+source+
		"agents:\n  a: {prompt: P.}\n  b: {prompt: P.}\nstart: a\nhandoffs:\n  - {from: a, on: end_turn, to: b}\n  - {from: b, on: end_turn, to: succeeded}\n  - {from: \"*\", on: \"*\", to: failed}\n"), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := e.Submit(t.Context(), engine.Submission{Team: team, Input: map[string]any{"goal": "Mend it"}})
	if err != nil {
		t.Fatal(err)
	}
	if state, err = e.Wait(t.Context(), state.Task); err != nil {
		t.Fatal(err)
	}
	if turns != 1 || state.Status != workflow.TaskFailed || !strings.Contains(state.Nodes["b"].Error, "is not the worktree of the task") {
		t.Errorf("%d turns; %+v; %q", turns, state.Result, state.Nodes["b"].Error)
	}
	if git(t, repo, "status", "--porcelain") != "" {
		t.Error("the operator's checkout has changed")
	}
}

// TestSetupFails: the task ends, says why, and what was made is kept or saved.
func TestSetupFails(t *testing.T) {
	repo, s := newRepository(t), openData(t)
	e, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{during: func(engine.TurnRequest) { t.Error("a turn was sent") }})
	state, _, err := e.Submit(t.Context(), engine.Submission{Input: map[string]any{"goal": "Mend it"}, Team: parseTeam(t, "  worktree: {repo: "+repo+"}\n  setup: echo no such package; echo kept > half; exit 3\n  cleanup: always\n")})
	if err != nil {
		t.Fatal(err)
	}
	if state, err = e.Wait(t.Context(), state.Task); err != nil {
		t.Fatal(err)
	}
	if state.Status != workflow.TaskFailed || !strings.Contains(state.Result.Explanation, "exit status 3") || !strings.Contains(state.Result.Output, "no such package") {
		t.Errorf("%+v", state.Result)
	}
	if !state.Place.Removed || git(t, repo, "show", state.Place.SavedRef+":half") != "kept" {
		t.Errorf("%+v", state.Place)
	}
}

func TestPlacesAreRefusedOnAnotherMachine(t *testing.T) {
	repo := newRepository(t)
	places := newPlaces(t.TempDir(), false)
	for workspace, fine := range map[string]bool{"  worktree: {repo: " + repo + "}\n": false, "  parallel_writers: false\n": false, "  directory: /not/here\n": true, "  directory: relative\n": false} {
		err := places.Check(engine.PlaceRequest{Task: "T1", Team: parseTeam(t, workspace)})
		if _, told := errors.AsType[*engine.PlaceError](err); fine != (err == nil) || !fine && !told {
			t.Errorf("%s: %v", workspace, err)
		}
	}
}
