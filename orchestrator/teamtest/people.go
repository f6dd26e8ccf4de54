package teamtest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// person is who acts where a scenario names nobody.
const person = "scenario"

// people keeps what the people of a scenario are asked, and what became of the
// tool calls.
type people struct {
	gates     map[turnKey]*openGate
	questions map[questionKey]*Call
	// endings are those that turns have played last.
	endings map[turnKey]*Ending
	// fates are what became of calls; one about which a person was asked is CallAsked.
	fates map[*Call]string
	// played are the endings whose calls have been made.
	played []*Ending
}

type openGate struct {
	ending *Ending
	since  time.Time
}

type questionKey struct {
	task     string
	question int
}

func newPeople() people {
	return people{
		gates: map[turnKey]*openGate{}, questions: map[questionKey]*Call{}, fates: map[*Call]string{}, endings: map[turnKey]*Ending{},
	}
}

// open reports whether nobody answers a gate and its end is not waited for.
func (p *people) open(key turnKey) bool {
	gate := p.gates[key]
	return gate != nil && gate.ending.Reason == EndingOpen
}

// gates are the answers to the open gates of a task. s.mu is held.
func (s *simulation) gates(state workflow.State) []act {
	var acts []act
	for _, turn := range state.Turns {
		if turn.Kind != workflow.KindGate {
			continue
		}
		key := turnKey{state.Task, turn.ID}
		gate := s.people.gates[key]
		if gate == nil {
			e, err := s.player.next(state, turn)
			if err != nil {
				if s.failed == nil {
					s.failed = err
				}
				return nil
			}
			gate = &openGate{ending: e, since: s.clock.Now()}
			s.people.gates[key] = gate
		}
		reason := workflow.Reason(gate.ending.Reason)
		if reason != workflow.ReasonApproved && reason != workflow.ReasonRejected {
			continue
		}
		acts = append(acts, act{
			at: gate.since.Add(gate.ending.takes(0)), order: orderAnswer, key: key,
			do: func(ctx context.Context) error {
				e := gate.ending
				return s.applied(s.engine.engine.AnswerGate(ctx, key.task, key.turn, reason == workflow.ReasonApproved, cmp.Or(e.By, person), e.Output))
			},
		})
	}
	return acts
}

// questions are the answers to what the agents of a task ask. s.mu is held.
func (s *simulation) questions(state workflow.State) []act {
	var acts []act
	for _, q := range state.Questions {
		key := questionKey{state.Task, q.ID}
		if q.Kind == workflow.QuestionUncertain {
			acts = append(acts, s.decideUncertain(state.Task, q))
			continue
		}
		call, known := s.people.questions[key]
		if !known {
			call = s.people.callOf(s.player.current(state.Task, q.Turn), q)
			s.people.questions[key] = call
			if call != nil {
				s.people.fates[call] = CallAsked
			}
		}
		if call == nil || call.Answer == "" {
			continue // it expires
		}
		acts = append(acts, act{
			at: s.clock.Now(), order: orderAnswer, key: turnKey{state.Task, q.Turn},
			do: func(ctx context.Context) error {
				return s.applied(s.engine.engine.AnswerQuestion(ctx, key.task, key.question, call.Answer, cmp.Or(call.By, person)))
			},
		})
	}
	return acts
}

// decideUncertain is what a person does about a turn that nobody knows the end of.
func (s *simulation) decideUncertain(task string, q workflow.Question) act {
	key := turnKey{task, q.Turn}
	answer, by := q.Choices[len(q.Choices)-1], person
	if slices.Contains(q.Choices, string(workflow.ReasonFailed)) {
		answer = string(workflow.ReasonFailed)
	}
	if e := s.people.endings[key]; e != nil {
		answer, by = cmp.Or(e.Answer, answer), cmp.Or(e.By, by)
	}
	return act{at: s.clock.Now(), order: orderAnswer, key: key, do: func(ctx context.Context) error {
		return s.applied(s.engine.engine.AnswerQuestion(ctx, task, q.ID, answer, by))
	}}
}

// current is the ending that a turn plays now; nil when there is none.
func (p *player) current(task string, turn int) *Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.playing[turnKey{task, turn}]
}

// callOf finds the call of the scenario that a question is about.
func (p *people) callOf(e *Ending, q workflow.Question) *Call {
	if e == nil {
		return nil
	}
	tool := q.Tool
	if q.Kind == workflow.QuestionText {
		tool = workflow.ToolAskHuman
	}
	for i := range e.Calls {
		c := &e.Calls[i]
		if c.Tool == tool && p.fates[c] == "" && c.about(q.Argument) {
			return c
		}
	}
	return nil
}

// about reports whether the argument that people are shown is one of the call's.
func (c *Call) about(argument string) bool {
	if argument == "" {
		return true
	}
	texts := 0
	for _, value := range c.Input {
		if text, ok := value.(string); ok {
			texts++
			if text == argument {
				return true
			}
		}
	}
	return texts == 0
}

// approval keeps what became of a tool call.
func (s *simulation) approval(key turnKey, p engine.Progress) {
	e := s.player.current(key.task, key.turn)
	allowed := strings.HasPrefix(p.Text, CallAllowed)
	if e == nil || !allowed && !strings.HasPrefix(p.Text, CallDenied) {
		return // a person is going to be asked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range e.Calls {
		c := &e.Calls[i]
		if c.Tool != p.Tool || !c.about(p.Argument) || s.people.fates[c] != "" {
			continue
		}
		s.people.fates[c] = CallDenied
		if allowed {
			s.people.fates[c] = CallAllowed
		}
		return
	}
}

// fate is what became of a call. One that the App Server asked nobody about was allowed.
func (p *people) fate(c *Call) string { return cmp.Or(p.fates[c], CallAllowed) }
