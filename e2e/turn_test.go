//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// turnRecorder records one turn of the runner, and answers its questions.
type turnRecorder struct {
	mu        sync.Mutex
	runtime   engine.RuntimeRecord
	questions []engine.Question
	reports   []string
	spawned   []string

	answer engine.Answer
	// onUsage is called with each usage.
	onUsage func(workflow.Usage)
}

func (r *turnRecorder) RuntimeStarted(_ context.Context, rt engine.RuntimeRecord) error {
	r.runtime = rt
	return nil
}
func (*turnRecorder) Sending(context.Context, string, workflow.Runtime) error { return nil }
func (*turnRecorder) Accepted(context.Context, string) error                  { return nil }

func (r *turnRecorder) Progress(p engine.Progress) {
	if p.Kind == engine.ProgressUsage && r.onUsage != nil {
		r.onUsage(p.Usage)
	}
}

func (r *turnRecorder) Ask(_ context.Context, q engine.Question) (engine.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.questions = append(r.questions, q)
	return r.answer, nil
}

func (r *turnRecorder) Report(_ context.Context, text string, _ *int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, text)
	return nil
}

func (r *turnRecorder) Spawn(_ context.Context, _, team string, _ map[string]any) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spawned = append(r.spawned, team)
	return "T9", nil
}

// step answers one model request of a turn, given the tool results so far.
type step func(results []string) scriptedmodel.Reply

func toolCall(name string, input any) step {
	return func([]string) scriptedmodel.Reply { return scriptedmodel.Reply{ToolCalls: call(name, input)} }
}

func reply(text string) step {
	return func([]string) scriptedmodel.Reply { return scriptedmodel.Reply{Text: text} }
}

// lastResult says what the last tool returned.
func lastResult(results []string) scriptedmodel.Reply {
	return scriptedmodel.Reply{Text: results[len(results)-1]}
}

// turns is a real App Server whose model plays steps by the name in a message: "play NAME".
type turns struct {
	server *appServer
	runner *runner.Runner
	output string // the directory of long outputs

	mu    sync.Mutex
	steps map[string][]step
}

var played = regexp.MustCompile(`play (\S+)`)

