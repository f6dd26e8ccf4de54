package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// external is a step that calls one of our tools.
func external(tool string, input map[string]any) apptest.Step {
	return apptest.Step{External: &apptest.Call{Name: tool, Input: input}}
}

// attemptFor makes an attempt whose tools can be called without a server.
func attemptFor(t *testing.T, agent *workflow.Agent, rec engine.Recorder, change func(*engine.TurnRequest)) *attempt {
	t.Helper()
	req := request("go", agent)
	if change != nil {
		change(&req)
	}
	a := newAttempt(&Runner{opts: Options{}.withDefaults()}, req, rec)
	a.watch = &progress{show: rec.Progress}
	ctx, cancel := context.WithCancelCause(t.Context())
	a.stop = cancel
	a.calls.open(ctx)
	t.Cleanup(a.calls.close)
	if err := a.makeTools(); err != nil {
		t.Fatal(err)
	}
	return a
}

// call calls a tool of the attempt and returns the text of its result, with "error: " before a failure.
func (a *attempt) call(t *testing.T, tool, id, input string) string {
	t.Helper()
	i := slices.IndexFunc(a.tools, func(t appclient.Tool) bool { return t.Name == tool })
	if i < 0 {
		t.Fatalf("there is no tool %s", tool)
	}
	got, err := a.tools[i].Handler(t.Context(), appclient.ToolCall{ToolCallID: id, Name: tool, Input: json.RawMessage(input)})
	switch {
	case err != nil:
		return "failed: " + err.Error()
	case got.IsError:
		return "error: " + got.Content[0].Text
	}
	return got.Content[0].Text
}

const itemsSchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["items"],
	"properties":{"items":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/item"}}},
	"$defs":{"item":{"type":"object","required":["file"],"properties":{"file":{"type":"string"},"line":{"type":"integer"}},"additionalProperties":false}}}`

func schemaOf(t *testing.T, text string) any {
	t.Helper()
	var schema any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestDataIsCheckedByItsSchema(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{
		{Outcome: &apptest.Outcome{Outcome: "planned", Summary: "s", Data: map[string]any{"items": []any{map[string]any{"line": "x"}, "y"}}}},
		{Expect: &apptest.Expect{}, Outcome: &apptest.Outcome{Outcome: "planned", Summary: "s", Data: map[string]any{"items": []any{map[string]any{"file": "a.go", "line": 3}}}}},
		{Say: "done"},
	}), nil)
	agent := &workflow.Agent{Prompt: "x", Outcomes: []string{"planned"}, Data: schemaOf(t, itemsSchema)}
	got := w.run(t, request("plan", agent), &recorder{})
	want := map[string]any{"items": []any{map[string]any{"file": "a.go", "line": 3.0}}}
	if got.Outcome != "planned" || fmt.Sprint(got.Data) != fmt.Sprint(want) {
		t.Errorf("finished = %+v, want the data %v", got, want)
	}
}

func TestDataMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema, call string
		want         []string // parts of the answer; "Recorded" for one that is taken
	}{
		"good":    {itemsSchema, `{"outcome":"ok","summary":"s","data":{"items":[{"file":"a"}]}}`, []string{"Recorded the outcome"}},
		"missing": {itemsSchema, `{"outcome":"ok","summary":"s"}`, []string{"error: Nothing was recorded", "data: it is missing", "report_outcome again"}},
		"null":    {itemsSchema, `{"outcome":"ok","summary":"s","data":null}`, []string{"data: it is missing"}},
		"several": {itemsSchema, `{"outcome":"ok","summary":"s","data":{"items":[{"file":"a"},{"file":7,"extra":1},{}]}}`,
			[]string{"data.items[1].file: got number, want string", "data.items[1]: additional properties 'extra' not allowed", "data.items[2]: missing property 'file'"}},
		"no object":           {itemsSchema, `{"outcome":"ok","summary":"s","data":"text"}`, []string{`data must be a JSON object, not "text"`}},
		"no schema, no data":  {"", `{"outcome":"ok","summary":"s"}`, []string{"Recorded the outcome"}},
		"no schema, any":      {"", `{"outcome":"ok","summary":"s","data":{"a":[1]}}`, []string{"Recorded the outcome"}},
		"optional":            {`{"type":["object","null"]}`, `{"outcome":"ok","summary":"s"}`, []string{"Recorded the outcome"}},
		"large number":        {`{"properties":{"n":{"type":"integer","maximum":9007199254740992}}}`, `{"outcome":"ok","summary":"s","data":{"n":9007199254740993}}`, []string{"data.n: maximum: got"}},
		"too large":           {itemsSchema, `{"outcome":"ok","summary":"s","data":{"items":[{"file":"` + strings.Repeat("x", maxData) + `"}]}}`, []string{"data is larger than 64 KiB"}},
		"unknown outcome":     {itemsSchema, `{"outcome":"no","summary":"s","data":{"items":[{"file":"a"}]}}`, []string{`outcome must be one of ok, not "no"`}},
		"empty summary":       {"", `{"outcome":"ok","summary":" "}`, []string{"summary must be a text"}},
		"arguments no object": {"", `[1]`, []string{"the arguments must be a JSON object with outcome (one of ok)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := &workflow.Agent{Outcomes: []string{"ok"}}
			if test.schema != "" {
				agent.Data = schemaOf(t, test.schema)
			}
			a := attemptFor(t, agent, &recorder{}, nil)
			got := a.call(t, outcomeTool, "c1", test.call)
			for _, part := range test.want {
				if !strings.Contains(got, part) {
					t.Errorf("answer:\n%s\nlacks %q", got, part)
				}
			}
			recorded := strings.Contains(got, "Recorded")
			if finished := a.reported(workflow.TurnFinished{}); (finished.Outcome == "ok") != recorded {
				t.Errorf("outcome %q", finished.Outcome)
			}
		})
	}
}

func TestManyMistakesAreCut(t *testing.T) {
	t.Parallel()
	schema, err := newDataSchema(schemaOf(t, `{"items":{"type":"string"},"additionalProperties":{"type":"string"}}`))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]int{}
	for i := range 40 {
		data[fmt.Sprint("k", i)] = i
	}
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(schema.check(raw), "\n"); len(lines) != maxDataErrors+1 || lines[maxDataErrors] != "- …" {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

func TestSchemaIsShownToTheModel(t *testing.T) {
	t.Parallel()
	a := attemptFor(t, &workflow.Agent{Outcomes: []string{"ok"}, Data: schemaOf(t, itemsSchema)}, &recorder{}, nil)
	var parameters struct {
		Required   []string                   `json:"required"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(a.tools[0].Parameters, &parameters); err != nil {
		t.Fatal(err)
	}
	data := string(parameters.Properties["data"])
	if !slices.Equal(parameters.Required, []string{"outcome", "summary", "data"}) || !strings.Contains(data, `"$ref":"#/properties/data/$defs/item"`) || strings.Contains(data, "$schema") {
		t.Errorf("required %q, data %s", parameters.Required, data)
	}
	// The parameters are a schema of their own.
	if _, err := newDataSchema(schemaOf(t, string(a.tools[0].Parameters))); err != nil {
		t.Error(err)
	}
}

func TestRemoteReferenceIsRefused(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"https://example.invalid/x.json", "file:///etc/passwd", "other.json"} {
		a := newAttempt(&Runner{}, request("x", &workflow.Agent{Outcomes: []string{"ok"}, Data: map[string]any{"$ref": ref}}), &recorder{})
		if err := a.makeTools(); err == nil || !strings.Contains(err.Error(), "only references within it") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestHandoff(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{
		external("handoff", map[string]any{"to": "nobody"}), {Say: "{{.tool}}"},
		external("handoff", map[string]any{"to": "security", "message": "look at auth"}),
		external("handoff", map[string]any{"to": "merge", "message": "  ship it "}),
		{Say: "over to you"},
	}), nil)
	req := request("go", &workflow.Agent{Prompt: "x", Tools: []string{"Read"}, ControllerTools: []string{workflow.ToolHandoff}})
	req.Team.Gates = map[string]*workflow.Gate{"merge": {Name: "merge"}}
	req.HandoffTargets = []string{"security", "merge", "failed"}
	got := w.run(t, req, &recorder{})
	if got.Handoff != "merge" || got.HandoffMessage != "ship it" || got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
	a := attemptFor(t, req.Agent, &recorder{}, func(r *engine.TurnRequest) { *r = req })
	for _, part := range []string{"security, merge (a person decides), failed (ends the work as failed)"} {
		if !strings.Contains(a.tools[0].Description, part) {
			t.Errorf("description %q lacks %q", a.tools[0].Description, part)
		}
	}
	for input, want := range map[string]string{
		`{"to":"x"}`:                    `error: Nothing was recorded: to must be one of security, merge, failed, not "x". Call handoff again.`,
		`{}`:                            "not nothing",
		`3`:                             "the arguments must be a JSON object with to",
		`{"to":"merge","message":7}`:    "message must be a text",
		`{"to":"merge","message":null}`: "merge goes on after this turn",
		`{"to":"merge","message":"` + strings.Repeat("x", maxHandoffMessage+1) + `"}`: "longer than 64 KiB",
	} {
		if got := a.call(t, workflow.ToolHandoff, "c", input); !strings.Contains(got, want) {
			t.Errorf("%.60s: %q, want %q", input, got, want)
		}
	}
}

