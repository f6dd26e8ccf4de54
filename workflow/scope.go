package workflow

import (
	"math"

	"github.com/expr-lang/expr/types"
)

// ended is how a node ended, as rules and messages see it.
type ended struct {
	// turn is zero before the first turn. Of joined branches it has the branch
	// that goes on, and their nodes as its node.
	turn       Turn
	reason     Reason
	stopReason Reason
	output     string
	outputFile string
	outcome    string
	summary    string
	data       any
	err        string
	exitCode   int
	by         string
	// pick and handoff are what the agent said with the tool handoff.
	pick, handoff string
	// note says why the engine and not the turn gave the reason.
	note string
	// joined are the branches that a join has brought together, and join the
	// number of its first rule.
	joined []Arrival
	join   int
	// over says that the reason is budget_exceeded because nothing is left here,
	// inBranch that it is a branch's limit, cut that the turn itself did not come to its end.
	over, inBranch, cut bool
	// before is how the node ended before a limit gave it another reason.
	before *ended
}

// scope returns the values that a template or a condition can name. e is nil
// before the first turn.
func scope(team *Team, s *State, e *ended) map[string]any {
	if e == nil {
		e = &ended{}
	}
	in := e.turn.Branch
	nodes := make(map[string]any, len(team.NodeNames))
	for _, name := range team.NodeNames {
		n := s.node(in, name)
		nodes[name] = map[string]any{
			"visits": n.Visits, "reason": string(n.Reason), "output": n.Output, "outcome": n.Outcome,
			"summary": n.Summary, "data": plain(n.Data), "error": n.Error,
			"output_file": n.OutputFile, "exit_code": n.ExitCode, "by": n.By,
		}
	}
	values := map[string]any{
		"input": typedInput(team, s.Input), "output": e.output, "outcome": e.outcome, "summary": e.summary, "data": plain(e.data),
		"reason": string(e.reason), "stop_reason": string(e.stopReason), "error": e.err,
		"output_file": e.outputFile, "exit_code": e.exitCode, "by": e.by, "handoff": e.handoff, "target": "",
		"node": e.turn.Node, "visits": s.visits(in, e.turn.Node), "attempts": e.turn.Attempt,
		"usage": map[string]any{
			"prompt_tokens": int(s.Usage.PromptTokens), "completion_tokens": int(s.Usage.CompletionTokens),
			"total_tokens": int(s.Usage.TotalTokens), "cached_input_tokens": int(s.Usage.CachedInputTokens),
			"reasoning_tokens": int(s.Usage.ReasoningTokens), "requests": int(s.Usage.Requests),
		},
		"cost": dollars(s.Cost),
		"task": map[string]any{
			"id": s.Task, "team": s.Team, "workspace": s.Workspace, "turns": s.Attempts, "branch": s.GitBranch,
		},
		"nodes": nodes,
		"item":  nil, "index": 0, "branch": s.label(in), "branches": []any{},
	}
	// A branch within the branch of a for_each sees its element, too.
	for _, b := range s.around(in) {
		if g := s.group(b.Group); g != nil && team.rule(g.Rule).ForEach != nil {
			values["item"], values["index"] = plain(b.Item), b.Index
			break
		}
	}
	branches := make([]any, 0, len(e.joined))
	for _, a := range e.joined {
		branches = append(branches, map[string]any{
			"node": a.Node, "label": a.name(), "index": a.Index, "item": plain(a.Item), "reason": string(a.Result.Reason), "outcome": a.Result.Outcome,
			"summary": a.Result.Summary, "data": plain(a.Result.Data), "output": a.Result.Output, "error": a.Result.Error,
		})
	}
	values["branches"] = branches
	return values
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
	for _, name := range team.NodeNames {
		nodes[name] = types.Map{
			"visits": types.Int, "reason": types.String, "output": types.String, "outcome": types.String,
			"summary": types.String, "data": types.Any, "error": types.String,
			"output_file": types.String, "exit_code": types.Int, "by": types.String,
		}
	}
	return types.Map{
		"input": input, "output": types.String, "outcome": types.String, "summary": types.String, "data": types.Any,
		"reason": types.String, "stop_reason": types.String, "error": types.String,
		"output_file": types.String, "exit_code": types.Int, "by": types.String, "handoff": types.String, "target": types.String,
		"node": types.String, "visits": types.Int, "attempts": types.Int,
		"usage": types.Map{
			"prompt_tokens": types.Int, "completion_tokens": types.Int, "total_tokens": types.Int,
			"cached_input_tokens": types.Int, "reasoning_tokens": types.Int, "requests": types.Int,
		},
		"cost": types.Float64,
		"task": types.Map{
			"id": types.String, "team": types.String, "workspace": types.String, "turns": types.Int, "branch": types.String,
		},
		"nodes": nodes,
		"item":  types.Any, "index": types.Int, "branch": types.String, "branches": types.Array(types.Map{
			"node": types.String, "label": types.String, "index": types.Int, "item": types.Any, "reason": types.String, "outcome": types.String,
			"summary": types.String, "data": types.Any, "output": types.String, "error": types.String,
		}),
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
