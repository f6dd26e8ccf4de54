//go:build unix

package check

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// request is a check of a shell command in an empty workspace.
func request(t *testing.T, shell string) engine.CheckRequest {
	t.Helper()
	return engine.CheckRequest{
		Task: "T", Check: &workflow.Check{Name: "c", Run: shell}, Turn: workflow.Turn{ID: 3, Attempt: 2},
		Workspace: t.TempDir(), OutputLimit: 4096, OutputFile: filepath.Join(t.TempDir(), "outputs", "3.txt"),
	}
}

func runCheck(t *testing.T, req engine.CheckRequest) workflow.TurnFinished {
	t.Helper()
	got, err := New(Options{Grace: 100 * time.Millisecond}).RunCheck(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.Turn != 3 || got.Attempt != 2 {
		t.Errorf("it is about turn %d, attempt %d", got.Turn, got.Attempt)
	}
	return got
}

func TestRunCheckSaysHowTheCommandEnded(t *testing.T) {
	tests := []struct {
		name, run     string
		reason        workflow.Reason
		code          int
		output, error string
	}{
		{"passes", "echo out; echo err >&2; echo out", workflow.ReasonPassed, 0, "out\nerr\nout\n", ""},
		{"prints nothing", "true", workflow.ReasonPassed, 0, "", ""},
		{"has no input and no terminal", "read line; (: </dev/tty) 2>/dev/null || echo none", workflow.ReasonPassed, 0, "none\n", ""},
		{"fails", "echo no; exit 3", workflow.ReasonFailed, 3, "no\n", "the command ended with exit status 3"},
		{"is killed", "kill -KILL $$", workflow.ReasonFailed, 137, "", "the command was ended by a signal: killed (9)"},
		{"names no program", "no-such-program-here 2>/dev/null", workflow.ReasonFailed, 127, "", "127: a program that it names was not found"},
		{"names what cannot be run", "/ 2>/dev/null", workflow.ReasonFailed, 126, "", "126: a program that it names cannot be run"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runCheck(t, request(t, test.run))
			if got.Reason != test.reason || got.ExitCode != test.code || got.Output != test.output {
				t.Errorf("got %+v", got)
			}
			if (got.Error == "") != (test.error == "") || !strings.Contains(got.Error, test.error) {
				t.Errorf("got the error %q", got.Error)
			}
			if got.OutputFile != "" || got.Duration <= 0 {
				t.Errorf("got file %q, duration %s", got.OutputFile, got.Duration)
			}
		})
	}
}

