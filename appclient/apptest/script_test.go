package apptest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseScript(t *testing.T) {
	t.Parallel()
	got, err := ParseScript("s.yaml", []byte(`
version: 1
agents:
  planner:
    repeat: last
    turns:
      - - expect: {message_contains: goal, mode: standard}
        - say: "Plan: {{ .message }}"
          chunk_delay: 5ms
        - outcome: {outcome: done, summary: fine, data: {n: 1}}
  coder:
    per: conversation
    turns:
      - - tools: [{name: Read, input: {file_path: a}}, {name: Bash, input: {command: ls}}]
        - error: {status: 429, times: 2}
        - usage: {prompt_tokens: 9}
        - delay: 200ms
        - duplicate: 2
        - unknown_frame: {type: invented}
        - unsolicited: {notification: n, say: s}
        - drop: true
      - - stop_reason: max_tokens_exceeded
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Script{Name: "s.yaml", Agents: map[string]AgentScript{
		"planner": {Repeat: RepeatLast, Turns: []Turn{{
			{Expect: &Expect{MessageContains: []string{"goal"}, Mode: "standard"}},
			{Say: "Plan: {{ .message }}", ChunkDelay: 5 * time.Millisecond},
			{Outcome: &Outcome{Outcome: "done", Summary: "fine", Data: map[string]any{"n": 1}}},
		}}},
		"coder": {PerConversation: true, Turns: []Turn{
			{
				{Tools: []Call{{"Read", map[string]any{"file_path": "a"}}, {"Bash", map[string]any{"command": "ls"}}}},
				{Error: &Failure{Status: 429, Times: 2}},
				{Usage: &Usage{PromptTokens: 9}},
				{Delay: 200 * time.Millisecond},
				{Duplicate: 2},
				{UnknownFrame: map[string]any{"type": "invented"}},
				{Unsolicited: &Unsolicited{Notification: "n", Say: "s"}},
				{Drop: true},
			},
			{{StopReason: "max_tokens_exceeded"}},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("script differs (-want +got):\n%s", diff)
	}
}

func TestParseScriptErrors(t *testing.T) {
	t.Parallel()
	turn := func(step string) string { return "version: 1\nagents:\n  a:\n    turns:\n      - - " + step + "\n" }
	for _, test := range []struct{ name, script, want string }{
		{"empty", "", "s.yaml:1:1: the script is empty"},
		{"not YAML", "version: 1\n\tx", "s.yaml:2:1: not YAML"},
		{"version", "agents: {}\n", "s.yaml:1:1: version: 1 is needed"},
		{"unknown key", "version: 1\nagent: {}\n", `s.yaml:2:1: script has no "agent"; it may have agents, version`},
		{"twice", "version: 1\nversion: 1\n", `s.yaml:2:1: script has "version" twice`},
		{"unknown step", turn("shout: x"), `s.yaml:5:11: a step has no "shout"`},
		{"two actions", turn("{say: x, hang: true}"), "s.yaml:5:11: a step does one thing, this one has say and hang"},
		{"nothing", turn("{}"), "s.yaml:5:11: a step that does nothing"},
		{"duration", turn("delay: soon"), `s.yaml:5:18: "soon" is not a duration`},
		{"type", turn("duplicate: many"), `s.yaml:5:22: "many" is not a number of copies`},
		{"template", turn(`say: "{{ .nothing }}"`), "s.yaml:5:11: render template"},
		{"tool without name", turn("tool: {input: {}}"), "s.yaml:5:11: a tool call needs a name"},
		{"outcome without name", turn("outcome: {summary: x}"), "s.yaml:5:11: an outcome needs its name"},
		{"repeat", "version: 1\nagents:\n  a: {repeat: twice, turns: []}\n", "s.yaml:3:15: repeat is last or loop"},
		{"turn is no list", "version: 1\nagents:\n  a:\n    turns:\n      - say: x\n", "s.yaml:5:9: a turn is a list"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseScript("s.yaml", []byte(test.script))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("error is %v, want it to begin with %s", err, test.want)
			}
			var where *ScriptError
			if !errors.As(err, &where) || where.Line == 0 {
				t.Errorf("error does not say where: %v", err)
			}
		})
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add([]byte("version: 1\nagents: {a: {turns: [[{say: x}]]}}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		script, err := ParseScript("f.yaml", data)
		if (script == nil) == (err == nil) {
			t.Errorf("script %v and error %v", script, err)
		}
	})
}

// scripted starts a server whose agent "a" plays turns.
func scripted(t *testing.T, agent AgentScript) (*Server, *rawClient, frame) {
	t.Helper()
	s := startServer(t, Options{Exec: true, Script: &Script{Name: "s", Agents: map[string]AgentScript{"a": agent}}})
	c := dialRaw(t, s.URL())
	return s, c, c.start(frame{"create_agent": frame{"body": frame{"name": "team/a"}}, "external_tools": []frame{{"tools": []frame{{
		"name": "report_outcome", "description": "d", "parameters": frame{"type": "object", "required": []string{"outcome"}},
	}}}}})
}

// finish plays a turn and returns its frames.
func (c *rawClient) finish(runtime frame, id, message string) []frame {
	c.t.Helper()
	c.input(runtime, id, message)
	return c.untilType("turn_finished")
}

func end(list []frame) frame { return list[len(list)-1] }

func TestScriptedTurn(t *testing.T) {
	t.Parallel()
	s, c, runtime := scripted(t, AgentScript{Turns: []Turn{{
		{Expect: &Expect{MessageContains: []string{"the goal"}}},
		{Say: "visit {{ .visit }} of {{ .agent }}: "},
		{Tool: &Call{Name: "Write", Input: map[string]any{"file_path": "{{ .cwd }}/out.txt", "content": "for {{ .message }}"}}},
		{Usage: &Usage{PromptTokens: 1000, CompletionTokens: 10}},
		{Say: "tool: {{ .tool }}"},
		{Outcome: &Outcome{Outcome: "done", Data: map[string]any{"n": 1}}},
	}}})
	c.input(runtime, "m", "the goal")
	list := c.untilType("external_tool_call_request")
	call := end(list)
	if diff := cmp.Diff(frame{"outcome": "done", "data": frame{"n": 1.0}}, call["input"]); diff != "" {
		t.Errorf("outcome differs:\n%s", diff)
	}
	c.send(frame{"type": "external_tool_call_response", "request_id": call["request_id"], "result": frame{"content": []frame{{"type": "text", "text": "ok"}}}})
	list = append(list, c.untilType("turn_finished")...)
	asked := s.Turns()
	if len(asked) != 1 || asked[0].Agent != "team/a" || asked[0].Text != "the goal" || !cmp.Equal(asked[0].ClientMessageIDs, []string{"m"}) {
		t.Errorf("turns are %+v", asked)
	}
	path := filepath.Join(asked[0].WorkingDirectory, "out.txt")
	if data, err := os.ReadFile(path); err != nil || string(data) != "for the goal" {
		t.Errorf("file is %q, %v", data, err)
	}
	if got, want := text(list), "visit 1 of team/a: tool: Successfully wrote 12 characters to "+path; got != want {
		t.Errorf("text is %q, want %q", got, want)
	}
	if end(list)["stop_reason"] != "end_turn" || s.Err() != nil {
		t.Errorf("end is %v, script error %v", end(list), s.Err())
	}
	if n := s.ModelRequests(); n != 3 {
		t.Errorf("%d model requests, want 3", n)
	}
}

func TestRepeat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		repeat Repeat
		want   string
	}{{RepeatNone, "1 2 error"}, {RepeatLast, "1 2 2"}, {RepeatLoop, "1 2 1"}} {
		t.Run(string(test.repeat), func(t *testing.T) {
			t.Parallel()
			s, c, runtime := scripted(t, AgentScript{Repeat: test.repeat, Turns: []Turn{{{Say: "1"}}, {{Say: "2"}}}})
			var got []string
			for _, id := range []string{"a", "b", "c"} {
				list := c.finish(runtime, id, "go")
				if end(list)["stop_reason"] == "error" {
					got = append(got, "error")
					continue
				}
				got = append(got, text(list))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("answers are %v, want %s", got, test.want)
			}
			if errors.Is(s.Err(), ErrNoMoreTurns) != (test.repeat == RepeatNone) {
				t.Errorf("script error is %v", s.Err())
			}
		})
	}
}

func TestPerConversation(t *testing.T) {
	t.Parallel()
	_, c, runtime := scripted(t, AgentScript{PerConversation: true, Turns: []Turn{{{Say: "first"}}}})
	other := c.start(frame{"create_agent": nil, "agent_id": runtime["agent_id"]})
	for i, rt := range []frame{runtime, other} {
		if got := text(c.finish(rt, string(rune('a'+i)), "go")); got != "first" {
			t.Errorf("conversation %d answers %q", i, got)
		}
	}
}

func TestScriptFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		step    Step
		want    string
		ends    string
		problem string
	}{
		{"expected text", Step{Expect: &Expect{MessageContains: []string{"apple"}}}, `script s: agent "a", turn 1, step 1: the message does not contain "apple"`, "error", "apple"},
		{"unwanted text", Step{Expect: &Expect{MessageLacks: []string{"go"}}}, `the message contains "go"`, "error", "go"},
		{"mode", Step{Expect: &Expect{Mode: "strict"}}, `the permission mode is "unrestricted", expected "strict"`, "error", "strict"},
		{"unregistered tool", Step{External: &Call{Name: "nobody"}}, "tool nobody: no client registered it", "end_turn", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, c, runtime := scripted(t, AgentScript{Turns: []Turn{{test.step}}})
			finished := end(c.finish(runtime, "m", "go"))
			if finished["stop_reason"] != test.ends {
				t.Errorf("stop reason is %v, want %s", finished["stop_reason"], test.ends)
			}
			if problem, _ := finished["error"].(string); !strings.Contains(problem, test.problem) {
				t.Errorf("error is %q", problem)
			}
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("script error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestModelFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		times    int
		ends     string
		requests int
	}{{"once", 1, "end_turn", 2}, {"into the next run", 4, "end_turn", 5}, {"five times", 5, "end_turn", 6}, {"for ever", 0, "llm_api_error", 16}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, c, runtime := scripted(t, AgentScript{Repeat: RepeatLast, Turns: []Turn{{{Error: &Failure{Status: 503, Times: test.times}}, {Say: "after all"}}}})
			for i := range 2 { // the second time shows that playing does not use up the script
				list := c.finish(runtime, string(rune('a'+i)), "go")
				if end(list)["stop_reason"] != test.ends {
					t.Errorf("stop reason is %v, want %s", end(list)["stop_reason"], test.ends)
				}
				if want := test.requests * (i + 1); s.ModelRequests() != want {
					t.Errorf("%d model requests, want %d", s.ModelRequests(), want)
				}
			}
		})
	}
}