func TestToolsAreOfferedAsTheTeamAllows(t *testing.T) {
	t.Parallel()
	all := []string{workflow.ToolHandoff, workflow.ToolUpdateProgress, workflow.ToolAskHuman, workflow.ToolSpawnTask}
	for name, test := range map[string]struct {
		agent  workflow.Agent
		change func(*engine.TurnRequest)
		want   []string // offered
		allow  []string // the allowlist
	}{
		"none":              {workflow.Agent{}, nil, nil, nil},
		"none, no tools":    {workflow.Agent{Tools: []string{}}, nil, nil, []string{}},
		"outcomes":          {workflow.Agent{Outcomes: []string{"ok"}, Tools: []string{}}, nil, []string{"report_outcome"}, []string{"report_outcome"}},
		"nowhere to go":     {workflow.Agent{ControllerTools: all}, nil, []string{"update_progress", "ask_human"}, nil},
		"targets, no right": {workflow.Agent{}, func(r *engine.TurnRequest) { r.HandoffTargets = []string{"a"}; r.SpawnTeams = []string{"b"} }, nil, nil},
		"all": {workflow.Agent{ControllerTools: all, Outcomes: []string{"ok"}, Tools: []string{"Read"}},
			func(r *engine.TurnRequest) { r.HandoffTargets = []string{"a"}; r.SpawnTeams = []string{"b"} },
			[]string{"report_outcome", "handoff", "update_progress", "ask_human", "spawn_task"},
			[]string{"Read", "report_outcome", "handoff", "update_progress", "ask_human", "spawn_task"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := attemptFor(t, &test.agent, &recorder{}, test.change)
			var offered []string
			for _, tool := range a.tools {
				offered = append(offered, tool.Name)
				if slices.Contains(serverTools(), tool.Name) {
					t.Errorf("the App Server has a tool %s of its own", tool.Name)
				}
				if _, err := newDataSchema(schemaOf(t, string(tool.Parameters))); err != nil {
					t.Errorf("%s: %v", tool.Name, err)
				}
			}
			if !slices.Equal(offered, test.want) {
				t.Errorf("offered %q, want %q", offered, test.want)
			}
			if list := a.allowlist(); !slices.Equal(list, test.allow) || (list == nil) != (test.allow == nil) {
				t.Errorf("allowlist %q, want %q", list, test.allow)
			}
		})
	}
}

// serverTools are the App Server's own, which ours must not be named like.
func serverTools() []string {
	return []string{
		"AskUserQuestion", "Bash", "Monitor", "TaskOutput", "EnterWorktree", "ExitWorktree", "SetWorkingDirectory", "Edit", "TaskStop",
		"memory", "Read", "Skill", "Agent", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "Write", "Grep", "Glob", "LS",
		"launch_subagent", "monitor_stop", "shell", "shell_command", "exec_command", "update_plan", "apply_patch", "view_image",
	}
}

