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
	limits := Limits{Turns: 1, Tokens: 2, Duration: time.Minute, Cost: 3, AtLimit: AtLimitPause}
	bodies := []EventBody{
		TaskSubmitted{
			Priority: 2, Batch: "01B", Schedule: "nightly",
			Origin: &Origin{Task: "T0", Turn: 3, Fork: true}, Begin: &Beginning{Visits: 2, LastTurn: 3, Held: []Held{{Cut: true}}}, Place: &Place{Status: PlaceReady, Of: "T0"},
			Task: "T", Team: "t", Revision: "r", Input: map[string]any{"goal": "g", "yes": true}, Workspace: "/w", GitBranch: "b", Prepare: true, WorkspaceOf: "O",
			Parent: &Parent{Task: "P", Turn: 1, Attempt: 2, Spawned: true}, Limits: limits, Trace: &TraceContext{Parent: "00-1-2-01", State: "a=b"},
		},
		TaskClaimed{},
		TurnSending{Turn: 1, Attempt: 2, ClientMessageID: "m", Runtime: Runtime{Server: "s", AgentID: "a", ConversationID: "c"}, Child: "C"},
		TurnAccepted{Turn: 1, Attempt: 2, Disposition: "started"},
		TurnFinished{
			Turn: 1, Attempt: 2, Reason: ReasonEndTurn, Output: "o", Outcome: "ok", Summary: "s", Data: map[string]any{"n": 1.5}, Error: "e",
			Usage: Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3, CachedInputTokens: 4, ReasoningTokens: 5, Requests: 6},
			RunID: "run", TurnID: "turn", ToolCalls: 7, ConversationLost: true, OutputFile: "f", Model: "m", Cost: 8, Unpriced: true,
			Handoff: "h", HandoffMessage: "hm", QuotaReset: at, ExitCode: 9, Duration: time.Second,
		},
		TurnUsed{Turn: 1, Attempt: 2, Node: "n", Branch: 3, Usage: Usage{TotalTokens: 1}, Model: "m", Cost: 2, Unpriced: true},
		TurnReconciled{Turn: 1, Attempt: 2, Finding: FindingFinished, Output: "o", OutputFile: "f", Detail: "d", Usage: Usage{TotalTokens: 1}, Model: "m", Cost: 2, Unpriced: true, ConversationLost: true, KeepAsked: true},
		TimerFired{},
		CancelRequested{By: "ada"},
		GateAnswered{Turn: 1, Approved: true, By: "ada", Comment: "c"},
		QuestionAsked{Turn: 1, Attempt: 2, Kind: QuestionText, Text: "t", Tool: "Bash", Argument: "ls", Choices: []string{"a", "b"}, Question: 3},
		QuestionAnswered{Question: 1, Answer: "a", By: "ada", Kept: true},
		ProgressReported{Turn: 1, Attempt: 2, Text: "t", Percent: new(40)},
		ChildReported{Turn: 1, Attempt: 2, Attempts: 3, Usage: Usage{TotalTokens: 3}, Cost: 4, Unpriced: []string{"m"}, Status: TaskRunning, Starting: true},
		TaskSpawned{Turn: 1, Attempt: 2, Task: "T", Team: "t"},
		LimitReached{Turn: 1, Attempt: 2, Note: "n"},
		PauseRequested{By: "ada", Note: "n", Parent: true, Stop: true},
		ResumeRequested{By: "ada", Raise: limits, Parent: true},
		WorkspaceWaits{Task: "T", Directory: "/w", Detail: "d"},
		WorkspacePreparing{Kind: PlaceWorktree, Directory: "/w", GitBranch: "b", Repo: "/r"},
		WorkspaceReady{Kind: PlaceWorktree, Directory: "/w", Lock: LockShared, GitBranch: "b", Repo: "/r", BaseCommit: "c", Setup: "s"},
		WorkspaceFailed{Detail: "d", Fix: "f", Output: "o", Directory: "/w", GitBranch: "b", Repo: "/r", BaseCommit: "c"},
		WorkspaceRestored{Directory: "/w", Ref: "refs/r", Note: "n"},
		WorkspaceSaved{Commit: "c", Files: 1, Insertions: 2, Deletions: 3, Ref: "refs/r", Saved: "s", Uncommitted: "u", Kept: "k"},
		WorkspacePublishing{Attempt: 1, How: "h"},
		WorkspacePublished{Attempt: 1, Done: true, Detail: "d", Output: "o"},
		PublishRequested{By: "ada"},
		WorkspaceFinished{Removed: true, Detail: "d"},
	}
	var types []string
	for _, body := range bodies {
		types = append(types, body.EventType())
		wantNoZero(t, body)
		data := encode(t, Event{At: at, Body: body})
		if own, err := (Event{At: at, Body: body}).MarshalJSON(); err != nil || string(own) != data {
			t.Errorf("%s encodes itself as %s, %v, want %s", body.EventType(), own, err, data)
		}
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

// wantNoZero fails where a field of v has been forgotten.
func wantNoZero(t *testing.T, v any) {
	t.Helper()
	for field, value := range reflect.ValueOf(v).Fields() {
		if value.IsZero() {
			t.Errorf("%T.%s is not tried", v, field.Name)
		}
	}
}

func TestEffectsCodec(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Effects{
		StartTurn{Turn: 1, Node: "n", Attempt: 2, Message: "m", Reminder: true, Kind: KindCheck, Branch: 3, Label: "l"},
		AbortTurn{Turn: 1, Attempt: 2, Why: "w"},
		StopTurn{Turn: 1, Attempt: 2, Note: "n"},
		AskPerson{Question: Question{ID: 1, Turn: 2, Attempt: 3, Kind: QuestionUncertain, Text: "t", Choices: []string{"c"}, Asked: at}},
		AnswerQuestion{Question: 1, Turn: 2, Attempt: 3, Answer: "a", By: "ada", Expired: true},
		BranchEnded{Branch: 1, Label: "l", How: BranchArrived, Rule: 2, From: "n", Turn: 3, Reason: ReasonPassed, Arrived: 1, Size: 2,
			Skipped: []SkippedRule{{Rule: 1, Why: "w"}}},
		PauseTask{Pause: Pause{By: "ada", Note: "n", At: at, Parent: true}},
		Handoff{FromTurn: 1, From: "a", Reason: ReasonError, Rule: 3, Fired: 1, Max: 2, To: "a", ToTurn: 1, Retry: true, NotBefore: at,
			Branch: 1, Label: "l", Size: 3, Joined: []int{1, 2}, Note: "n", Skipped: []SkippedRule{{Rule: 1, Why: "w"}}},
		FinishTask{Result: Result{State: TaskFailed, Node: "n", Reason: ReasonError, Rule: 2, Explanation: "e", At: at,
			Output: "o", Outcome: "yes", Summary: "s", Data: map[string]any{"n": 1.5}}},
	}
	var types []string
	for _, e := range want {
		types = append(types, e.EffectType())
		wantNoZero(t, e)
	}
	slices.Sort(types)
	if known := sortedKeys(effectDecoders()); !slices.Equal(known, types) {
		t.Errorf("this test has %v, the decoders have %v", types, known)
	}
	if own, err := want.MarshalJSON(); err != nil || string(own) != encode(t, want) {
		t.Errorf("they encode themselves as %s, %v", own, err)
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
