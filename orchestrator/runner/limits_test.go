package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// overAfter ends the turn for its budget when a progress comes that is meant.
func overAfter(t *testing.T, is func(engine.Progress) bool) (context.Context, *recorder) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, &recorder{onProgress: func(p engine.Progress) {
		if is(p) {
			cancel(&engine.BudgetError{Note: "the task has used 101 of 100 tokens"})
		}
	}}
}

func TestBudgetEndsATurn(t *testing.T) {
	for name, test := range map[string]struct {
		rest   apptest.Turn
		is     func(engine.Progress) bool
		output []string
		lost   bool
	}{
		"in a tool": {
			apptest.Turn{{Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "echo second"}}}, {Say: strings.Repeat("more ", 400), ChunkDelay: 20 * time.Millisecond}},
			func(p engine.Progress) bool { return p.Kind == engine.ProgressUsage && p.Usage.Requests == 2 }, []string{"I look first"}, false,
		},
		"mid-stream": {
			apptest.Turn{{Say: strings.Repeat("word ", 400), ChunkDelay: 20 * time.Millisecond}},
			func(p engine.Progress) bool { return strings.Contains(p.Text, "word") }, []string{"I look first", "word"}, false,
		},
		"silent model": {apptest.Turn{{Hang: true}}, func(p engine.Progress) bool { return p.Kind == engine.ProgressUsage }, []string{"I look first"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			turn := append(apptest.Turn{{Say: "I look first"}, {Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "echo first"}}}}, test.rest...)
			grace := time.Minute // a busy machine takes its time
			if test.lost {
				grace = 500 * time.Millisecond
			}
			w := newWorld(t, script(turn, apptest.Turn{{Say: "on"}}), func(o *Options) { o.AbortGrace = grace })
			ctx, rec := overAfter(t, test.is)
			req := request("go", &workflow.Agent{Prompt: "x", PermissionMode: "unrestricted", Outcomes: []string{"ok"}})
			req.Workspace = w.dir
			got, err := w.runner.Run(ctx, req, rec)
			if err != nil {
				t.Fatal(err)
			}
			if got.Reason != workflow.ReasonBudgetExceeded || !strings.HasPrefix(got.Error, "the task has used 101 of 100 tokens") || got.Turn != 3 || got.Attempt != 2 ||
				got.Usage.TotalTokens == 0 || got.ConversationLost != test.lost {
				t.Errorf("finished = %+v", got)
			}
			for _, part := range test.output {
				if !strings.Contains(got.Output, part) {
					t.Errorf("output %q lacks %q", got.Output, part)
				}
			}
			if !test.lost {
				req.Conversation, req.Turn.Attempt = rec.conversation(), 3
				if got := w.run(t, req, &recorder{}); strings.TrimSpace(got.Output) != "on" {
					t.Errorf("it cannot be continued: %+v", got)
				}
			}
		})
	}
}

func TestBudgetBeforeAnythingIsSent(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: "x"}}), nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&engine.BudgetError{Note: "the time is over"})
	req := request("go", nil)
	req.Workspace = w.dir
	got, err := w.runner.Run(ctx, req, &recorder{})
	if err != nil || got.Reason != workflow.ReasonBudgetExceeded || got.Error != "the time is over" || got.Turn != 3 || len(w.Turns()) != 0 {
		t.Errorf("finished = %+v, %v, turns %v", got, err, w.Turns())
	}
	// What the recorder refuses is not hidden by it.
	refused := errors.New("the disk is full")
	ctx, cancel = context.WithCancelCause(t.Context())
	rec := &failingSender{err: refused, cancel: cancel}
	if got, err := w.runner.Run(ctx, req, rec); !errors.Is(err, context.Cause(ctx)) || got.Reason != "" {
		t.Errorf("finished = %+v, %v", got, err)
	}
}

// failingSender fails in Sending at the moment that the budget is used up.
type failingSender struct {
	recorder
	err    error
	cancel context.CancelCauseFunc
}

func (f *failingSender) Sending(context.Context, string, workflow.Runtime) error {
	f.cancel(&engine.BudgetError{Note: "the time is over"})
	return f.err
}

func TestPriceErrorIsReturned(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: "x"}}), nil)
	rec := &recorder{failStarted: &engine.PriceError{Model: "m"}}
	req := request("go", &workflow.Agent{Prompt: "x", Model: "lmstudio/scripted"})
	req.Workspace = w.dir
	_, err := w.runner.Run(t.Context(), req, rec)
	if price, ok := errors.AsType[*engine.PriceError](err); !ok || price.Model != "m" || len(w.Turns()) != 0 {
		t.Errorf("error %v, turns %v", err, w.Turns())
	}
	if rec.runtimes[0].Model != "lmstudio/scripted" {
		t.Errorf("model %q", rec.runtimes[0].Model)
	}
}

