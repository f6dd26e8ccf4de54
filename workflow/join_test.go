package workflow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// joinTeam fans out from plan to the checks a, b and c; rules come after it.
func joinTeam(t *testing.T, rules string) *run {
	t.Helper()
	return start(t, unchecked(t, `version: 1
name: joins
agents:
  plan: {prompt: Plan.}
  last: {prompt: Sum up.}
checks:
  a: {run: x}
  b: {run: x}
  c: {run: x}
start: plan
handoffs:
  - {from: plan, on: end_turn, to: [a, b, c]}
`+rules), nil)
}

// TestJoins ends the branches of a group in the order given, and looks at what
// becomes of the task.
func TestJoins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules string
		ends  string // NODE:REASON …
		alive string
		why   string // of a task that failed
	}{
		"all wait for the last": {
			"  - {from: [a, b, c], on: '*', join: all, to: last}\n", "a:passed c:failed", "b@b", "",
		},
		"all": {
			"  - {from: [a, b, c], on: '*', join: all, to: last}\n", "a:passed c:failed b:timeout", "last", "",
		},
		"a branch that succeeded is not waited for": {
			"  - {from: b, on: '*', to: succeeded}\n  - {from: [a, c], on: '*', join: all, to: last}\n", "a:passed c:passed b:passed", "last", "",
		},
		"branches that all succeeded end the task": {
			"  - {from: '*', on: '*', to: succeeded}\n", "a:passed b:passed c:passed", "", "",
		},
		"any": {
			"  - {from: [a, b, c], on: passed, join: any, to: last}\n  - {from: '*', on: '*', to: succeeded}\n", "a:failed b:passed", "last", "",
		},
		"a number": {
			"  - {from: [a, b, c], on: '*', join: 2, to: last}\n", "b:passed c:passed", "last", "",
		},
		"a number that cannot be reached": {
			"  - {from: a, on: '*', to: succeeded}\n  - {from: [b, c], on: '*', join: 3, to: last}\n", "a:passed b:passed", "",
			"the join of rule 3, which waits for 3 of 3 branches, can never be complete: 1 arrived there, 1 ended before",
		},
		"a number that cannot be reached, and another that can": {
			"  - {from: [a, b, c], on: passed, join: 3, to: succeeded}\n  - {from: [a, b, c], on: failed, join: 2, to: last}\n", "a:passed b:failed c:failed", "last", "",
		},
		"different joins": {
			"  - {from: [a, c], on: '*', join: all, to: last}\n  - {from: b, on: '*', join: all, to: last}\n",
			"a:passed b:failed", "", "the join of rule 2, which waits for all of 3 branches, can never be complete: 1 arrived there, 0 ended before",
		},
		"the condition is asked of all that was joined": {
			"  - {from: [a, b, c], on: '*', join: all, when: 'all(branches, .reason == \"passed\")', to: succeeded}\n  - {from: [a, b, c], on: '*', join: all, to: last}\n",
			"a:passed b:passed c:failed", "last", "",
		},
		"no rule for what was joined": {
			"  - {from: [a, b, c], on: '*', join: all, when: 'false', to: succeeded}\n  - {from: [b, c], on: '*', to: last}\n", "a:passed b:passed c:passed", "",
			"a, b, c ended with passed, and no rule says what happens then",
		},
		"rules before the join do not see it": {
			"  - {from: [a, b, c], on: '*', when: 'len(branches) > 0', to: failed}\n  - {from: [a, b, c], on: '*', join: all, to: last}\n", "a:passed b:passed c:failed", "last", "",
		},
		"a rule without a join matches, too": {
			"  - {from: [a, b, c], on: '*', join: all, when: 'false', to: succeeded}\n  - {from: '*', on: '*', to: last}\n", "a:passed b:passed c:passed", "last", "",
		},
		"max counts where the branches came from": {
			"  - {from: [a, b, c], on: passed, join: all, max: 1, to: plan}\n  - {from: [a, b, c], on: passed, to: last}\n",
			"a:passed b:passed c:passed plan:end_turn a:passed b:passed", "c@c last@a last@b", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := joinTeam(t, test.rules)
			for _, end := range append([]string{"plan:end_turn"}, strings.Fields(test.ends)...) {
				node, reason, _ := strings.Cut(end, ":")
				r.finish(r.live(node), TurnFinished{Reason: Reason(reason), Output: "out of " + node})
			}
			r.wantNodes(test.alive)
			if test.why != "" {
				r.wantStatus(TaskFailed)
				if !strings.Contains(r.s.Result.Explanation, test.why) {
					t.Errorf("explanation %q, want %q", r.s.Result.Explanation, test.why)
				}
			}
			if test.alive == "" && test.why == "" {
				r.wantStatus(TaskSucceeded)
			}
		})
	}
}

