package engine

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const leaking = `
version: 1
name: leaking
inputs: {goal: {type: string}}
limits: {turns: 9}
output_limit: 1024
agents:
  coder: {prompt: C, outcomes: [done]}
checks:
  tests: {run: make}
gates:
  ok: {question: "Good? {{ .output }}"}
start: coder
message: "{{ .input.goal }}"
handoffs:
  - {from: coder, on: error, retry: {max: 1, backoff: 0s}}
  - {from: coder, on: done, to: tests}
  - {from: tests, on: failed, to: ok}
  - {from: ok, on: approved, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// No secret reaches the disk or those who watch, wherever it stands: not in what
// people say, not in what agents and commands do, and not where it comes in pieces or where a text is cut.
func TestNoSecretIsStoredOrShown(t *testing.T) {
	const secret = "hunter2-hunter2"
	dir := t.TempDir()
	s, f := openStore(t, dir), &fake{server: newServer()}
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if strings.Contains(req.Turn.Message, secret) {
			t.Error("the agent is told the secret")
		}
		for _, piece := range []string{"it is hunt", "er2-hun", "ter2, so", " be it; hunter"} {
			rec.Progress(Progress{Kind: ProgressText, Text: piece})
		}
		rec.Progress(Progress{Kind: ProgressTool, Tool: "Bash", Argument: "echo " + secret})
		if err := rec.Report(ctx, "using "+secret, nil); err != nil {
			return workflow.TurnFinished{}, err
		}
		if _, err := rec.Ask(ctx, Question{Kind: workflow.QuestionText, Text: "Is it " + secret + "?", Tool: "T", Argument: secret}); err != nil {
			return workflow.TurnFinished{}, err
		}
		if req.Turn.Attempt == 1 {
			return workflow.TurnFinished{Reason: workflow.ReasonError, Error: "401 for " + secret}, nil
		}
		// The limit cuts it in the middle.
		long := strings.Repeat("x", 674) + secret + strings.Repeat("y", 5000) + secret + strings.Repeat("z", 335)
		return workflow.TurnFinished{
			Reason: workflow.ReasonEndTurn, Outcome: "done", Output: long, Summary: "s " + secret, HandoffMessage: secret,
			Data: map[string]any{"list": []any{secret, 1.0}},
		}, nil
	}
	c := &commands{end: func(context.Context, CheckRequest) (workflow.TurnFinished, error) {
		return workflow.TurnFinished{Reason: workflow.ReasonFailed, Output: "env: " + secret, Error: secret, ExitCode: 1}, nil
	}}
	e := newEngine(s, f, withChecks(c), func(o *Options) {
		o.OutputDir = filepath.Join(dir, "outputs")
		o.Redact = redact.New(redact.Secret{Name: "PASSWORD", Value: secret})
	})
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	made, _, err := e.Submit(t.Context(), Submission{Team: parse(t, leaking), Input: map[string]any{"goal": "log in with " + secret}, Workspace: "/w", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	var live strings.Builder
	shown := map[int]bool{}
	for u := range sub.Updates() {
		if p := u.Progress; p != nil {
			if p.Kind == ProgressText {
				live.WriteString(p.Text)
			}
			if strings.Contains(p.Text+p.Argument, secret) {
				t.Errorf("shown: %+v", p)
			}
		}
		if u.Record == nil {
			continue
		}
		state := u.Record.State
		if state.Status.Terminal() {
			break
		}
		for _, q := range state.Questions {
			if !shown[q.ID] {
				shown[q.ID] = true
				if _, err := e.AnswerQuestion(t.Context(), made.Task, q.ID, "yes, "+secret, "ada"); err != nil {
					t.Error(err)
				}
			}
		}
		if gate := openGate(*state); gate != 0 && !shown[-gate] {
			shown[-gate] = true
			if _, err := e.AnswerGate(t.Context(), made.Task, gate, true, "ada", "the password is "+secret); err != nil {
				t.Error(err)
			}
		}
	}
	state := e.wait(t, made.Task)
	if want := "it is [redacted PASSWORD], so be it; hunter"; state.Status != workflow.TaskSucceeded || !strings.HasPrefix(live.String(), want) || strings.Contains(live.String(), secret) {
		t.Errorf("%+v, shown %q", state.Result, &live)
	}
	again, created, err := e.Submit(t.Context(), Submission{Team: parse(t, leaking), Input: map[string]any{"goal": "log in with " + secret}, Workspace: "/w", Key: "k"})
	if err != nil || created || again.Task != made.Task {
		t.Errorf("the same key: %v, %v", created, err)
	}
	found := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		text := string(content)
		if strings.Contains(text, secret) || strings.Contains(text, secret[:10]) || strings.Contains(text, secret[5:]) {
			t.Errorf("the secret is in %s", path)
		}
		found += strings.Count(text, "[redacted PASSWORD]")
		return err
	})
	if err != nil || found < 15 {
		t.Errorf("%d secrets were taken out, %v", found, err)
	}
}
