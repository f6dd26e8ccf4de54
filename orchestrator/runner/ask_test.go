package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// answers makes an Ask that gives one answer to all.
func answers(a engine.Answer) func(context.Context, engine.Question) (engine.Answer, error) {
	return func(context.Context, engine.Question) (engine.Answer, error) { return a, nil }
}

// after makes an Ask that answers when some time has passed.
func after(d time.Duration, a engine.Answer) func(context.Context, engine.Question) (engine.Answer, error) {
	return func(ctx context.Context, _ engine.Question) (engine.Answer, error) {
		select {
		case <-time.After(d):
			return a, nil
		case <-ctx.Done():
			return engine.Answer{}, context.Cause(ctx)
		}
	}
}

func TestAPersonDecidesAboutATool(t *testing.T) {
	for name, test := range map[string]struct {
		answer   engine.Answer
		ran      bool
		tool     string // what the model reads
		progress string
	}{
		"allowed": {engine.Answer{Text: workflow.AnswerAllow, By: "ann"}, true, "", "allowed by ann"},
		"denied":  {engine.Answer{Text: workflow.AnswerDeny, By: "ann"}, false, "Bash touch a was denied by ann. Do not try it in another way", "denied by ann"},
		"nobody":  {engine.Answer{Text: workflow.AnswerDeny, Expired: true}, false, "needs an approval, and nobody answered within 20m0s", "denied by nobody answering in time"},
		"unnamed": {engine.Answer{Text: workflow.AnswerDeny}, false, "denied by a person", "denied by Bash(touch *)"},
	} {
		t.Run(name, func(t *testing.T) {
			server := script(apptest.Turn{
				{Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "touch a", "description": "x"}}},
				{Say: "{{.tool}}"},
			})
			server.Exec = true
			w := newWorld(t, server, nil)
			rec := &recorder{ask: answers(test.answer)}
			got := w.run(t, request("go", &workflow.Agent{Prompt: "x", Approvals: workflow.Approvals{Ask: []string{"Bash(touch *)"}, Expires: 20 * time.Minute}}), rec)
			if got.Reason != workflow.ReasonEndTurn || !strings.Contains(got.Output, test.tool) {
				t.Errorf("finished = %+v", got)
			}
			if _, err := os.Stat(filepath.Join(w.dir, "a")); (err == nil) != test.ran {
				t.Errorf("the command ran: %v, want %v", err == nil, test.ran)
			}
			want := engine.Question{Kind: workflow.QuestionApproval, Tool: "Bash", Argument: "touch a", Text: "worker asks to run this in " + w.dir + ":\n\ntouch a"}
			if len(rec.questions) != 1 || fmt.Sprint(rec.questions[0]) != fmt.Sprint(want) {
				t.Errorf("asked %+v, want %+v", rec.questions, want)
			}
			shown := rec.kinds()
			if !slices.Contains(shown, "approval|Bash|touch a|a person is asked") || !slices.Contains(shown, "approval|Bash|touch a|"+test.progress) {
				t.Errorf("progress %q", shown)
			}
		})
	}
}

// A turn that is aborted while a person is asked ends at once, and the question with it.
func TestAbortWhileAPersonIsAsked(t *testing.T) {
	for name, turn := range map[string]apptest.Turn{
		"approval":  {{Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "touch a"}}}, {Say: "x"}},
		"ask_human": {external("ask_human", map[string]any{"question": "why?"}), {Say: "x"}},
	} {
		for _, mode := range []string{"standard", "unrestricted"} {
			if name == "approval" && mode == "unrestricted" {
				continue // nothing is asked
			}
			t.Run(name+" "+mode, func(t *testing.T) {
				w := newWorld(t, script(turn, apptest.Turn{{Say: "again"}}), nil)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				ended := false
				rec := &recorder{ask: func(ctx context.Context, _ engine.Question) (engine.Answer, error) {
					cancel(engine.ErrTurnAborted)
					<-ctx.Done()
					ended = true // Run waits for it: no lock is needed
					return engine.Answer{}, context.Cause(ctx)
				}}
				req := request("go", &workflow.Agent{Prompt: "x", PermissionMode: mode, ControllerTools: []string{workflow.ToolAskHuman}, Approvals: workflow.Approvals{Otherwise: "ask"}})
				req.Workspace = w.dir
				if _, err := w.runner.Run(ctx, req, rec); !errors.Is(err, engine.ErrTurnAborted) || !ended {
					t.Errorf("error %v, the question ended: %v", err, ended)
				}
				req.Conversation, req.Turn.ID = rec.conversation(), 4
				if got := w.run(t, req, &recorder{}); strings.TrimSpace(got.Output) != "again" {
					t.Errorf("the conversation is blocked: %+v", got)
				}
			})
		}
	}
}

