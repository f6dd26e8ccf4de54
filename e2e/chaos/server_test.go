//go:build faults

package chaos

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/internal/realserver"
	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// server is an App Server that can be killed.
type server interface {
	address() string
	// kill ends it without notice; wild does so also while it writes.
	kill(wild bool) error
	start() error
	log() *modelLog
}

// pace is how slowly the model answers.
type pace struct {
	delay, word time.Duration
}

// scripted is the scripted App Server, in this process.
type scripted struct {
	*apptest.Server
	model *modelLog
}

func startScripted(t *testing.T, dir string, p pace) *scripted {
	t.Helper()
	s := &scripted{model: newModelLog()}
	var err error
	s.Server, err = apptest.New(apptest.Options{Exec: true, Answer: func(turn apptest.AskedTurn) (apptest.Turn, bool) {
		a, ok := s.model.add(turn.Text)
		if !ok {
			return nil, false
		}
		var steps apptest.Turn
		if p.delay > 0 {
			steps = append(steps, apptest.Step{Delay: p.delay})
		}
		if (a.agent() == "tool" || a.agent() == "asker") && !a.again {
			s.model.tell("tool")
			steps = append(steps, apptest.Step{Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": command(dir, a), "description": "run"}}})
		} else {
			s.model.tell("stream")
		}
		return append(steps, apptest.Step{Say: "all of it is done", ChunkDelay: p.word}), true
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *scripted) address() string { return s.URL() }

// kill ends it as SIGKILL does; what it stores is always whole.
func (s *scripted) kill(bool) error { return s.Stop() }

func (s *scripted) start() error { return s.Start(context.Background()) }

func (s *scripted) log() *modelLog { return s.model }

// realOne is the real App Server, with a scripted model behind it.
type realOne struct {
	*realserver.Server
	model *modelLog
}

func startReal(t *testing.T, dir string, p pace) *realOne {
	t.Helper()
	s := &realOne{model: newModelLog()}
	model, err := scriptedmodel.Start(t.Context(), func(req scriptedmodel.Request) scriptedmodel.Reply {
		reply := scriptedmodel.Reply{Text: "all of it is done", Delay: p.delay, ChunkDelay: p.word}
		text, step, _ := req.LastUser()
		if step > 0 || req.Messages[len(req.Messages)-1].Role != "user" {
			return reply
		}
		a, ok := s.model.add(text)
		if ok && (a.agent() == "tool" || a.agent() == "asker") && !a.again {
			s.model.tell("tool")
			input, err := json.Marshal(map[string]any{"command": command(dir, a), "description": "run"})
			if err != nil {
				panic(err)
			}
			return scriptedmodel.Reply{Delay: p.delay, ToolCalls: []scriptedmodel.ToolCall{{Name: "Bash", Arguments: string(input)}}}
		}
		s.model.tell("stream")
		return reply
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = model.Close() })
	s.Server, err = realserver.Start(letta, t.TempDir(), realserver.Environment(t.TempDir(), model.URL()))
	t.Cleanup(s.Kill)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *realOne) address() string { return s.URL() }

func (s *realOne) kill(wild bool) error {
	if wild {
		s.Kill()
		return nil
	}
	return s.KillWhole()
}

func (s *realOne) start() error { return s.Restart() }

func (s *realOne) log() *modelLog { return s.model }