// TestJoinOutsideOfBranches: what no fan-out has started is all that a join waits for.
func TestJoinOutsideOfBranches(t *testing.T) {
	t.Parallel()
	r := joinTeam(t, "  - {from: plan, on: error, join: all, to: last, message: '{{ len .branches }} {{ (index .branches 0).node }} {{ .output }}'}\n")
	effects := r.end(TurnFinished{Reason: ReasonError, Output: "x"})
	r.wantNodes("last")
	if got := r.turn().Message; got != "1 plan x" {
		t.Errorf("message %q", got)
	}
	if h := effect[Handoff](t, effects); !cmp.Equal(h.Joined, []int{1}) || h.Rule != 2 {
		t.Errorf("handoff %+v", h)
	}
}

func TestJoinedScope(t *testing.T) {
	t.Parallel()
	r := joinTeam(t, `  - {from: [a, b, c], on: "*", join: all, to: last, message: "{{ .reason }}|{{ .node }}|{{ .branch }}|{{ .visits }}|{{ .nodes.b.output }}|{{ range .branches }}{{ .label }} {{ .node }} {{ .index }} {{ .reason }} {{ .output }} {{ .error }};{{ end }}|{{ .output }}"}
`)
	r.finish(r.live("plan"), TurnFinished{})
	r.finish(r.live("c"), TurnFinished{Reason: ReasonPassed, Output: "C"})
	r.finish(r.live("a"), TurnFinished{Reason: ReasonPassed, Output: "A"})
	effects := r.finish(r.live("b"), TurnFinished{Reason: ReasonFailed, Output: "B", Error: "e"})
	want := "|a, b, c||0|B|a a 0 passed A ;b b 1 failed B e;c c 2 passed C ;|## a (passed)\nA\n\n## b (failed)\nB\n\n## c (passed)\nC"
	if got := r.turn().Message; got != want {
		t.Errorf("message\n%q, want\n%q", got, want)
	}
	h := effect[Handoff](t, effects)
	if !cmp.Equal(h.Joined, []int{2, 3, 4}) || h.FromTurn != 3 || h.From != "a, b, c" || h.Branch != 0 {
		t.Errorf("handoff %+v", h)
	}
	b := effect[BranchEnded](t, effects)
	if b.How != BranchArrived || b.Label != "b" || b.Arrived != 3 || b.Size != 3 || b.Rule != 2 || b.Turn != 3 {
		t.Errorf("the last branch: %+v", b)
	}
}

// The default message of a joined handoff shows everything, and tells the task
// to an agent whose conversation is new.
func TestJoinedDefaultMessage(t *testing.T) {
	t.Parallel()
	r := joinTeam(t, "  - {from: [a, b, c], on: '*', join: 2, to: last}\n")
	r.finish(r.live("plan"), TurnFinished{})
	r.finish(r.live("a"), TurnFinished{Reason: ReasonPassed, Output: "A"})
	r.finish(r.live("b"), TurnFinished{Reason: ReasonPassed, Output: "B"})
	want := "The task:\n" + startMessage(r.team, &r.s) + "\n\na, b ended with passed.\n\nIts output:\n## a (passed)\nA\n\n## b (passed)\nB"
	if got := r.turn().Message; got != want {
		t.Errorf("message %q\nwant %q", got, want)
	}
}

// The conversation of a visit ends with it, also where it arrives at a join.
func TestArrivalEndsTheVisit(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"in a branch": "[a, b]", "outside": "a"} {
		r := start(t, unchecked(t, `version: 1
name: visits
agents:
  a: {prompt: A., conversation: turn}
checks:
  begin: {run: x}
  b: {run: x}
  last: {run: x}
start: begin
handoffs:
  - {from: begin, on: passed, to: `+before+`}
  - {from: [a, b], on: "*", join: any, to: last}
`), nil)
		r.finish(r.live("begin"), TurnFinished{Reason: ReasonPassed})
		turn := r.live("a")
		r.finish(turn, TurnFinished{})
		r.wantNodes("last")
		if len(r.s.Conversations) != 0 || turn.Conversation == "" {
			t.Errorf("%s: kept %+v of %+v", name, r.s.Conversations, turn)
		}
	}
}