func TestAskFailureEndsTheTurn(t *testing.T) {
	for name, step := range map[string]apptest.Step{
		"approval":  {Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "touch a"}}},
		"ask_human": external("ask_human", map[string]any{"question": "why?"}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, script(apptest.Turn{step, {Hang: true}}), nil)
			broken := errors.New("the disk is full")
			rec := &recorder{ask: func(context.Context, engine.Question) (engine.Answer, error) { return engine.Answer{}, broken }}
			req := request("go", &workflow.Agent{Prompt: "x", ControllerTools: []string{workflow.ToolAskHuman}, Approvals: workflow.Approvals{Otherwise: "ask"}})
			req.Workspace = w.dir
			if _, err := w.runner.Run(t.Context(), req, rec); !errors.Is(err, broken) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAskHuman(t *testing.T) {
	for _, mode := range []string{"standard", "unrestricted"} {
		for name, test := range map[string]struct {
			answer engine.Answer
			want   string
		}{
			"answered": {engine.Answer{Text: "blue", By: "ann"}, "ann answers: blue"},
			"unnamed":  {engine.Answer{Text: "blue"}, "The answer: blue"},
			"nobody":   {engine.Answer{Expired: true}, "Nobody answered within 15m0s. Go on as best you can"},
		} {
			t.Run(mode+" "+name, func(t *testing.T) {
				w := newWorld(t, script(apptest.Turn{
					external("ask_human", map[string]any{"question": " which? ", "choices": []any{"blue", " red "}}), {Say: "{{.tool}}"},
				}), nil)
				rec := &recorder{ask: answers(test.answer)}
				got := w.run(t, request("go", &workflow.Agent{Prompt: "x", PermissionMode: mode, ControllerTools: []string{workflow.ToolAskHuman}}), rec)
				if !strings.Contains(got.Output, test.want) {
					t.Errorf("output %q, want %q", got.Output, test.want)
				}
				want := []engine.Question{{Kind: workflow.QuestionText, Text: "which?", Choices: []string{"blue", "red"}}}
				if fmt.Sprint(rec.questions) != fmt.Sprint(want) {
					t.Errorf("asked %+v, want it once: %+v", rec.questions, want)
				}
			})
		}
	}
}

// The server ends the call of a tool after five minutes, so that the model is
// sent back to wait, and the person is asked once.
func TestAskHumanOutlivesTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{ask: after(9*time.Minute, engine.Answer{Text: "blue", By: "ann"})}
		a := attemptFor(t, &workflow.Agent{ControllerTools: []string{workflow.ToolAskHuman}}, rec, nil)
		var fired atomic.Bool
		a.clock.start(time.Minute, func() { fired.Store(true) })
		defer a.clock.stop()
		start := time.Now()
		for i, want := range []string{"Nobody has answered yet", "Nobody has answered yet", "ann answers: blue"} {
			got := a.call(t, workflow.ToolAskHuman, fmt.Sprint("c", i), `{"question":"which?"}`)
			if took := time.Since(start); !strings.Contains(got, want) || took > time.Duration(i+1)*askPatience {
				t.Errorf("call %d after %v: %q, want %q", i+1, took, got, want)
			}
		}
		if rec.asked() != 1 || time.Since(start) != 9*time.Minute || fired.Load() {
			t.Errorf("asked %d times, took %v, the turn's time is over: %v", rec.asked(), time.Since(start), fired.Load())
		}
		// What was answered can be asked anew.
		if a.call(t, workflow.ToolAskHuman, "c9", `{"question":"which?"}`); rec.asked() != 2 {
			t.Errorf("asked %d times", rec.asked())
		}
	})
}

// Where the server asks for permission first, it is there that the person is
// waited for, however long; the call itself returns at once.
func TestAskHumanWaitsForPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{ask: after(14*time.Minute, engine.Answer{Text: "blue"})}
		a := attemptFor(t, &workflow.Agent{ControllerTools: []string{workflow.ToolAskHuman}}, rec, nil)
		var fired atomic.Bool
		a.clock.start(time.Minute, func() { fired.Store(true) })
		defer a.clock.stop()
		start := time.Now()
		input := json.RawMessage(`{"question":"which?"}`)
		decision, err := a.tools[0].Approve(t.Context(), appclient.ApprovalRequest{ToolName: workflow.ToolAskHuman, Input: input})
		if err != nil || decision.Behavior != appclient.BehaviorAllow || time.Since(start) != 14*time.Minute || fired.Load() {
			t.Errorf("%+v, %v after %v, the turn's time is over: %v", decision, err, time.Since(start), fired.Load())
		}
		if got := a.call(t, workflow.ToolAskHuman, "c", string(input)); got != "The answer: blue" || time.Since(start) != 14*time.Minute || len(rec.questions) != 1 {
			t.Errorf("%q after %v, asked %d times", got, time.Since(start), len(rec.questions))
		}
		// What cannot be asked is allowed, so that the call says why.
		if decision, err := a.tools[0].Approve(t.Context(), appclient.ApprovalRequest{Input: json.RawMessage(`{}`)}); err != nil || decision.Behavior != appclient.BehaviorAllow {
			t.Errorf("%+v, %v", decision, err)
		}
		a.calls.close()
		if got := a.call(t, workflow.ToolAskHuman, "c", string(input)); got != "error: Nothing was done: the turn is over." {
			t.Error(got)
		}
		if decision, err := a.tools[0].Approve(t.Context(), appclient.ApprovalRequest{Input: input}); err != nil || decision.Behavior != appclient.BehaviorAllow {
			t.Errorf("%+v, %v", decision, err)
		}
	})
}