func TestProgressReports(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{
		external("update_progress", map[string]any{"text": " half ", "percent": 49.6}),
		external("update_progress", map[string]any{"text": "more"}),
		{Say: "done"},
	}), nil)
	rec := &recorder{}
	agent := &workflow.Agent{Prompt: "x", ControllerTools: []string{workflow.ToolUpdateProgress}}
	w.run(t, request("go", agent), rec)
	if want := []string{"half (50%)", "more"}; !slices.Equal(rec.reported, want) {
		t.Errorf("reported %q, want %q", rec.reported, want)
	}

	rec = &recorder{}
	a := attemptFor(t, agent, rec, nil)
	for _, input := range []string{`{}`, `{"text":""}`, `{"text":7}`, `{"text":"x","percent":101}`, `{"text":"x","percent":-1}`, `{"text":"x","percent":"half"}`, `"x"`, `{"text":"` + strings.Repeat("é", maxReportText+1) + `"}`} {
		if got := a.call(t, workflow.ToolUpdateProgress, "c", input); !strings.HasPrefix(got, "error: Nothing was recorded") {
			t.Errorf("%.40s: %q", input, got)
		}
	}
	for range maxReports {
		if got := a.call(t, workflow.ToolUpdateProgress, "c", `{"text":"x","percent":null}`); got != "Recorded." {
			t.Fatal(got)
		}
	}
	if got := a.call(t, workflow.ToolUpdateProgress, "c", `{"text":"x"}`); !strings.Contains(got, "100 times") || len(rec.reported) != maxReports {
		t.Errorf("%q, %d recorded", got, len(rec.reported))
	}
}

// A store that fails ends the turn, and the failure is what Run returns.
func TestRecorderFailureInAToolEndsTheTurn(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{external("update_progress", map[string]any{"text": "x"}), {Hang: true}}), nil)
	broken := errors.New("the disk is full")
	req := request("go", &workflow.Agent{Prompt: "x", ControllerTools: []string{workflow.ToolUpdateProgress}})
	req.Workspace = w.dir
	if _, err := w.runner.Run(t.Context(), req, &recorder{failReport: broken}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestSpawn(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{
		external("spawn_task", map[string]any{"team": "fix", "input": map[string]any{"goal": "x"}}),
		{Say: "{{.tool}}"},
	}), nil)
	var got []string
	rec := &recorder{spawn: func(_, team string, input map[string]any) (string, error) {
		got = append(got, fmt.Sprint(team, input))
		return "T9", nil
	}}
	req := request("go", &workflow.Agent{Prompt: "x", ControllerTools: []string{workflow.ToolSpawnTask}})
	req.SpawnTeams = []string{"fix"}
	req.Team.Teams = map[string]*workflow.SubTeam{"fix": {Team: &workflow.Team{
		Description: "Mends things.",
		Inputs:      map[string]workflow.Input{"goal": {Required: true, Description: "What to mend"}, "depth": {}},
	}}}
	finished := w.run(t, req, rec)
	if want := []string{"fixmap[goal:x]"}; !slices.Equal(got, want) || !strings.Contains(finished.Output, "Started task T9 of the team fix.") {
		t.Errorf("spawned %q, output %q", got, finished.Output)
	}

	var ids []string
	rec = &recorder{spawn: func(id, _ string, input map[string]any) (string, error) {
		ids = append(ids, id)
		if input["goal"] == nil {
			return "", fmt.Errorf("spawn: %w", &engine.SpawnError{Detail: "goal is missing"})
		}
		return "T" + id, nil
	}}
	a := attemptFor(t, req.Agent, rec, func(r *engine.TurnRequest) { *r = req })
	if d := a.tools[0].Description; !strings.Contains(d, "- fix: Mends things.; inputs: depth, goal (required) – What to mend") {
		t.Errorf("description %q", d)
	}
	for input, want := range map[string]string{
		`{"team":"fix"}`:             "error: No task was started: goal is missing",
		`{"team":"other"}`:           `error: Nothing was recorded: team must be one of fix, not "other". Call spawn_task again.`,
		`{"team":"fix","input":[1]}`: "input must be a JSON object",
		`7`:                          "the arguments must be a JSON object",
		`{"team":"fix","input":{"goal":"` + strings.Repeat("x", maxSpawnInput) + `"}}`: "larger than 64 KiB",
	} {
		if got := a.call(t, workflow.ToolSpawnTask, "c", input); !strings.Contains(got, want) {
			t.Errorf("%.40s: %q, want %q", input, got, want)
		}
	}
	ids = nil
	for _, id := range []string{"c1", "c1", "c2"} { // models use ids again
		a.call(t, workflow.ToolSpawnTask, id, `{"team":"fix","input":{"goal":"x"}}`)
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 3 {
		t.Errorf("ids %q are not all different", ids)
	}
}