func TestModelOfTheTurn(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: "x"}}), nil)
	rec := &recorder{}
	got := w.run(t, request("go", &workflow.Agent{Prompt: "x", Model: "lmstudio/scripted"}), rec)
	if got.Model != "lmstudio/scripted" || rec.runtimes[0].Model != "lmstudio/scripted" {
		t.Errorf("model %q, recorded %q", got.Model, rec.runtimes[0].Model)
	}
}

func TestQuotaOfAFailedTurn(t *testing.T) {
	now := time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, script(
		apptest.Turn{{Error: &apptest.Failure{Status: 429, Message: "Rate limit reached for m. Please try again in 6m12s."}}},
		apptest.Turn{{Error: &apptest.Failure{Status: 500, Message: "out of order"}}},
	), func(o *Options) { o.Now = func() time.Time { return now } })
	got := w.run(t, request("go", nil), &recorder{})
	if got.Reason != workflow.ReasonLLMAPIError || !got.QuotaReset.Equal(now.Add(372*time.Second)) {
		t.Errorf("finished = %+v", got)
	}
	if got := w.run(t, request("go", nil), &recorder{}); got.Reason != workflow.ReasonLLMAPIError || !got.QuotaReset.IsZero() {
		t.Errorf("finished = %+v", got)
	}
}

func TestOutputFilesCanBeRead(t *testing.T) {
	t.Parallel()
	root, outside := t.TempDir(), t.TempDir()
	put := func(file string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	own, other, secret := put(filepath.Join(root, "T1", "2.1.txt")), put(filepath.Join(root, "T2", "1.1.txt")), put(filepath.Join(outside, "secret"))
	named := put(filepath.Join(root, "T3", "1.1.txt"))
	link := filepath.Join(root, "T1", "link")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	a := newAttempt(&Runner{opts: Options{OutputDir: root, Local: true}}, request("look into "+named+" and "+secret, nil), nil)
	a.cwd = outside
	read := func(tool, file string) bool {
		return a.decide(toolUse{name: tool, input: object(nil)[:0], cwd: a.cwd}.with(file)).allow
	}
	for _, test := range []struct {
		tool, file string
		want       bool
	}{
		{"Read", own, true}, {"Read", named, true}, {"Read", root + "/T2/../T1/2.1.txt", true},
		{"Read", other, false}, {"Read", secret, false}, {"Read", link, false}, {"Read", root, false}, {"Read", filepath.Join(root, "T1"), false},
		{"Read", filepath.Join(root, "T1", "none"), false}, {"Read", own + "/../../../etc/passwd", false}, {"Write", own, false}, {"Edit", own, false},
	} {
		if got := read(test.tool, test.file); got != test.want {
			t.Errorf("%s %s: allowed %v, want %v", test.tool, test.file, got, test.want)
		}
	}
	a.req.Agent.Approvals.Deny = []string{"Read(" + root + "/*)"}
	if read("Read", own) {
		t.Error("a deny pattern does not count")
	}
	a.req.Agent.Approvals = workflow.Approvals{Otherwise: "ask"}
	if !read("Read", own) {
		t.Error("a person would be asked")
	}
	a.r.opts.Local = false
	if read("Read", own) {
		t.Error("a server elsewhere has other files there")
	}
}

func (u toolUse) with(file string) toolUse {
	u.input = []byte(`{"file_path":"` + file + `"}`)
	return u
}

func TestConversationsAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		agent   *workflow.Agent
		key     string
		summary string
		tag     string
	}{
		"task":   {&workflow.Agent{Prompt: "x"}, "worker", "team T1", "orchestrator:task=T1"},
		"branch": {&workflow.Agent{Prompt: "x"}, "worker@worker[2]#3", "team T1 worker@worker[2]#3", "orchestrator:task=T1"},
		"turn":   {&workflow.Agent{Prompt: "x", Conversation: workflow.ConversationTurn}, "worker~4", "team T1 worker~4", "orchestrator:task=T1"},
		"shared": {&workflow.Agent{Prompt: "x", Conversation: workflow.ConversationShared}, "worker!shared", "team worker (all tasks)", "orchestrator:shared"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, script(apptest.Turn{{Say: "one"}}, apptest.Turn{{Say: "two"}}), nil)
			rec := &recorder{}
			req := request("go", test.agent)
			req.Turn.Conversation = test.key
			w.run(t, req, rec)
			conversation, err := client(t, w).Conversation(t.Context(), rec.conversation().ConversationID)
			if err != nil || conversation.Summary != test.summary || !slices.Contains(conversation.Tags, test.tag) {
				t.Errorf("conversation = %+v, %v", conversation, err)
			}
			// Another task goes on in it, in a directory of its own.
			req.Task, req.Conversation, req.Workspace = "T2", rec.conversation(), t.TempDir()
			again := &recorder{}
			if got := w.run(t, req, again); strings.TrimSpace(got.Output) != "two" || again.conversation() != rec.conversation() {
				t.Errorf("finished = %+v in %+v", got, again.conversation())
			}
			if turns := w.Turns(); turns[1].WorkingDirectory != req.Workspace {
				t.Errorf("it worked in %s, want %s", turns[1].WorkingDirectory, req.Workspace)
			}
		})
	}
}