func TestAskHumanMistakes(t *testing.T) {
	t.Parallel()
	rec := &recorder{ask: answers(engine.Answer{Text: "x"})}
	a := attemptFor(t, &workflow.Agent{ControllerTools: []string{workflow.ToolAskHuman}}, rec, nil)
	many := `"` + strings.Join(strings.Split("abcdefghijklmnopqrstu", ""), `","`) + `"`
	for input, want := range map[string]string{
		`7`:                 "the arguments must be a JSON object with question",
		`{}`:                "question must be a text",
		`{"question":"  "}`: "question must be a text",
		`{"question":"` + strings.Repeat("x", maxQuestion+1) + `"}`:                   "at most 8 KiB",
		`{"question":"q","choices":"a"}`:                                              "choices must be a list",
		`{"question":"q","choices":[1]}`:                                              "choices must be a list",
		`{"question":"q","choices":[` + many + `]}`:                                   "at most 20 texts",
		`{"question":"q","choices":["a","a "]}`:                                       "a text of its own",
		`{"question":"q","choices":[""]}`:                                             "a text of its own",
		`{"question":"q","choices":["` + strings.Repeat("x", maxChoice+1) + `","b"]}`: "at most 500 bytes",
	} {
		if got := a.call(t, workflow.ToolAskHuman, "c", input); !strings.HasPrefix(got, "error: Nobody was asked: ") || !strings.Contains(got, want) {
			t.Errorf("%.40s: %q, want %q", input, got, want)
		}
	}
	for i := range maxQuestions {
		if got := a.call(t, workflow.ToolAskHuman, "c", fmt.Sprintf(`{"question":"q%d"}`, i)); got != "The answer: x" {
			t.Fatal(got)
		}
	}
	if got := a.call(t, workflow.ToolAskHuman, "c", `{"question":"one more"}`); !strings.Contains(got, "20 questions were asked") || len(rec.questions) != maxQuestions {
		t.Errorf("%q, asked %d times", got, len(rec.questions))
	}
}

