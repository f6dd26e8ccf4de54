package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// makeTools makes the tools that the agent may use of ours: report_outcome
// where it has outcomes, and those of controller_tools.
func (a *attempt) makeTools() error {
	agent := a.req.Agent
	if len(agent.Outcomes) > 0 {
		schema, err := newDataSchema(agent.Data)
		if err != nil {
			return failf("the schema of the data of agent %q: %w", agent.Name, err)
		}
		a.outcome = &outcomeReport{valid: agent.Outcomes, schema: schema}
		a.tools = append(a.tools, a.outcome.tool())
	}
	allowed := func(tool string) bool { return slices.Contains(agent.ControllerTools, tool) }
	if allowed(workflow.ToolHandoff) && len(a.req.HandoffTargets) > 0 {
		a.handoff = &handoffPick{targets: a.req.HandoffTargets}
		a.tools = append(a.tools, a.handoff.tool(a.req.Team))
	}
	if allowed(workflow.ToolUpdateProgress) {
		a.tools = append(a.tools, (&progressReports{a: a}).tool())
	}
	if allowed(workflow.ToolAskHuman) {
		a.tools = append(a.tools, (&questions{a: a}).tool())
	}
	if allowed(workflow.ToolSpawnTask) && len(a.req.SpawnTeams) > 0 {
		a.tools = append(a.tools, (&spawns{a: a, teams: a.req.SpawnTeams}).tool())
	}
	return nil
}

// allowlist are the tools that are offered; nil leaves it to the server. It
// filters our own tools too.
func (a *attempt) allowlist() []string {
	if a.req.Agent.Tools == nil || len(a.tools) == 0 {
		return a.req.Agent.Tools
	}
	list := slices.Clone(a.req.Agent.Tools)
	for _, tool := range a.tools {
		list = append(list, tool.Name)
	}
	return list
}

// during makes the handler of a tool that uses the recorder: it runs within
// the turn alone, and an error of the recorder ends the turn.
func (a *attempt) during(handle func(ctx context.Context, call appclient.ToolCall) (appclient.ToolResult, error)) func(context.Context, appclient.ToolCall) (appclient.ToolResult, error) {
	return func(ctx context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
		ctx, done, ok := a.calls.begin(ctx)
		if !ok {
			return appclient.ErrorResult("Nothing was done: the turn is over."), nil
		}
		defer done()
		result, err := handle(ctx, call)
		if err != nil && ctx.Err() == nil {
			a.breakOff(err)
		}
		return result, err
	}
}

// breakOff ends the turn because the recorder failed: nothing of it may be recorded any more.
func (a *attempt) breakOff(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken == nil {
		a.broken = err
	}
	a.stop(err)
}

// brokenBy returns the first failure of the recorder.
func (a *attempt) brokenBy() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// refusal is the result of a call that did nothing, with words that the model can mend it by.
func refusal(format string, args ...any) (appclient.ToolResult, error) {
	return appclient.ErrorResult("Nothing was recorded: " + fmt.Sprintf(format, args...)), nil
}

var errNoObject = errors.New("the arguments must be a JSON object")

// arguments are those of a call. The server checks nothing of them but that the required names are there.
type arguments map[string]json.RawMessage

func argumentsOf(call appclient.ToolCall) (arguments, error) {
	var args arguments
	if err := json.Unmarshal(call.Input, &args); err != nil || args == nil {
		return nil, errNoObject
	}
	return args, nil
}

// has says whether an argument was given.
func (a arguments) has(name string) bool {
	raw := bytes.TrimSpace(a[name])
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

// text returns an argument that is a text, trimmed; ok is false when it is none, or missing.
func (a arguments) text(name string) (string, bool) {
	var s string
	if !a.has(name) || json.Unmarshal(a[name], &s) != nil {
		return "", false
	}
	return strings.TrimSpace(s), true
}

// shown renders an argument for a message to the model.
func shown(raw json.RawMessage) string {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return "nothing"
	}
	return short(string(raw), 100)
}

// object renders the schema of a tool's parameters. properties must encode.
func object(properties map[string]any, required ...string) json.RawMessage {
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	// Maps, lists and texts always encode; data schemas come from JSON.
	data, _ := json.Marshal(schema)
	return data
}

// property is a parameter with a description.
func property(kind, description string) map[string]any {
	return map[string]any{"type": kind, "description": description}
}

// choice is a text parameter that must be one of a few.
func choice(values []string, description string) map[string]any {
	return map[string]any{"type": "string", "enum": values, "description": description}
}
