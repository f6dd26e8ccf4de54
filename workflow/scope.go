package workflow

import (
	"math"

	"github.com/expr-lang/expr/types"
)

// ended is how a turn ended, as rules and messages see it.
type ended struct {
	turn       Turn
	reason     Reason
	stopReason Reason
	output     string
	outcome    string
	summary    string
	data       any
	err        string
	// note says why the engine and not the turn gave the reason.
	note string
}

// scope returns the values that a template or a condition can name. e is nil
// before the first turn.
func scope(team *Team, s *State, e *ended) map[string]any {
	if e == nil {
		e = &ended{}
	}
	nodes := make(map[string]any, len(team.AgentNames))
	for _, name := range team.AgentNames {
		n := s.Nodes[name]
		nodes[name] = map[string]any{
			"visits": n.Visits, "reason": string(n.Reason), "output": n.Output, "outcome": n.Outcome,
			"summary": n.Summary, "data": plain(n.Data), "error": n.Error,
		}
	}
	return map[string]any{
		"input": typedInput(team, s.Input), "output": e.output, "outcome": e.outcome, "summary": e.summary, "data": plain(e.data),
		"reason": string(e.reason), "stop_reason": string(e.stopReason), "error": e.err,
		"node": e.turn.Node, "visits": s.Nodes[e.turn.Node].Visits, "attempts": e.turn.Attempt,
		"usage": map[string]any{
			"prompt_tokens": int(s.Usage.PromptTokens), "completion_tokens": int(s.Usage.CompletionTokens),
			"total_tokens": int(s.Usage.TotalTokens), "cached_input_tokens": int(s.Usage.CachedInputTokens),
			"reasoning_tokens": int(s.Usage.ReasoningTokens), "requests": int(s.Usage.Requests),
		},
		"task":  map[string]any{"id": s.Task, "team": s.Team, "workspace": s.Workspace, "turns": s.Attempts},
		"nodes": nodes,
	}
}

// scopeTypes returns the types of what scope returns, for conditions and for
// the check of templates.
func scopeTypes(team *Team) types.Map {
	input := types.Map{}
	for name, in := range team.Inputs {
		switch in.Type {
		case InputInt:
			input[name] = types.Int
		case InputNumber:
			input[name] = types.Float64
		case InputBool:
			input[name] = types.Bool
		default:
			input[name] = types.String
		}
	}
	nodes := types.Map{}
	for name := range team.Agents {
		nodes[name] = types.Map{
			"visits": types.Int, "reason": types.String, "output": types.String, "outcome": types.String,
			"summary": types.String, "data": types.Any, "error": types.String,
		}
	}
	return types.Map{
		"input": input, "output": types.String, "outcome": types.String, "summary": types.String, "data": types.Any,
		"reason": types.String, "stop_reason": types.String, "error": types.String,
		"node": types.String, "visits": types.Int, "attempts": types.Int,
		"usage": types.Map{
			"prompt_tokens": types.Int, "completion_tokens": types.Int, "total_tokens": types.Int,
			"cached_input_tokens": types.Int, "reasoning_tokens": types.Int, "requests": types.Int,
		},
		"task":  types.Map{"id": types.String, "team": types.String, "workspace": types.String, "turns": types.Int},
		"nodes": nodes,
	}
}

// typedInput gives every input the Go type that its declaration promises. A
// State that has been through JSON holds its whole numbers as float64.
func typedInput(team *Team, input map[string]any) map[string]any {
	out := make(map[string]any, len(input))
	for name, value := range input {
		out[name] = value
		number, ok := value.(float64)
		if ok && team.Inputs[name].Type == InputInt {
			out[name] = int(number)
		}
	}
	return out
}

// plain returns v, which came out of JSON, with whole numbers as int, so that
// a template prints 1000000 and not 1e+06.
func plain(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= maxExactInt {
			return int(v)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = plain(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = plain(value)
		}
		return out
	default:
		return v
	}
}