func startTurns(t *testing.T) *turns {
	t.Helper()
	w := &turns{steps: map[string][]step{}, output: t.TempDir()}
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, at, results := req.LastUser()
		name := played.FindAllStringSubmatch(text, -1)
		if len(name) == 0 {
			return scriptedmodel.Reply{Text: "nothing to play"}
		}
		w.mu.Lock()
		steps := w.steps[name[len(name)-1][1]]
		w.mu.Unlock()
		if at >= len(steps) {
			return scriptedmodel.Reply{Text: "no more steps"}
		}
		return steps[at](results)
	})
	w.server = startAppServer(t, environment(t, model))
	w.runner = runner.New(runner.Options{
		Server: runner.FixedServer(w.server.url), Local: true, Model: modelHandle, OutputDir: w.output, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	})
	t.Cleanup(func() {
		if err := w.runner.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// request prepares a turn that the model plays by the steps.
func (w *turns) request(t *testing.T, name string, agent *workflow.Agent, steps ...step) engine.TurnRequest {
	t.Helper()
	w.mu.Lock()
	w.steps[name] = steps
	w.mu.Unlock()
	agent.Name = "worker-" + name
	if agent.Prompt == "" {
		agent.Prompt = "You work."
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return engine.TurnRequest{
		Task: "T-" + name, Team: &workflow.Team{Name: "turns"}, Agent: agent, Workspace: dir,
		Turn: workflow.Turn{ID: 1, Attempt: 1, Node: agent.Name, Message: "play " + name},
	}
}

func (w *turns) run(ctx context.Context, t *testing.T, req engine.TurnRequest, rec *turnRecorder) workflow.TurnFinished {
	t.Helper()
	finished, err := w.runner.Run(ctx, req, rec)
	if err != nil {
		t.Fatal(err)
	}
	return finished
}

// TestTurns is what a turn can do, on the real App Server.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := startTurns(t)
	touch := toolCall("Bash", map[string]any{"command": "touch made", "description": "make it"})
	made := func(req engine.TurnRequest) bool {
		_, err := os.Stat(filepath.Join(req.Workspace, "made"))
		return err == nil
	}

	t.Run("tool denied by pattern", func(t *testing.T) {
		t.Parallel()
		req := w.request(t, "denied", &workflow.Agent{Approvals: workflow.Approvals{Deny: []string{"Bash(touch *)"}, Otherwise: "allow"}},
			toolCall("Bash", map[string]any{"command": "cd . && touch made", "description": "x"}), lastResult)
		got := w.run(t.Context(), t, req, &turnRecorder{})
		if got.Reason != workflow.ReasonEndTurn || !strings.Contains(got.Output, "denied by the team's rule Bash(touch *)") || made(req) {
			t.Errorf("finished = %+v, made %v", got, made(req))
		}
	})

	for name, test := range map[string]struct {
		answer engine.Answer
		made   bool
		output string
	}{
		"allowed": {engine.Answer{Text: workflow.AnswerAllow, By: "ann"}, true, ""},
		"refused": {engine.Answer{Text: workflow.AnswerDeny, By: "ann"}, false, "was denied by ann"},
		"expired": {engine.Answer{Text: workflow.AnswerDeny, Expired: true}, false, "nobody answered within 15m0s"},
	} {
		t.Run("a person is asked: "+name, func(t *testing.T) {
			t.Parallel()
			req := w.request(t, "ask-"+name, &workflow.Agent{Approvals: workflow.Approvals{Ask: []string{"Bash(touch *)"}}}, touch, lastResult)
			rec := &turnRecorder{answer: test.answer}
			got := w.run(t.Context(), t, req, rec)
			if got.Reason != workflow.ReasonEndTurn || made(req) != test.made || !strings.Contains(got.Output, test.output) {
				t.Errorf("finished = %+v, made %v", got, made(req))
			}
			if len(rec.questions) != 1 || rec.questions[0].Tool != "Bash" || !strings.HasSuffix(rec.questions[0].Text, "touch made") {
				t.Errorf("asked %+v", rec.questions)
			}
		})
	}

	for _, mode := range []string{"strict", "standard", "unrestricted"} {
		t.Run("tools of the orchestrator: "+mode, func(t *testing.T) {
			t.Parallel()
			agent := &workflow.Agent{
				PermissionMode: mode, Tools: []string{"Read"}, Outcomes: []string{"planned"},
				ControllerTools: []string{workflow.ToolHandoff, workflow.ToolUpdateProgress, workflow.ToolAskHuman, workflow.ToolSpawnTask},
				Data:            map[string]any{"type": "object", "required": []any{"items"}, "properties": map[string]any{"items": map[string]any{"type": "array", "items": map[string]any{"$ref": "#/$defs/item"}}}, "$defs": map[string]any{"item": map[string]any{"type": "string"}}},
			}
			var refusal string
			req := w.request(t, "own-"+mode, agent,
				toolCall("update_progress", map[string]any{"text": "begun", "percent": 10}),
				toolCall("ask_human", map[string]any{"question": "Which colour?", "choices": []string{"red", "blue"}}),
				func(results []string) scriptedmodel.Reply {
					return scriptedmodel.Reply{ToolCalls: call("report_outcome", map[string]any{"outcome": "planned", "summary": results[len(results)-1], "data": map[string]any{"items": []any{"a", 2}}})}
				},
				func(results []string) scriptedmodel.Reply {
					refusal = results[len(results)-1]
					return scriptedmodel.Reply{ToolCalls: call("report_outcome", map[string]any{"outcome": "planned", "summary": "mended", "data": map[string]any{"items": []any{"a", "b"}}})}
				},
				toolCall("spawn_task", map[string]any{"team": "fix", "input": map[string]any{}}),
				toolCall("handoff", map[string]any{"to": "nobody"}),
				toolCall("handoff", map[string]any{"to": "style", "message": "look at it"}),
				reply("done"),
			)
			req.HandoffTargets, req.SpawnTeams = []string{"security", "style"}, []string{"fix"}
			rec := &turnRecorder{answer: engine.Answer{Text: "blue", By: "ann"}}
			got := w.run(t.Context(), t, req, rec)
			data, err := json.Marshal(got.Data)
			if err != nil {
				t.Fatal(err)
			}
			if got.Reason != workflow.ReasonEndTurn || strings.TrimSpace(got.Output) != "done" || got.Outcome != "planned" || got.Summary != "mended" ||
				string(data) != `{"items":["a","b"]}` || got.Handoff != "style" || got.HandoffMessage != "look at it" || got.Model != modelHandle {
				t.Errorf("finished = %+v", got)
			}
			if !strings.Contains(refusal, "data.items[1]: got number, want string") {
				t.Errorf("the model was told %q", refusal)
			}
			if rec.runtime.Model != modelHandle || !slices.Equal(rec.reports, []string{"begun"}) || !slices.Equal(rec.spawned, []string{"fix"}) ||
				len(rec.questions) != 1 || !slices.Equal(rec.questions[0].Choices, []string{"red", "blue"}) {
				t.Errorf("recorded %+v", rec)
			}
		})
	}

	t.Run("budget", func(t *testing.T) {
		t.Parallel()
		agent := &workflow.Agent{PermissionMode: "unrestricted"}
		req := w.request(t, "budget", agent,
			func([]string) scriptedmodel.Reply {
				return scriptedmodel.Reply{Text: "I look first.", ToolCalls: call("Bash", map[string]any{"command": "echo one", "description": "x"})}
			},
			func([]string) scriptedmodel.Reply {
				return scriptedmodel.Reply{Text: strings.Repeat("word ", 6000), ChunkDelay: 50 * time.Millisecond}
			},
		)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		rec := &turnRecorder{onUsage: func(workflow.Usage) { cancel(&engine.BudgetError{Note: "limits.tokens is used up"}) }}
		started := time.Now()
		got := w.run(ctx, t, req, rec)
		if got.Reason != workflow.ReasonBudgetExceeded || got.Error != "limits.tokens is used up" || !strings.Contains(got.Output, "I look first.") ||
			got.Usage.TotalTokens == 0 || got.ConversationLost || time.Since(started) > 2*time.Minute {
			t.Errorf("finished after %v = %+v", time.Since(started), got)
		}
		// It goes on in the same conversation.
		next := w.request(t, "budget-next", agent, reply("goes on"))
		next.Agent.Name, next.Conversation, next.Workspace = req.Agent.Name, rec.runtime.Runtime, req.Workspace
		if got := w.run(t.Context(), t, next, &turnRecorder{}); strings.TrimSpace(got.Output) != "goes on" {
			t.Errorf("finished = %+v", got)
		}
	})

	t.Run("abort while a person is asked", func(t *testing.T) {
		t.Parallel()
		for _, mode := range []string{"standard", "unrestricted"} {
			req := w.request(t, "abort-"+mode, &workflow.Agent{PermissionMode: mode, ControllerTools: []string{workflow.ToolAskHuman}},
				toolCall("ask_human", map[string]any{"question": "Why?"}), reply("never"))
			ctx, cancel := context.WithCancelCause(t.Context())
			rec := &waitingRecorder{asked: func() { cancel(engine.ErrTurnAborted) }}
			started := time.Now()
			if _, err := w.runner.Run(ctx, req, rec); !errors.Is(err, engine.ErrTurnAborted) || time.Since(started) > 2*time.Minute {
				t.Errorf("%s: %v after %v", mode, err, time.Since(started))
			}
			next := w.request(t, "abort-next-"+mode, req.Agent, reply("free again"))
			next.Conversation, next.Workspace = rec.runtime.Runtime, req.Workspace
			if got := w.run(t.Context(), t, next, &turnRecorder{}); strings.TrimSpace(got.Output) != "free again" {
				t.Errorf("%s: %+v", mode, got)
			}
		}
	})

	t.Run("quota", func(t *testing.T) {
		t.Parallel() // takes the 36 s that the server tries again by itself
		body := `{"error":{"message":"Rate limit reached for scripted on tokens per min (TPM): Limit 10000, Used 9800, Requested 900. Please try again in 6m12.5s. Visit https://example.invalid/limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`
		req := w.request(t, "quota", &workflow.Agent{}, func([]string) scriptedmodel.Reply { return scriptedmodel.Reply{Status: 429, Body: body} })
		got := w.run(t.Context(), t, req, &turnRecorder{})
		if wait := time.Until(got.QuotaReset); got.Reason != workflow.ReasonLLMAPIError || wait < 6*time.Minute || wait > 373*time.Second {
			t.Errorf("finished = %+v, the quota comes back in %v", got, wait)
		}
	})

	t.Run("output in a file", func(t *testing.T) {
		t.Parallel()
		req := w.request(t, "output", &workflow.Agent{PermissionMode: "strict", Tools: []string{"Read"}})
		file := filepath.Join(w.output, req.Task, "1.1.txt")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, file, "the long text")
		secret := filepath.Join(t.TempDir(), "secret")
		write(t, secret, "the secret")
		w.request(t, "output", req.Agent, toolCall("Read", map[string]any{"file_path": file}), toolCall("Read", map[string]any{"file_path": secret}),
			func(results []string) scriptedmodel.Reply {
				return scriptedmodel.Reply{Text: strings.Join(results, "\n")}
			})
		got := w.run(t.Context(), t, req, &turnRecorder{})
		if !strings.Contains(got.Output, "the long text") || strings.Contains(got.Output, "the secret") || !strings.Contains(got.Output, "needs an approval") {
			t.Errorf("finished = %+v", got)
		}
	})

	t.Run("shared conversation", func(t *testing.T) {
		t.Parallel()
		agent := &workflow.Agent{Conversation: workflow.ConversationShared, PermissionMode: "unrestricted"}
		pwd := toolCall("Bash", map[string]any{"command": "pwd", "description": "x"})
		first := w.request(t, "shared-1", agent, pwd, lastResult)
		rec := &turnRecorder{}
		w.run(t.Context(), t, first, rec)
		second := w.request(t, "shared-2", agent, pwd, lastResult)
		second.Conversation, second.Agent.Name = rec.runtime.Runtime, "worker-shared-1"
		again := &turnRecorder{}
		got := w.run(t.Context(), t, second, again)
		if again.runtime.Runtime != rec.runtime.Runtime || !strings.Contains(got.Output, second.Workspace) {
			t.Errorf("the second task: %+v in %+v, want %s in %+v", got, again.runtime.Runtime, second.Workspace, rec.runtime.Runtime)
		}
	})
}

// waitingRecorder never answers.
type waitingRecorder struct {
	turnRecorder
	asked func()
}

func (r *waitingRecorder) Ask(ctx context.Context, _ engine.Question) (engine.Answer, error) {
	r.asked()
	<-ctx.Done()
	return engine.Answer{}, context.Cause(ctx)
}
