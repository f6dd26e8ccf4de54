package workflow

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventCodec(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	bodies := []EventBody{
		TaskSubmitted{Task: "T", Team: "t", Revision: "r", Input: map[string]any{"goal": "g", "yes": true}, Workspace: "/w"},
		TaskClaimed{},
		TurnSending{Turn: 1, Attempt: 2, ClientMessageID: "m", Runtime: Runtime{Server: "s", AgentID: "a", ConversationID: "c"}},
		TurnAccepted{Turn: 1, Attempt: 2, Disposition: "started"},
		TurnFinished{
			Turn: 1, Attempt: 2, Reason: ReasonEndTurn, Output: "o", Outcome: "ok", Summary: "s", Data: map[string]any{"n": 1.5}, Error: "e",
			Usage: Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3, CachedInputTokens: 4, ReasoningTokens: 5, Requests: 6},
			RunID: "run", TurnID: "turn", ToolCalls: 7, ConversationLost: true,
		},
		TurnReconciled{Turn: 1, Attempt: 2, Finding: FindingFinished, Output: "o", Detail: "d", ConversationLost: true},
		TimerFired{},
		CancelRequested{By: "ada"},
	}
	var types []string
	for _, body := range bodies {
		types = append(types, body.EventType())
		data := encode(t, Event{At: at, Body: body})
		var got Event
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Errorf("%s: %v", body.EventType(), err)
			continue
		}
		if diff := cmp.Diff(Event{At: at, Body: body}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body.EventType(), diff)
		}
	}
	known := sortedKeys(eventDecoders())
	slices.Sort(types)
	if !slices.Equal(known, types) {
		t.Errorf("this test has %v, the decoders have %v", types, known)
	}
}

func TestEffectsCodec(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Effects{
		StartTurn{Turn: 1, Node: "n", Attempt: 2, Message: "m", Reminder: true},
		AbortTurn{Turn: 1, Attempt: 2},
		Handoff{FromTurn: 1, From: "a", Reason: ReasonError, Rule: 3, Fired: 1, Max: 2, To: "a", ToTurn: 1, Retry: true, NotBefore: at,
			Note: "n", Skipped: []SkippedRule{{Rule: 1, Why: "w"}}},
		FinishTask{Result: Result{State: TaskFailed, Node: "n", Reason: ReasonError, Rule: 2, Explanation: "e", At: at}},
	}
	var types []string
	for _, e := range want {
		types = append(types, e.EffectType())
	}
	slices.Sort(types)
	if known := sortedKeys(effectDecoders()); !slices.Equal(known, types) {
		t.Errorf("this test has %v, the decoders have %v", types, known)
	}
	var got Effects
	if err := json.Unmarshal([]byte(encode(t, want)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := encode(t, Effects(nil)); got != "[]" {
		t.Errorf("no effects encode as %s", got)
	}
}

func TestStateCodec(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	r.end(TurnFinished{Output: "x"})
	r.end(TurnFinished{Reason: ReasonConnectionLost})
	var got State
	if err := json.Unmarshal([]byte(encode(t, r.s)), &got); err != nil {
		t.Fatal(err)
	}
	got.Input = typedInput(r.team, got.Input)
	if !reflect.DeepEqual(r.s, got) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(r.s, got))
	}
}

func TestCodecErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data string
		into       any
		unknown    bool
	}{
		{"unknown event", `{"at":"2026-01-02T03:04:05Z","type":"gate_opened","body":{}}`, &Event{}, true},
		{"event without type", `{}`, &Event{}, true},
		{"event with a bad body", `{"type":"turn_finished","body":{"turn":"one"}}`, &Event{}, false},
		{"event that is a list", `[]`, &Event{}, false},
		{"unknown effect", `[{"type":"open_gate","body":{}}]`, &Effects{}, true},
		{"effect with a bad body", `[{"type":"start_turn","body":[]}]`, &Effects{}, false},
		{"effects that are an object", `{}`, &Effects{}, false},
	} {
		err := json.Unmarshal([]byte(test.data), test.into)
		_, unknown := errors.AsType[*UnknownTypeError](err)
		if err == nil || unknown != test.unknown {
			t.Errorf("%s: got %v, unknown type %v", test.name, err, unknown)
		}
	}
	if _, err := json.Marshal(Event{}); err == nil {
		t.Error("an event without a body was encoded")
	}
	if _, err := json.Marshal(Effects{nil}); err == nil {
		t.Error("a nil effect was encoded")
	}
	if _, err := json.Marshal(Event{Body: TurnFinished{Data: func() {}}}); err == nil {
		t.Error("data that is no JSON was encoded")
	}
	if _, err := json.Marshal(Effects{badEffect{C: make(chan int)}}); err == nil {
		t.Error("an effect that is no JSON was encoded")
	}
}

type badEffect struct{ C chan int }

func (badEffect) EffectType() string { return "bad" }
