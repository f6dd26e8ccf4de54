//go:build faults

package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Every message names the agent that gets it and the task, so that the model's
// log tells which turn was asked for. No agent is visited twice.
//
// A turn that six deaths in a row have hit ends as connection_lost or stalled,
// which the rules try again; the message of one that was interrupted still says so.
//
// What cannot be known ends as cancelled, to be told apart; any other end is a
// task that did not end as its team says.
const ends = `
  - {from: "*", on: uncertain, to: cancelled}
  - {from: "*", on: [connection_lost, stalled], retry: {max: 20, backoff: 1s}}
  - {from: "*", on: "*", to: failed}
`

// relay is three agents, one after the other.
const relay = `version: 1
name: relay
inputs: {goal: {type: string, required: true}}
limits: {turns: 1000}
workspace: {parallel_writers: true}
agents:
  one: {prompt: You run first., permission_mode: unrestricted}
  two: {prompt: You run second., permission_mode: unrestricted}
  three: {prompt: You run third., permission_mode: unrestricted}
start: one
message: "<one> {{ .input.goal }}"
handoffs:
  - {from: one, on: end_turn, to: two, message: "<two> {{ .input.goal }} {{ .output }}"}
  - {from: two, on: end_turn, to: three, message: "<three> {{ .input.goal }} {{ .output }}"}
  - {from: three, on: end_turn, to: succeeded}` + ends

// whole has one of everything: branches and a join, a check, a tool that runs,
// a tool that a person is asked about and nobody answers, a gate that expires,
// a sub-team.
const whole = `version: 1
name: whole
inputs: {goal: {type: string, required: true}, dir: {required: true}}
limits: {turns: 1000}
workspace: {directory: "{{ .input.dir }}", parallel_writers: true}
agents:
  plan: {prompt: Plan., permission_mode: unrestricted}
  left: {prompt: Left., permission_mode: unrestricted}
  right: {prompt: Right., permission_mode: unrestricted}
  tool: {prompt: Use a tool., permission_mode: unrestricted}
  asker: {prompt: Ask., permission_mode: standard, approvals: {ask: ["Bash(*)"], otherwise: allow, expires: 1s}}
checks:
  check: {run: "true"}
gates:
  gate: {question: "Go on?", expires: 1s, at_expiry: approved}
teams:
  sub: {team: relay.yaml, input: {goal: "sub{{ .input.goal }}"}}
start: plan
message: "<plan> {{ .input.goal }}"
handoffs:
  - {from: plan, on: end_turn, to: [left, right], message: "<{{ .target }}> {{ .input.goal }}"}
  - {from: [left, right], on: end_turn, join: all, to: check}
  - {from: check, on: passed, to: tool, message: "<tool> {{ .input.goal }}"}
  - {from: tool, on: end_turn, to: asker, message: "<asker> {{ .input.goal }}"}
  - {from: asker, on: end_turn, to: gate}
  - {from: gate, on: approved, to: sub}
  - {from: sub, on: succeeded, to: succeeded}
  - {from: sub, on: cancelled, to: cancelled}` + ends

// turns are the turns of each team, as marks of agent and task.
func turnsOf(team, goal string) []string {
	goal = strings.TrimSuffix(goal, ".")
	switch team {
	case "whole":
		return []string{"plan " + goal, "left " + goal, "right " + goal, "tool " + goal, "asker " + goal, "one sub" + goal, "two sub" + goal, "three sub" + goal}
	default:
		return []string{"one " + goal, "two " + goal, "three " + goal}
	}
}

// tasksOf makes n tasks, every third of which has one of everything.
func tasksOf(t *testing.T, dir string, n int) []submission {
	t.Helper()
	for name, source := range map[string]string{"relay.yaml": relay, "whole.yaml": whole} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tasks := make([]submission, n)
	for i := range tasks {
		goal := fmt.Sprintf("T%04d.", i)
		tasks[i] = submission{Key: goal, TeamFile: filepath.Join(dir, "relay.yaml"), Input: map[string]any{"goal": goal}}
		if i%3 == 0 {
			tasks[i].TeamFile, tasks[i].Input["dir"] = filepath.Join(dir, "whole.yaml"), dir
		}
	}
	return tasks
}

var mark = regexp.MustCompile(`<(\w+)> (\w+)\.`)

// asked is a turn that the model was asked for.
type asked struct {
	// turn names the agent and the task.
	turn string
	// again says that the message tells of an interruption.
	again bool
}

func (a asked) agent() string {
	agent, _, _ := strings.Cut(a.turn, " ")
	return agent
}

// readAsked finds out which turn a message asks for.
func readAsked(text string) (asked, bool) {
	m := mark.FindStringSubmatch(text)
	if m == nil {
		return asked{}, false
	}
	return asked{m[1] + " " + m[2], strings.Contains(text, "You were interrupted before you could finish")}, true
}

// command is what the agent named tool has run: it tells that it did, and takes a while.
func command(dir string, a asked) string {
	return fmt.Sprintf("echo ran >> '%s'; timeout 0.2 tail -f /dev/null; true", filepath.Join(dir, strings.ReplaceAll(a.turn, " ", "-")+".ran"))
}

// modelLog is what a model was asked for, and tells of moments to those who wait for one.
type modelLog struct {
	mu      sync.Mutex
	list    []asked
	strange []string
	moments chan string // "stream" or "tool"; nobody has to listen
}

func newModelLog() *modelLog { return &modelLog{moments: make(chan string)} }

func (l *modelLog) add(text string) (asked, bool) {
	a, ok := readAsked(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok {
		l.strange = append(l.strange, text)
		return a, false
	}
	l.list = append(l.list, a)
	return a, true
}

func (l *modelLog) tell(moment string) {
	select {
	case l.moments <- moment:
	default:
	}
}

// counts are how often each turn was asked for, and how often it was continued.
func (l *modelLog) counts() (original, continued map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	original, continued = map[string]int{}, map[string]int{}
	for _, a := range l.list {
		if a.again {
			continued[a.turn]++
		} else {
			original[a.turn]++
		}
	}
	return original, continued
}