// nestedTeam plans parts, each of which is reviewed by two.
const nestedTeam = `version: 1
name: nested
agents:
  plan: {prompt: Plan.}
  part: {prompt: Work., conversation: turn}
  left: {prompt: Review.}
  right: {prompt: Review., conversation: shared}
  last: {prompt: Sum up.}
start: plan
handoffs:
  - {from: plan, on: end_turn, for_each: data.parts, to: part, message: "{{ .item.name }}"}
  - {from: part, on: end_turn, to: [left, right]}
  - {from: [left, right], on: end_turn, join: all, to: part, max: 1, message: "{{ .item.name }} {{ .index }} {{ .branch }} {{ .nodes.plan.output }} {{ .nodes.part.visits }}"}
  - {from: [left, right], on: end_turn, join: all, to: succeeded}
  - {from: part, on: error, join: any, to: last}
`

func TestNestedBranches(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, nestedTeam), nil)
	parts := []any{map[string]any{"name": "x"}, map[string]any{"name": "y"}}
	r.finish(r.live("plan"), TurnFinished{Output: "plan", Data: map[string]any{"parts": parts}})
	r.wantNodes("part@part[0] part@part[1]")
	if got := r.live("part", "part[1]"); got.Message != "y" || got.Conversation != "part@part[1]#1~3" {
		t.Errorf("part 1: %+v", got)
	}
	r.finish(r.live("part", "part[0]"), TurnFinished{})
	r.wantNodes("left@part[0]/left part@part[1] right@part[0]/right")
	if got := r.live("left").Conversation; got != "left@part[0]/left#1" {
		t.Errorf("conversation of a branch in a branch: %q", got)
	}
	if got := r.live("right").Conversation; got != "right!shared" {
		t.Errorf("shared conversation: %q", got)
	}
	for key := range r.s.Conversations {
		if strings.HasPrefix(key, "part") {
			t.Errorf("the conversation %q of a visit that is over is kept", key)
		}
	}
	r.finish(r.live("left"), TurnFinished{})
	r.finish(r.live("right"), TurnFinished{})
	r.wantNodes("part@part[0] part@part[1]")
	if got := r.live("part", "part[0]"); got.Message != "x 0 part[0] plan 1" || got.Conversation == "part@part[0]#1~2" {
		t.Errorf("part 0 after its join: %+v", got)
	}
	// The next end of the join is another rule, since max counts in the branch.
	r.finish(r.live("part", "part[0]"), TurnFinished{})
	r.finish(r.live("left"), TurnFinished{})
	r.finish(r.live("right"), TurnFinished{})
	r.wantNodes("part@part[1]")

	// A join of the outer group cancels all that is within its branches.
	r.finish(r.live("part", "part[1]"), TurnFinished{})
	r.wantNodes("left@part[1]/left right@part[1]/right")
}

func TestJoinCancelsInnerBranches(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, nestedTeam), nil)
	parts := []any{map[string]any{"name": "x"}, map[string]any{"name": "y"}, map[string]any{"name": "z"}}
	r.finish(r.live("plan"), TurnFinished{Data: map[string]any{"parts": parts}})
	r.finish(r.live("part", "part[0]"), TurnFinished{})
	r.finish(r.live("part", "part[2]"), TurnFinished{})
	right := r.live("right", "part[0]/right")
	r.must(TurnSending{Turn: right.ID, Attempt: 1})
	r.must(QuestionAsked{Turn: right.ID, Attempt: 1, Kind: QuestionText, Text: "?"})
	effects := r.finish(r.live("part", "part[1]"), TurnFinished{Reason: ReasonError})
	r.wantNodes("last")
	var aborted, cancelled []string
	for _, e := range effects {
		switch e := e.(type) {
		case AbortTurn:
			aborted = append(aborted, fmt.Sprint(e.Turn))
			if e.Why != "the join of rule 5 is complete" {
				t.Errorf("%+v", e)
			}
		case BranchEnded:
			if e.How == BranchCancelled {
				cancelled = append(cancelled, e.Label)
			}
		}
	}
	if got := strings.Join(cancelled, " "); got != "part[0]/left part[0]/right part[0] part[2]/left part[2]/right part[2]" {
		t.Errorf("cancelled %s", got)
	}
	if len(aborted) != 4 || len(r.s.Questions)+len(r.s.Groups)+len(r.s.Branches) != 0 {
		t.Errorf("aborted %v, left %+v %+v %+v", aborted, r.s.Questions, r.s.Groups, r.s.Branches)
	}
	for key := range r.s.Conversations {
		if strings.Contains(key, "#1") {
			t.Errorf("the conversation %q of a group that is over is kept", key)
		}
	}
}