func TestRunCheckRunsAProgramWithoutShell(t *testing.T) {
	req := request(t, "")
	req.Check.Command = []string{"echo", "a  b", "$HOME", "; true"}
	if got := runCheck(t, req); got.Output != "a  b $HOME ; true\n" {
		t.Errorf("got %q", got.Output)
	}
	script := filepath.Join(req.Workspace, "check.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$0\"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	req.Check.Command = []string{"./check.sh"}
	if got := runCheck(t, req); got.Output != "./check.sh\n" {
		t.Errorf("got %+v", got)
	}
}

func TestRunCheckSaysWhyACommandCannotBeStarted(t *testing.T) {
	req := request(t, "")
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(req.Workspace, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "#!/bin/sh\n", 0o600)
	write("lost", "#!/no/such/shell\n", 0o700)
	write("text", "just text\n", 0o700)
	if err := os.Mkdir(filepath.Join(req.Workspace, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, directory string
		command         []string
		want            string
	}{
		{"unknown program", "", []string{"no-such-program-here"}, "there is no program no-such-program-here in PATH"},
		{"unknown file", "", []string{"./none"}, "there is no program " + req.Workspace},
		{"not executable", "", []string{"./plain"}, "chmod +x"},
		{"a directory", "", []string{"./dir"}, "is a directory and not a program"},
		{"no interpreter", "", []string{"./lost"}, "the interpreter that its first line names does not exist"},
		{"no program", "", []string{"./text"}, "a script needs a first line"},
		{"no command", "", nil, "check c has no command"},
		{"no directory", "none", []string{"true"}, "there is no directory none in the workspace"},
		{"a file as directory", "text", []string{"true"}, "is a file"},
		{"outside", "../..", []string{"true"}, "outside of the workspace"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req.Check = &workflow.Check{Name: "c", Command: test.command, Directory: test.directory}
			got := runCheck(t, req)
			if got.Reason != workflow.ReasonFailed || !strings.Contains(got.Error, test.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("no workspace", func(t *testing.T) {
		req := request(t, "true")
		req.Workspace = filepath.Join(req.Workspace, "gone")
		if got := runCheck(t, req); got.Reason != workflow.ReasonFailed || !strings.Contains(got.Error, "the workspace") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRunCheckStaysInTheWorkspace(t *testing.T) {
	req := request(t, "pwd; pwd -P")
	req.Check.Directory = "sub"
	sub := filepath.Join(req.Workspace, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(sub)
	if err != nil {
		t.Fatal(err)
	}
	if got := runCheck(t, req); got.Output != real+"\n"+real+"\n" {
		t.Errorf("got %q, want %s", got.Output, real)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(req.Workspace, "away")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub", filepath.Join(req.Workspace, "near")); err != nil {
		t.Fatal(err)
	}
	req.Check.Directory = "away"
	if got := runCheck(t, req); got.Reason != workflow.ReasonFailed || !strings.Contains(got.Error, "outside of the workspace") {
		t.Errorf("a link that leads outside: got %+v", got)
	}
	req.Check.Directory = "near"
	if got := runCheck(t, req); got.Reason != workflow.ReasonPassed {
		t.Errorf("a link within: got %+v", got)
	}
}

func TestRunCheckEnvironment(t *testing.T) {
	req := request(t, `echo "$ORCHESTRATOR_TASK $KEEP $OWN ${ORCHESTRATOR_APP_SERVER_TOKEN-none} ${LETTA_API_KEY-none} ${GIT_DIR-none} $OPENAI_API_KEY"`)
	req.Environment = []string{"ORCHESTRATOR_TASK=T", "OWN=engine"}
	req.Check.Environment = map[string]string{"OWN": "team"}
	r := New(Options{Environ: func() []string {
		return []string{
			"PATH=" + os.Getenv("PATH"), "KEEP=kept", "ORCHESTRATOR_APP_SERVER_TOKEN=secret", "LETTA_API_KEY=secret",
			"GIT_DIR=/elsewhere", "OPENAI_API_KEY=theirs",
		}
	}})
	got, err := r.RunCheck(t.Context(), req)
	if err != nil || got.Output != "T kept team none none none theirs\n" {
		t.Errorf("got %q, %v", got.Output, err)
	}
	// The program is looked for where the command itself would find it.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("#!/bin/sh\necho mine\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	req.Check = &workflow.Check{Name: "c", Command: []string{"mine"}, Environment: map[string]string{"PATH": dir}}
	if got := runCheck(t, req); got.Output != "mine\n" {
		t.Errorf("got %+v", got)
	}
}

// watch collects what is shown, and signals the first piece that contains a word.
type watch struct {
	mu    sync.Mutex
	texts []string
	word  string
	seen  chan struct{}
	once  sync.Once
}

func newWatch(word string) *watch { return &watch{word: word, seen: make(chan struct{})} }

func (w *watch) show(p engine.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, p.Text)
	if p.Kind == engine.ProgressOutput && strings.Contains(p.Text, w.word) {
		w.once.Do(func() { close(w.seen) })
	}
}

// untilSeen cancels with cause when the command has printed "ready".
func untilSeen(t *testing.T, w *watch, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-w.seen:
			cancel(cause)
		case <-ctx.Done():
		}
	})
	t.Cleanup(func() { cancel(nil); running.Wait() })
	return ctx
}

func TestRunCheckEndsWithItsContext(t *testing.T) {
	for _, test := range []struct {
		name, run string
	}{
		{"ends when asked", "echo ready; sleep 1000"},
		{"ignores SIGTERM", "trap '' TERM; echo ready; while :; do sleep 1; done"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, w := request(t, test.run), newWatch("ready")
			req.Progress = w.show
			r := New(Options{Grace: 100 * time.Millisecond})
			got, err := r.RunCheck(untilSeen(t, w, engine.ErrTurnAborted), req)
			if !errors.Is(err, engine.ErrTurnAborted) || got.Reason != "" {
				t.Errorf("aborted: got %+v, %v", got, err)
			}
			w = newWatch("ready")
			req.Progress = w.show
			got, err = r.RunCheck(untilSeen(t, w, &engine.BudgetError{Note: "10 minutes are used up"}), req)
			if err != nil || got.Reason != workflow.ReasonBudgetExceeded || got.Output != "ready\n" || got.Error != "10 minutes are used up" {
				t.Errorf("budget: got %+v, %v", got, err)
			}
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(engine.ErrStopping)
	if _, err := New(Options{}).RunCheck(ctx, request(t, "true")); !errors.Is(err, engine.ErrStopping) {
		t.Errorf("ended before: got %v", err)
	}
}

func TestRunCheckTimeout(t *testing.T) {
	req := request(t, "echo begun; trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.05; done")
	req.Check.Timeout = 1500 * time.Millisecond
	r := New(Options{Grace: 10 * time.Second})
	got, err := r.RunCheck(t.Context(), req)
	if err != nil || got.Reason != workflow.ReasonTimeout || !strings.HasPrefix(got.Output, "begun\n") || !strings.HasSuffix(got.Output, "cleaned\n") {
		t.Errorf("got %+v, %v", got, err)
	}
	if !strings.Contains(got.Error, "within 1.5s") || got.Duration < req.Check.Timeout {
		t.Errorf("got %q after %s", got.Error, got.Duration)
	}
}

func TestRunCheckShowsTheNewestLine(t *testing.T) {
	req, w := request(t, "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; printf 'and a half'"), newWatch("half")
	req.Progress = w.show
	if got := runCheck(t, req); got.Reason != workflow.ReasonPassed {
		t.Fatalf("got %+v", got)
	}
	if len(w.texts) == 0 || w.texts[len(w.texts)-1] != "and a half" || len(w.texts) > 5 {
		t.Errorf("got %q", w.texts)
	}
}

// TestRunCheckShowsALineWhileTheCommandIsSilent: what came too soon after
// another line is shown when its time has come, and not with the next line.
func TestRunCheckShowsALineWhileTheCommandIsSilent(t *testing.T) {
	dir := t.TempDir()
	req, w := request(t, "echo one; sleep 0.05; echo two; while [ ! -e "+dir+"/go ]; do sleep 0.02; done"), newWatch("two")
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		select {
		case <-w.seen:
		case <-t.Context().Done():
		}
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	req.Progress, req.Check.Timeout = w.show, time.Minute
	if got := runCheck(t, req); got.Reason != workflow.ReasonPassed {
		t.Errorf("got %+v", got)
	}
}

// A secret that a command prints in pieces is in none of them, and not in the file.
func TestSecretsInOutput(t *testing.T) {
	const secret = "hunter2-hunter2"
	req := request(t, `i=0; while [ $i -lt 40 ]; do printf 'hunter2-'; sleep 0.01; printf 'hunter2\n%0300d\n' 0; i=$((i+1)); done; printf hunter2-hunt`)
	req.Redact = redact.New(redact.Secret{Name: "PASSWORD", Value: secret})
	var mu sync.Mutex
	var shown strings.Builder
	req.Progress = func(p engine.Progress) {
		mu.Lock()
		defer mu.Unlock()
		shown.WriteString(p.Text)
	}
	got := runCheck(t, req)
	whole, err := os.ReadFile(got.OutputFile)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(got.Output+string(whole)+shown.String(), secret) {
		t.Error("the secret is there")
	}
	if n := strings.Count(string(whole), "[redacted PASSWORD]\n"); n != 40 || !strings.HasSuffix(string(whole), "hunter2-hunt") {
		t.Errorf("%d secrets were taken out of\n%s", n, whole)
	}
}
