package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestConclude(t *testing.T) {
	ended := func(reason appclient.StopReason, text, failure string) *appclient.TurnResult {
		return &appclient.TurnResult{
			StopReason: reason, Text: text, Error: failure, RunID: "run-1", TurnID: "batch-1", ToolCalls: make([]appclient.ToolUse, 2),
			Usage: appclient.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3, CachedInputTokens: 4, ReasoningTokens: 5, Requests: 6},
		}
	}
	for _, tc := range []struct {
		name   string
		result *appclient.TurnResult
		err    error
		reason workflow.Reason
		text   string // part of Error; "" means that there is none
		lost   bool
	}{
		{"end_turn", ended("end_turn", "x", ""), nil, workflow.ReasonEndTurn, "", false},
		{"model", ended("llm_api_error", "", "500"), nil, workflow.ReasonLLMAPIError, "500", false},
		{"length", ended("max_tokens_exceeded", "x", "cut"), nil, workflow.ReasonMaxTokensExceeded, "cut", false},
		{"cancelled by somebody else", ended("cancelled", "", ""), nil, workflow.ReasonCancelled, "", false},
		{"a reason of tomorrow", ended("brand_new", "", ""), nil, "brand_new", "", false},
		{"timeout", ended("cancelled", "x", ""), fmt.Errorf("turn aborted: %w", errTurnTimeout), workflow.ReasonTurnTimeout, "after 5m0s (turn_timeout)", false},
		{"timeout at the very end", ended("end_turn", "x", ""), fmt.Errorf("turn aborted: %w", errTurnTimeout), workflow.ReasonEndTurn, "", false},
		{"timeout, not ended", ended("", "x", ""), fmt.Errorf("%w: because of %w", appclient.ErrAbortTimeout, errTurnTimeout), workflow.ReasonTurnTimeout, "is given up", true},
		{"stall", ended("cancelled", "x", ""), fmt.Errorf("turn aborted: %w", appclient.ErrStalled), workflow.ReasonStalled, "for 1m0s (stall_timeout)", false},
		{"stall, not ended", nil, fmt.Errorf("%w: because of %w", appclient.ErrAbortTimeout, appclient.ErrStalled), workflow.ReasonStalled, "is given up", true},
		{"no sign of life", nil, appclient.ErrNoSignOfLife, workflow.ReasonStalled, "sign of life", false},
		{"busy", nil, appclient.ErrConversationBusy, workflow.ReasonError, "busy", true},
		{"rejected", nil, appclient.ErrInputRejected, workflow.ReasonError, "rejected", false},
		{"discarded", nil, appclient.ErrInputDiscarded, workflow.ReasonError, "discarded", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := conclude(tc.result, tc.err, 5*time.Minute, time.Minute)
			if got.Reason != tc.reason || got.ConversationLost != tc.lost || !strings.Contains(got.Error, tc.text) || (tc.text == "") != (got.Error == "") {
				t.Errorf("%+v", got)
			}
			if tc.result == nil {
				return
			}
			want := workflow.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3, CachedInputTokens: 4, ReasoningTokens: 5, Requests: 6}
			if got.Usage != want || got.Output != tc.result.Text || got.ToolCalls != 2 || got.RunID != "run-1" || got.TurnID != "batch-1" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestReportOutcome(t *testing.T) {
	for _, tc := range []struct {
		name    string
		input   string
		refused string // part of the answer
		want    workflow.TurnFinished
	}{
		{"whole", `{"outcome":"approve","summary":" fine ","data":{"a":1}}`, "", workflow.TurnFinished{Outcome: "approve", Summary: "fine", Data: map[string]any{"a": 1.0}}},
		{"without data", `{"outcome":"approve","summary":"fine"}`, "", workflow.TurnFinished{Outcome: "approve", Summary: "fine"}},
		{"null data", `{"outcome":"approve","summary":"fine","data":null}`, "", workflow.TurnFinished{Outcome: "approve", Summary: "fine"}},
		{"more than asked", `{"outcome":"approve","summary":"fine","x":1}`, "", workflow.TurnFinished{Outcome: "approve", Summary: "fine"}},
		{"unknown", `{"outcome":"aprove","summary":"fine"}`, `outcome must be one of approve, request_changes, not "aprove"`, workflow.TurnFinished{}},
		{"no outcome", `{"summary":"fine"}`, "one of approve, request_changes, not nothing", workflow.TurnFinished{}},
		{"outcome of another type", `{"outcome":["approve"],"summary":"fine"}`, `not ["approve"]`, workflow.TurnFinished{}},
		{"no summary", `{"outcome":"approve"}`, "summary must be a text", workflow.TurnFinished{}},
		{"empty summary", `{"outcome":"approve","summary":" "}`, "summary must be a text", workflow.TurnFinished{}},
		{"data of another type", `{"outcome":"approve","summary":"x","data":[1]}`, "data must be a JSON object", workflow.TurnFinished{}},
		{"too much data", `{"outcome":"approve","summary":"x","data":{"a":"` + strings.Repeat("x", maxData) + `"}}`, "larger than 64 KiB", workflow.TurnFinished{}},
		{"no object", `[]`, "must be a JSON object", workflow.TurnFinished{}},
		{"nothing", ``, "must be a JSON object", workflow.TurnFinished{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &outcomeReport{valid: []string{"approve", "request_changes"}}
			result, err := o.tool().Handler(t.Context(), appclient.ToolCall{Input: json.RawMessage(tc.input)})
			if err != nil {
				t.Fatal(err)
			}
			if result.IsError != (tc.refused != "") || len(result.Content) != 1 || !strings.Contains(result.Content[0].Text, tc.refused) {
				t.Errorf("result = %+v", result)
			}
			var got workflow.TurnFinished
			o.report(&got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheLastValidReportCounts(t *testing.T) {
	o := &outcomeReport{valid: []string{"a", "b"}}
	for _, input := range []string{`{"outcome":"a","summary":"1","data":{"x":1}}`, `{"outcome":"b","summary":"2"}`, `{"outcome":"c","summary":"3"}`} {
		if _, err := o.handle(t.Context(), appclient.ToolCall{Input: json.RawMessage(input)}); err != nil {
			t.Fatal(err)
		}
	}
	got := workflow.TurnFinished{Reason: workflow.ReasonEndTurn}
	o.report(&got)
	if got.Outcome != "b" || got.Summary != "2" || got.Data != nil || got.Output != "2" {
		t.Errorf("%+v", got)
	}
	(*outcomeReport)(nil).report(&got) // an agent without outcomes
	schema := struct {
		Properties struct {
			Outcome struct{ Enum []string }
		}
	}{}
	if err := json.Unmarshal(o.tool().Parameters, &schema); err != nil || !slices.Equal(schema.Properties.Outcome.Enum, o.valid) {
		t.Errorf("schema: %+v, %v", schema, err)
	}
}

func TestDefine(t *testing.T) {
	library, err := roles.Load("")
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Server: FixedServer("ws://127.0.0.1:1"), Roles: library})
	defer func() { _ = r.Close() }()
	team := &workflow.Team{Name: "team"}
	define := func(a workflow.Agent) definition {
		t.Helper()
		a.Name = "agent"
		d, err := r.define(team, &a)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	whole := define(workflow.Agent{Role: "reviewer", Instructions: "Be brief.", Outcomes: []string{"yes", "no"}, Model: "m"})
	role, _ := library.Role("reviewer")
	if !strings.HasPrefix(whole.system, role.Prompt+"\n\nBe brief.\n\n## Outcome") || !strings.HasSuffix(whole.system, "does nothing.") || !strings.Contains(whole.system, "yes, no") {
		t.Errorf("system = %s", whole.system)
	}
	if d := define(workflow.Agent{Prompt: " Own. "}); d.system != "Own." {
		t.Errorf("system = %q", d.system)
	}
	revisions := map[string]bool{}
	for _, a := range []workflow.Agent{{Prompt: "a"}, {Prompt: "b"}, {Prompt: "a", Model: "m"}, {Prompt: "a", Instructions: "i"}, {Prompt: "a", Outcomes: []string{"o"}}} {
		revisions[define(a).revision()] = true
	}
	if len(revisions) != 5 {
		t.Errorf("%d revisions of 5 definitions", len(revisions))
	}
	if define(workflow.Agent{Prompt: "a", Tools: []string{"Bash"}}).revision() != define(workflow.Agent{Prompt: "a"}).revision() {
		t.Error("tools belong to a turn, not to the agent")
	}
	tags := whole.tagsWith([]string{"git-memory-enabled", "mine", tagOurs, tagTeam + "team", tagRevision + "old", tagMemory})
	want := []string{tagOurs, tagTeam + "team", tagAgent + "agent", tagRevision + whole.revision(), "git-memory-enabled", "mine"}
	if !slices.Equal(tags, want) {
		t.Errorf("tags = %q, want %q", tags, want)
	}
	_, err = r.define(team, &workflow.Agent{Name: "agent", Role: "reviwer"})
	if unknown := (*roles.UnknownRoleError)(nil); !errors.As(err, &unknown) || !strings.Contains(err.Error(), `did you mean "reviewer"?`) {
		t.Errorf("error = %v", err)
	}
}

func TestIdentityMatches(t *testing.T) {
	plain, memory := identity{"t", "a", false}, identity{"t", "a", true}
	for _, tc := range []struct {
		tags          []string
		plain, memory bool
	}{
		{plain.tags(), true, false},
		{memory.tags(), false, true},
		{append(plain.tags(), "other"), true, false},
		{plain.tags()[:2], false, false},
		{identity{"t", "b", false}.tags(), false, false},
		{nil, false, false},
	} {
		a := appclient.Agent{Tags: tc.tags}
		if plain.matches(a) != tc.plain || memory.matches(a) != tc.memory {
			t.Errorf("%q: plain %v, memory %v", tc.tags, plain.matches(a), memory.matches(a))
		}
	}
}

func TestArgument(t *testing.T) {
	for want, u := range map[string]toolUse{
		"cmd/root.go":   use(t, "Edit", map[string]any{"file_path": "/srv/repo/cmd/root.go", "old_string": "x"}),
		"/etc/x":        use(t, "Read", map[string]any{"file_path": "/etc/x"}),
		"go test ./...": use(t, "Bash", map[string]any{"command": "go test ./...", "description": "Run"}),
		`{"x":1}`:       use(t, "Other", map[string]any{"x": 1}),
		"":              use(t, "Other", nil),
		"not json":      {name: "Other", input: json.RawMessage("not json ")},
	} {
		if got := u.argument(); got != want {
			t.Errorf("argument of %s %s = %q, want %q", u.name, u.input, got, want)
		}
	}
	if got := short("a\n b\t"+strings.Repeat("ä", 300), 10); got != "a b ääääa"[:4]+"äääää…" && len([]rune(got)) != 10 {
		t.Errorf("short = %q", got)
	}
}

func TestWorthAnotherTry(t *testing.T) {
	refused := func(text string) error {
		return fmt.Errorf("start: %w", &appclient.RuntimeStartError{CommandError: appclient.CommandError{Command: "runtime_start", Message: text}})
	}
	for err, want := range map[error]bool{
		refused("Command failed: git commit"):        true,
		refused("Agent x not found"):                 false,
		appclient.ErrConnectionLost:                  true,
		appclient.ErrRequestTimeout:                  true,
		&appclient.MismatchError{Field: "cwd"}:       false,
		&appclient.ValidationError{Field: "payload"}: false,
	} {
		if got := worthAnotherTry(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestOutOfTouch(t *testing.T) {
	over := &appclient.TurnResult{StopReason: appclient.StopEndTurn}
	cut := &appclient.TurnResult{Text: "half"}
	for name, tc := range map[string]struct {
		result *appclient.TurnResult
		err    error
		want   bool
	}{
		"no error":                  {result: over},
		"connection":                {cut, fmt.Errorf("%w: close code 1006", appclient.ErrConnectionLost), true},
		"no acknowledgement":        {nil, fmt.Errorf("input: %w", appclient.ErrRequestTimeout), true},
		"closed by us":              {nil, appclient.ErrClosed, errors.Is(appclient.ErrClosed, appclient.ErrConnectionLost)},
		"lost at the moment of end": {over, appclient.ErrConnectionLost, false},
		"rejected":                  {nil, appclient.ErrInputRejected, false},
		"stalled and not ended":     {cut, fmt.Errorf("%w: %w", appclient.ErrAbortTimeout, appclient.ErrStalled), false},
	} {
		if got := outOfTouch(tc.result, tc.err); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestClassify(t *testing.T) {
	user := appclient.Message{Type: appclient.DeltaUser, OTID: "retry copy"}
	says := func(s string) appclient.Message { return appclient.Message{Type: appclient.DeltaAssistant, Text: s} }
	calls := func(id string) appclient.Message {
		return appclient.Message{Type: appclient.DeltaApprovalRequest, ToolCalls: []appclient.ToolCallRequest{{ID: id, Name: "Bash"}}}
	}
	returns := func(id string) appclient.Message {
		return appclient.Message{Type: appclient.DeltaToolReturn, ToolCallID: id}
	}
	notice := appclient.Message{Type: appclient.DeltaUser, Text: "<task-notification>done</task-notification>"}
	sent := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		after   []appclient.Message
		c       consumption
		started time.Time // of the server
		end     seenEnd
		want    workflow.Finding
		output  string
	}{
		"not consumed":                      {c: notConsumed, want: workflow.FindingNotConsumed},
		"cannot tell":                       {c: cannotTell, want: workflow.FindingUnknown},
		"nothing followed":                  {started: sent.Add(1), want: workflow.FindingInterrupted},
		"whole answer after a restart":      {after: []appclient.Message{says("a"), says("b")}, started: sent.Add(1), want: workflow.FindingFinished, output: "ab"},
		"answer on a server that lives on":  {after: []appclient.Message{says("a")}, started: sent.Add(-1), want: workflow.FindingInterrupted},
		"answer on a server of unknown age": {after: []appclient.Message{says("a")}, want: workflow.FindingInterrupted},
		"aborted by us":                     {after: []appclient.Message{says("a")}, started: sent.Add(1), end: seenEnd{aborted: true}, want: workflow.FindingInterrupted},
		"seen to end":                       {after: []appclient.Message{says("a")}, end: seenEnd{result: &appclient.TurnResult{StopReason: appclient.StopEndTurn}}, want: workflow.FindingFinished, output: "a"},
		"seen to be cancelled":              {after: []appclient.Message{says("a")}, end: seenEnd{result: &appclient.TurnResult{StopReason: appclient.StopCancelled}}, want: workflow.FindingInterrupted},
		"an unsolicited turn after it":      {after: []appclient.Message{says("a"), notice, says("b")}, started: sent.Add(1), want: workflow.FindingFinished, output: "a"},
		"tool without result":               {after: []appclient.Message{says("a"), calls("1")}, started: sent.Add(1), want: workflow.FindingInterrupted},
		"tool with result, no answer":       {after: []appclient.Message{calls("1"), returns("1")}, started: sent.Add(1), want: workflow.FindingInterrupted},
		"only the last step is the answer":  {after: []appclient.Message{says("comment"), calls("1"), returns("1"), says("answer")}, started: sent.Add(1), want: workflow.FindingFinished, output: "answer"},
		"the model was asked again":         {after: []appclient.Message{says("half"), user, says("whole")}, started: sent.Add(1), want: workflow.FindingFinished, output: "whole"},
		"asked again and cut":               {after: []appclient.Message{says("half"), user}, started: sent.Add(1), want: workflow.FindingInterrupted},
		"reasoning last":                    {after: []appclient.Message{{Type: appclient.DeltaReasoning}}, started: sent.Add(1), want: workflow.FindingInterrupted},
		"open call before the answer":       {after: []appclient.Message{calls("1"), calls("2"), returns("2"), says("x")}, started: sent.Add(1), want: workflow.FindingInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Runner{opts: Options{Server: agedServer{FixedServer("x"), tc.started}}}
			req := request("", nil)
			req.Turn.Started = sent
			finding, output, detail := r.classify(req, tc.after, tc.c, tc.end)
			if finding != tc.want || output != tc.output || detail == "" {
				t.Errorf("%s, %q, %q; want %s, %q", finding, output, detail, tc.want, tc.output)
			}
		})
	}
	if (&Runner{opts: Options{Server: FixedServer("x")}}).restartedSince(sent) {
		t.Error("a server that does not tell its age counts as restarted")
	}
}

type agedServer struct {
	Server
	started time.Time
}

func (s agedServer) Started() time.Time { return s.started }

func TestEveryKnownDeltaIsKnown(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range knownDeltas() {
		if seen[kind] {
			t.Errorf("%s is there twice", kind)
		}
		seen[kind] = true
	}
	if len(slices.Collect(maps.Keys(seen))) < 18 {
		t.Error("some kinds are missing")
	}
}