func TestQuestionsShowWhatIsThere(t *testing.T) {
	rec := &recorder{ask: answers(engine.Answer{Text: workflow.AnswerAllow})}
	a := attemptFor(t, &workflow.Agent{Approvals: workflow.Approvals{Otherwise: "ask"}}, rec, nil)
	a.cwd = "/w"
	long := strings.Repeat("x", maxAskedCommand)
	for name, test := range map[string]struct{ tool, input, text, denial string }{
		"shell":          {"Bash", `{"command":"rm -rf \u001b[2Kbuild\nls"}`, "worker asks to run this in /w:\n\nrm -rf \uFFFD[2Kbuild\nls", ""},
		"shell unread":   {"Bash", `{"cmd":"x"}`, `worker asks to run this in /w:` + "\n\n" + `{"cmd":"x"}`, ""},
		"shell too long": {"Bash", `{"command":"` + long + `;rm -rf /"}`, "", "too long to show"},
		"file":           {"Write", `{"file_path":"../a.txt","content":"hello"}`, "worker asks to use Write on /a.txt:\n\n" + `{"file_path":"../a.txt","content":"hello"}`, ""},
		"file, long":     {"Write", `{"file_path":"a","content":"` + strings.Repeat("é", 5000) + `"}`, "more characters)", ""},
		"no arguments":   {"TaskList", `{}`, "worker asks to use TaskList", ""},
		"other":          {"Skill", `{"skill":"x"}`, "worker asks to use Skill:\n\n" + `{"skill":"x"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rec.questions = nil
			decision, err := a.approve(t.Context(), 0, appclient.ApprovalRequest{ToolName: test.tool, Input: json.RawMessage(test.input)})
			if err != nil {
				t.Fatal(err)
			}
			if test.denial != "" {
				if decision.Behavior != appclient.BehaviorDeny || !strings.Contains(decision.Message, test.denial) || len(rec.questions) != 0 {
					t.Errorf("%+v, asked %d times", decision, len(rec.questions))
				}
				return
			}
			if decision.Behavior != appclient.BehaviorAllow || len(rec.questions) != 1 {
				t.Fatalf("%+v, asked %d times", decision, len(rec.questions))
			}
			if got := rec.questions[0].Text; got != test.text && (name != "file, long" || !strings.HasSuffix(got, test.text)) {
				t.Errorf("text %q, want %q", got, test.text)
			}
		})
	}
	// The server's own tool for asking has nobody before it.
	for _, tools := range [][]string{nil, {workflow.ToolAskHuman}} {
		a.req.Agent.ControllerTools = tools
		if v := a.decide(toolUse{name: askUserTool}); v.allow || v.ask || strings.Contains(v.message, workflow.ToolAskHuman) != (tools != nil) {
			t.Errorf("%q: %+v", tools, v)
		}
	}
	// Nobody is asked about what the server does outside of our turns.
	rec.questions = nil
	if decision, err := a.approveAlone(t.Context(), appclient.ApprovalRequest{ToolName: "Bash", Input: json.RawMessage(`{"command":"x"}`)}); err != nil ||
		decision.Behavior != appclient.BehaviorDeny || !strings.Contains(decision.Message, "nobody can be asked") || len(rec.questions) != 0 {
		t.Errorf("%+v, %v", decision, err)
	}
	a.calls.close()
	if decision, err := a.approve(t.Context(), 0, appclient.ApprovalRequest{ToolName: "Bash", Input: json.RawMessage(`{"command":"x"}`)}); err != nil ||
		decision.Behavior != appclient.BehaviorDeny || len(rec.questions) != 0 {
		t.Errorf("%+v, %v", decision, err)
	}
}

func TestTurnClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock turnClock
		start, fired := time.Now(), make(chan time.Duration, 4)
		early := clock.pause() // before the turn
		clock.start(10*time.Second, func() { fired <- time.Since(start) })
		early()
		wait := func(d time.Duration) { <-time.After(d) }
		wait(4 * time.Second)
		first := clock.pause()
		wait(time.Hour)
		second := clock.pause()
		first()
		first() // once is enough
		wait(time.Hour)
		second()
		wait(5 * time.Second)
		if len(fired) != 0 {
			t.Fatalf("it fired at %v", <-fired)
		}
		if at, want := <-fired, 2*time.Hour+10*time.Second; at != want {
			t.Errorf("it fired at %v, want %v", at, want)
		}

		var stopped turnClock
		stopped.start(time.Second, func() { fired <- 0 })
		resume := stopped.pause()
		stopped.stop()
		resume()
		var never turnClock
		never.pause()()
		never.stop()
		wait(time.Hour)
		if len(fired) != 0 {
			t.Error("a stopped clock fired")
		}
	})
}

// Waiting for a person takes nothing of the turn's time.
func TestTurnTimeoutWhileAPersonIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{ask: after(time.Hour, engine.Answer{Text: workflow.AnswerAllow})}
		a := attemptFor(t, &workflow.Agent{Approvals: workflow.Approvals{Otherwise: "ask"}}, rec, nil)
		var fired atomic.Bool
		a.clock.start(time.Minute, func() { fired.Store(true) })
		defer a.clock.stop()
		decision, err := a.approve(t.Context(), 0, appclient.ApprovalRequest{ToolName: "Bash", Input: json.RawMessage(`{"command":"x"}`)})
		if err != nil || decision.Behavior != appclient.BehaviorAllow || fired.Load() {
			t.Errorf("%+v, %v, the turn's time is over: %v", decision, err, fired.Load())
		}
		<-time.After(61 * time.Second)
		if !fired.Load() {
			t.Error("the clock does not go on")
		}
	})
}

// Neither of the turn's timeouts fires while a person is asked, on the App Server either.
func TestTimeoutsWhileAPersonIsAsked(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]apptest.Step{
		"approval":  {Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "touch a"}}},
		"ask_human": external("ask_human", map[string]any{"question": "why?"}),
	} {
		for _, mode := range []string{"standard", "unrestricted"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, script(apptest.Turn{step, {Say: "done"}}), nil)
				rec := &recorder{ask: after(2500*time.Millisecond, engine.Answer{Text: workflow.AnswerAllow})}
				got := w.run(t, request("go", &workflow.Agent{
					Prompt: "x", PermissionMode: mode, ControllerTools: []string{workflow.ToolAskHuman}, Approvals: workflow.Approvals{Otherwise: "ask"},
					TurnTimeout: 2 * time.Second, StallTimeout: 2 * time.Second,
				}), rec)
				if got.Reason != workflow.ReasonEndTurn || strings.TrimSpace(got.Output) != "done" {
					t.Errorf("finished = %+v", got)
				}
			})
		}
	}
}
