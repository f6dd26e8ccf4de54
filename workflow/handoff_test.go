package workflow

import (
	"slices"
	"strings"
	"testing"
)

const pickTeam = `version: 1
name: pick
agents:
  a: {prompt: A., controller_tools: [handoff]}
  b: {prompt: B., controller_tools: [handoff], outcomes: [good, bad]}
  c: {prompt: C.}
start: a
handoffs:
  - {from: a, on: end_turn, when: "visits < 5", to: b, max: 1}
  - {from: a, on: end_turn, to: [c, b]}
  - {from: a, on: [end_turn, error], to: failed}
  - {from: a, on: error, to: cancelled}
  - {from: b, on: good, to: a}
  - {from: b, on: no_outcome, to: c}
  - {from: [b, c], on: "*", join: all, to: succeeded}
  - {from: "*", on: "*", retry: {max: 1}}
`

func TestHandoffTargets(t *testing.T) {
	t.Parallel()
	team := unchecked(t, pickTeam)
	for agent, want := range map[string][]string{"a": {"b", "c", "failed"}, "b": {"a"}, "c": nil, "nobody": nil} {
		if got := team.HandoffTargets(agent); !slices.Equal(got, want) {
			t.Errorf("%s may pick %v, want %v", agent, got, want)
		}
	}
}

func TestHandoffPick(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end   TurnFinished
		rule  int
		alive string
		note  string
		why   string // of the first rule that was skipped
	}{
		"none":                       {TurnFinished{}, 1, "b", "", ""},
		"the first":                  {TurnFinished{Handoff: "b"}, 1, "b", "", ""},
		"one of a fan-out":           {TurnFinished{Handoff: "c"}, 2, "b@b c@c", "", "a picked c"},
		"the end":                    {TurnFinished{Handoff: "failed"}, 3, "", "", "a picked failed"},
		"what no rule allows":        {TurnFinished{Handoff: "nobody"}, 1, "b", "a picked nobody, which no rule allows now", ""},
		"a turn that did not end so": {TurnFinished{Handoff: "c", Reason: ReasonError}, 3, "", "", "error is not among its reasons"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, unchecked(t, pickTeam), nil)
			h := effect[Handoff](t, r.end(test.end))
			r.wantNodes(test.alive)
			if h.Rule != test.rule || h.Note != test.note {
				t.Errorf("%+v", h)
			}
			if test.why != "" && (len(h.Skipped) == 0 || h.Skipped[0].Why != test.why) {
				t.Errorf("skipped %+v, want %q", h.Skipped, test.why)
			}
		})
	}
}

// An agent without the tool has no say in where the task goes.
func TestHandoffPickWithoutTheTool(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, strings.Replace(pickTeam, "a: {prompt: A., controller_tools: [handoff]}", "a: {prompt: A.}", 1)), nil)
	h := effect[Handoff](t, r.end(TurnFinished{Handoff: "c", HandoffMessage: "m"}))
	if h.Rule != 1 || h.Note != "" || strings.Contains(r.turn().Message, "hands over") {
		t.Errorf("%+v, message %q", h, r.turn().Message)
	}
}

// What the agent says with its pick is the message where the rule has none.
func TestHandoffMessage(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, pickTeam), nil)
	r.end(TurnFinished{Handoff: "b", HandoffMessage: "look at x", Output: "long"})
	if got := r.turn().Message; !strings.Contains(got, "a hands over to you:\nlook at x\n\n") || !strings.HasPrefix(got, "The task:\n") {
		t.Errorf("message %q", got)
	}
	r = start(t, unchecked(t, strings.Replace(pickTeam, "to: b, max: 1", "to: b, message: '{{ .handoff }}!'", 1)), nil)
	r.end(TurnFinished{Handoff: "b", HandoffMessage: "look at x"})
	if got := r.turn().Message; got != "look at x!" {
		t.Errorf("message %q", got)
	}
}
