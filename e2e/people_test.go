//go:build e2e

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// careful is a team whose agent must ask before it writes, and whose result a person approves.
const careful = `version: 1
name: careful
inputs: {goal: {type: string, required: true}}
limits: {turns: 12}
agents:
  writer:
    prompt: You write a file.
    permission_mode: standard
    approvals: {ask: ["Write"], otherwise: deny, expires: 1h}
gates:
  merge: {question: "Merge {{ .input.goal }}", expires: 1h}
start: writer
message: "<writer> {{ .input.goal }}"
handoffs:
  - {from: writer, on: end_turn, to: merge}
  - {from: merge, on: approved, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// scene is a daemon, an App Server and a task that has asked whether it may write.
type scene struct {
	t      *testing.T
	model  *scriptedmodel.Server
	server *appServer
	daemon *serving
	task   string
	goal   string
	file   string
}

// asking brings a task to the point where its agent asks for the use of a tool.
func asking(t *testing.T, goal string) *scene {
	t.Helper()
	work := t.TempDir()
	file := filepath.Join(work, "result.txt")
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		_, step, _ := req.LastUser()
		if _, err := os.Stat(file); err != nil && step == 0 {
			return scriptedmodel.Reply{ToolCalls: call("Write", map[string]any{"file_path": file, "content": "written\n"})}
		}
		return scriptedmodel.Reply{Text: "done"}
	})
	env := environment(t, model)
	s := &scene{t: t, model: model, server: startAppServer(t, env), goal: goal, file: file}
	s.daemon = serve(t, env, t.TempDir(), "--app-server", s.server.url)
	made, err := s.daemon.Submit(t.Context(), api.SubmitRequest{Source: careful, File: "careful.yaml", Input: map[string]any{"goal": goal}, Workspace: work}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.task = made.Task.Task
	s.daemon.await(s.task, "a question", asks)
	return s
}

// allow allows what is asked.
func (s *scene) allow() {
	s.t.Helper()
	state := s.daemon.await(s.task, "a question", asks)
	if _, err := s.daemon.AnswerQuestion(s.t.Context(), s.task, state.Questions[0].ID, api.QuestionAnswer{Answer: workflow.AnswerAllow, By: "ada"}); err != nil {
		s.t.Fatal(err)
	}
}

// finish approves the gate and checks that everything was done once.
func (s *scene) finish(continued int) {
	s.t.Helper()
	state := s.daemon.await(s.task, "the gate", gateOpen)
	gate := state.Turns[0].ID
	if _, err := s.daemon.AnswerGate(s.t.Context(), s.task, gate, api.GateAnswer{Approved: true, By: "ada"}); err != nil {
		s.t.Fatal(err)
	}
	if state = s.daemon.await(s.task, "the end", ended); state.Status != workflow.TaskSucceeded {
		s.t.Errorf("%+v", state.Result)
	}
	if _, err := s.daemon.AnswerGate(s.t.Context(), s.task, gate, api.GateAnswer{Approved: false, By: "bob"}); !errors.Is(err, workflow.ErrTerminal) && !errors.Is(err, workflow.ErrStale) {
		s.t.Errorf("a second answer to the gate: %v", err)
	}
	if got := read(s.t, s.file); got != "written\n" {
		s.t.Errorf("the file holds %q", got)
	}
	original, again := asked(s.model, "<writer> "+s.goal)
	if original != 1 || again != continued {
		s.t.Errorf("asked %d times, continued %d times, want %d", original, again, continued)
	}
}

// TestApprovalSurvivesTheDaemon: the daemon is killed while a person is asked, and
// the next one asks again without a command from anyone.
func TestApprovalSurvivesTheDaemon(t *testing.T) {
	t.Parallel()
	s := asking(t, "daemon.")
	s.daemon.signal(syscall.SIGKILL)
	s.daemon.start()
	s.daemon.await(s.task, "the turn to be continued", func(state workflow.State) bool {
		return len(state.Turns) == 1 && state.Turns[0].Attempt == 2 && asks(state)
	})
	s.allow()
	s.finish(1)
}

// TestAnswerWhileTheAppServerIsDown: the App Server is killed while a person is
// asked, and the answer that is given meanwhile is applied when it is back: nobody
// is asked a second time.
func TestAnswerWhileTheAppServerIsDown(t *testing.T) {
	t.Parallel()
	s := asking(t, "server.")
	if err := s.server.KillWhole(); err != nil {
		t.Fatal(err)
	}
	s.allow()
	if state, err := s.daemon.Task(t.Context(), s.task); err != nil || asks(state) {
		t.Errorf("after the answer: %+v, %v", state.Questions, err)
	}
	if _, err := s.daemon.AnswerQuestion(t.Context(), s.task, 1, api.QuestionAnswer{Answer: workflow.AnswerDeny, By: "bob"}); !errors.Is(err, workflow.ErrStale) {
		t.Errorf("a second answer: %v", err)
	}
	if err := s.server.Restart(); err != nil {
		t.Fatal(err)
	}
	s.finish(1)
	story, err := s.daemon.Story(t.Context(), s.task)
	if err != nil {
		t.Fatal(err)
	}
	var open []int64 // what people were asked, and not answered at once by what they had said
	for _, r := range story.Records {
		_, asks := r.Event.Body.(workflow.QuestionAsked)
		if asks && len(r.Effects) == 0 {
			open = append(open, r.Seq)
		}
	}
	if len(open) != 1 {
		t.Errorf("people were asked by the events %v", open)
	}
}

// TestGateSurvivesBoth: a gate stays open over the death of the daemon and of the
// App Server, and its answer needs neither.
func TestGateSurvivesBoth(t *testing.T) {
	t.Parallel()
	s := asking(t, "both.")
	s.allow()
	before := s.daemon.await(s.task, "the gate", gateOpen)
	s.daemon.signal(syscall.SIGKILL)
	if err := s.server.KillWhole(); err != nil {
		t.Fatal(err)
	}
	s.daemon.start()
	after := s.daemon.await(s.task, "the gate", gateOpen)
	if !after.Turns[0].Expires.Equal(before.Turns[0].Expires) || after.Turns[0].ID != before.Turns[0].ID || !strings.Contains(after.Turns[0].Message, "Merge both.") {
		t.Errorf("the gate was %+v and is %+v", before.Turns[0], after.Turns[0])
	}
	s.finish(0)
}
