package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxSpawnInput bounds the input of a spawned task, in bytes.
const maxSpawnInput = 64 << 10

// spawns serves spawn_task.
type spawns struct {
	a     *attempt
	teams []string

	mu   sync.Mutex
	done map[string]int // how many calls there were with an id
}

func (s *spawns) tool() appclient.Tool {
	var described []string
	for _, name := range s.teams {
		described = append(described, describeTeam(s.a.req.Team, name))
	}
	return appclient.Tool{
		Name: workflow.ToolSpawnTask, Label: "Spawn task",
		Description: "Start a task of another team. It goes its own way: you do not wait for it, and its result does not come back to you. There are:\n" +
			strings.Join(described, "\n"),
		Parameters: object(map[string]any{
			"team":  choice(s.teams, "Which team."),
			"input": property("object", "The inputs of that team, by name."),
		}, "team"),
		Handler: s.a.during(s.handle),
	}
}

// describeTeam names a team with its inputs.
func describeTeam(team *workflow.Team, name string) string {
	text := "- " + name
	node := team.Teams[name]
	if node == nil || node.Team == nil {
		return text
	}
	if node.Team.Description != "" {
		text += ": " + short(node.Team.Description, 200)
	}
	var inputs []string
	for _, input := range slices.Sorted(maps.Keys(node.Team.Inputs)) {
		declared := node.Team.Inputs[input]
		about := input
		if declared.Required {
			about += " (required)"
		}
		if declared.Description != "" {
			about += " – " + short(declared.Description, 200)
		}
		inputs = append(inputs, about)
	}
	if len(inputs) > 0 {
		text += "; inputs: " + strings.Join(inputs, ", ")
	}
	return text
}

func (s *spawns) handle(ctx context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	choices := strings.Join(s.teams, ", ")
	args, err := argumentsOf(call)
	if err != nil {
		return refusal("the arguments must be a JSON object with team (one of %s) and input.", choices)
	}
	team, ok := args.text("team")
	if !ok || !slices.Contains(s.teams, team) {
		return refusal("team must be one of %s, not %s. Call %s again.", choices, shown(args["team"]), workflow.ToolSpawnTask)
	}
	if len(args["input"]) > maxSpawnInput {
		return refusal("input is larger than %d KiB. Shorten it and call %s again.", maxSpawnInput>>10, workflow.ToolSpawnTask)
	}
	input := map[string]any{}
	if args.has("input") && json.Unmarshal(args["input"], &input) != nil {
		return refusal("input must be a JSON object, not %s. Call %s again.", shown(args["input"]), workflow.ToolSpawnTask)
	}
	task, err := s.a.rec.Spawn(ctx, s.id(call.ToolCallID), team, input)
	if refused, ok := errors.AsType[*engine.SpawnError](err); ok {
		return appclient.ErrorResult("No task was started: " + refused.Detail), nil
	}
	if err != nil {
		return appclient.ToolResult{}, err
	}
	return appclient.TextResult(fmt.Sprintf("Started task %s of the team %s.", task, team)), nil
}

// id identifies a call. Models may use the id of a call that has ended again,
// for another one, in the same attempt and in the next.
func (s *spawns) id(call string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(map[string]int)
	}
	s.done[call]++
	return fmt.Sprintf("%d/%s/%d", s.a.req.Turn.Attempt, call, s.done[call])
}