// Elements that have not begun when a join fires never begin.
func TestJoinDropsItemsThatWait(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, `version: 1
name: first
agents:
  plan: {prompt: Plan.}
checks:
  try: {run: x}
start: plan
handoffs:
  - {from: plan, on: end_turn, for_each: "[1, 2, 3, 4]", max_parallel: 2, to: try}
  - {from: try, on: passed, join: any, to: succeeded}
  - {from: try, on: failed, to: succeeded}
`), nil)
	r.finish(r.live("plan"), TurnFinished{})
	r.wantNodes("try@try[0] try@try[1]")
	r.finish(r.live("try", "try[0]"), TurnFinished{Reason: ReasonFailed})
	r.wantNodes("try@try[1] try@try[2]")
	r.finish(r.live("try", "try[2]"), TurnFinished{Reason: ReasonPassed})
	r.wantStatus(TaskSucceeded)
	if r.s.LastTurn != 4 {
		t.Errorf("%d turns", r.s.LastTurn)
	}
}

// What ran in branches counts where they came from after the join.
func TestJoinMergesNodes(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, `version: 1
name: merge
agents:
  plan: {prompt: Plan.}
checks:
  try: {run: x}
start: try
handoffs:
  - {from: try, on: failed, for_each: "[1, 2]", to: try}
  - {from: try, on: passed, join: all, to: plan, message: "{{ .nodes.try.visits }} {{ .nodes.try.output }}"}
`), nil)
	r.finish(r.live("try"), TurnFinished{Reason: ReasonFailed})
	for i := 1; i >= 0; i-- {
		r.finish(r.live("try", fmt.Sprintf("try[%d]", i)), TurnFinished{Reason: ReasonPassed, Output: fmt.Sprint("of ", i)})
	}
	if got := r.turn().Message; got != "3 of 1" {
		t.Errorf("message %q", got)
	}
}

// A conversation that belongs to one visit, or to one element, ends with it.
func TestConversationsEndWithTheirBranches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ join, end string }{
		"arrived": {"all", "part[0] part[1]"}, "cancelled": {"any", "part[0]"},
	} {
		for _, policy := range []string{ConversationTurn, ConversationTask} {
			t.Run(name+" "+policy, func(t *testing.T) {
				t.Parallel()
				r := start(t, unchecked(t, strings.NewReplacer("POLICY", policy, "JOIN", test.join).Replace(`version: 1
name: conversations
agents:
  plan: {prompt: Plan.}
  part: {prompt: Work., conversation: POLICY}
checks:
  try: {run: x}
start: plan
handoffs:
  - {from: plan, on: end_turn, for_each: "[1, 2]", to: part}
  - {from: part, on: end_turn, join: JOIN, to: try}
  - {from: try, on: failed, to: [part, plan]}
  - {from: [part, plan], on: error, join: any, to: try}
`)), nil)
				r.finish(r.live("plan"), TurnFinished{})
				for _, label := range []string{"part[1]", "part[0]"} {
					turn := r.live("part", label)
					r.must(TurnSending{Turn: turn.ID, Attempt: 1})
				}
				for _, label := range strings.Fields(test.end) {
					r.must(TurnFinished{Turn: r.live("part", label).ID, Attempt: 1, Reason: ReasonEndTurn})
				}
				r.wantNodes("try")
				if len(r.s.Conversations) != 1 {
					t.Errorf("kept %+v", r.s.Conversations)
				}
				// The branches of a list keep theirs for the next round, but for those of one visit.
				r.finish(r.live("try"), TurnFinished{Reason: ReasonFailed})
				turn := r.live("part")
				r.must(TurnSending{Turn: turn.ID, Attempt: 1})
				r.finish(r.live("plan"), TurnFinished{Reason: ReasonError})
				r.wantNodes("try")
				if _, kept := r.s.Conversations[turn.Conversation]; kept != (policy == ConversationTask) || len(r.s.Conversations) < 2 {
					t.Errorf("kept %+v", r.s.Conversations)
				}
			})
		}
	}
}
