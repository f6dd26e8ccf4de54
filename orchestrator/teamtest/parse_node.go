package teamtest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// node is the node of a team that a script is for.
type node struct {
	team *workflow.Team
	name string
	kind workflow.NodeKind
}

// nodeScript reads how a node ends: one ending, a list of endings, or a mapping
// with endings, repeat, optional and branches.
func (p *parser) nodeScript(n *yaml.Node, of *node, branches bool) *NodeScript {
	s := &NodeScript{Pos: position(n)}
	endings := func(n *yaml.Node) {
		for _, item := range p.whole(p.List(n)) {
			if e, ok := p.ending(item, of); ok {
				s.Endings = append(s.Endings, e)
			}
		}
	}
	if !isScript(n) {
		endings(n)
		if len(s.Endings) == 0 && n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
			p.Problem(n, "write how it ends, for example:  "+of.name+": "+of.reasons()[0], "%q has no ending", of.name)
		}
		return s
	}
	read := reads{
		"endings": endings,
		"repeat": func(n *yaml.Node) {
			if text, ok := p.Choice(n, "repeat", []string{string(RepeatLast), string(RepeatLoop)}); ok {
				s.Repeat = Repeat(text)
			}
		},
	}
	read["optional"] = func(n *yaml.Node) { s.Optional = p.Bool(n, "optional") }
	if branches {
		read["branches"] = func(n *yaml.Node) {
			p.Entries(n, "branches", func(key, value *yaml.Node) {
				s.Branches = append(s.Branches, BranchScript{Key: key.Value, Script: p.nodeScript(value, of, false)})
			})
		}
	}
	p.Fields(n, "the script of "+of.name, read)
	if s.Repeat != RepeatNone && len(s.Endings) == 0 {
		p.Problem(n, "add:  endings: [...]", "%q has nothing to repeat", of.name)
	}
	return s
}

// whole reports endings that YAML has cut at a comma within their quotes, as it
// does in a list in brackets, and leaves out the pieces.
func (p *parser) whole(items []*yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	cut := false
	for _, item := range items {
		odd := item.Kind == yaml.ScalarNode && item.Style == 0 && strings.Count(item.Value, `"`)%2 == 1
		switch {
		case cut:
			cut = !odd
		case odd && len(items) > 1:
			cut = true
			p.Problem(item, "write the list with a dash for each, or put the whole ending in single quotes", "in a list in brackets YAML ends an ending at a comma, also within double quotes")
		default:
			out = append(out, item)
		}
	}
	return out
}

// isScript tells the mapping of a script from the mapping of one ending.
func isScript(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		if slices.Contains([]string{"endings", "repeat", "branches"}, n.Content[i].Value) {
			return true
		}
	}
	return false
}

// reasons lists what a scenario can say of how the node ends.
func (of *node) reasons() []string {
	var out []string
	reason := func(rs ...workflow.Reason) {
		for _, r := range rs {
			if !slices.Contains(out, string(r)) {
				out = append(out, string(r))
			}
		}
	}
	switch of.kind {
	case workflow.KindGate:
		reason(workflow.ReasonApproved, workflow.ReasonRejected, workflow.ReasonExpired, EndingOpen)
	case workflow.KindTeam:
		reason(workflow.ReasonSucceeded, workflow.ReasonFailed, workflow.ReasonCancelled)
	case workflow.KindCheck:
		reason(workflow.ReasonPassed, workflow.ReasonFailed, workflow.ReasonTimeout, EndingCrash)
	default:
		for _, r := range of.team.Reasons(of.name) {
			if r != workflow.ReasonBudgetExceeded {
				reason(r)
			}
		}
		reason(workflow.ReasonEndTurn, EndingQuota, EndingCrash)
	}
	return out
}

// ending reads one ending, in its short form (`end_turn "the plan"`) or as a mapping.
func (p *parser) ending(n *yaml.Node, of *node) (Ending, bool) {
	e := Ending{Pos: position(n)}
	if n.Kind == yaml.ScalarNode {
		text, ok := p.Text(n, "an ending of "+of.name)
		return e, ok && p.shortEnding(n, text, of, &e)
	}
	keys := p.Fields(n, "an ending of "+of.name, p.endingFields(&e, of))
	if n.Kind != yaml.MappingNode {
		return e, false
	}
	switch {
	case e.Nodes != nil && keys["reason"] != nil:
		p.Problem(keys["reason"], "remove one of the two", "an ending of %s has a reason and nodes: how a sub-team ends follows from its nodes", of.name)
	case e.Nodes == nil && keys["reason"] == nil:
		p.Problem(n, "add:  reason: "+of.reasons()[0], "an ending of %s has no reason", of.name)
		return e, false
	case e.Reason == EndingQuota && e.Reset == 0:
		p.Problem(n, "add:  reset: 1h", "a quota that is used up has to say when it is reset")
	}
	return e, true
}

// shortEnding reads REASON or REASON "text".
func (p *parser) shortEnding(n *yaml.Node, text string, of *node, e *Ending) bool {
	reason, rest, _ := strings.Cut(text, " ")
	if !p.reason(n, reason, of, e) {
		return false
	}
	rest = strings.TrimSpace(rest)
	if reason == EndingQuota {
		reset, err := time.ParseDuration(rest)
		if err != nil || reset <= 0 {
			p.Problem(n, "write, for example:  quota 1h", "a quota that is used up has to say when it is reset")
			return false
		}
		e.Reset = reset
		return true
	}
	if rest == "" {
		return true
	}
	output, err := strconv.Unquote(rest)
	if err != nil || rest[0] == '\'' {
		p.Problem(n, "write  "+reason+` "text", or  {reason: `+reason+`, output: …}  where YAML gets in the way`, "what follows %s must be one text in double quotes", reason)
		return false
	}
	e.Output = output
	return true
}

// reason checks the reason of an ending.
func (p *parser) reason(n *yaml.Node, reason string, of *node, e *Ending) bool {
	switch known := of.reasons(); {
	case slices.Contains(known, reason):
		e.Reason = reason
		return true
	case reason == string(workflow.ReasonBudgetExceeded):
		p.Problem(n, "say what it takes, with tokens or takes, and let the limit end it", "%s is no ending: it follows from the limits", reason)
	default:
		p.Problem(n, workflow.DidYouMean(reason, known), "%s cannot end with %q", of.name, reason)
	}
	return false
}

func (p *parser) endingFields(e *Ending, of *node) reads {
	text := func(target *string, what string) func(*yaml.Node) {
		return func(n *yaml.Node) { *target, _ = p.Text(n, what+" of "+of.name) }
	}
	all := reads{
		"reason": func(n *yaml.Node) {
			if reason, ok := p.Text(n, "the reason of "+of.name); ok {
				p.reason(n, reason, of, e)
			}
		},
		"optional": func(n *yaml.Node) { e.Optional = p.Bool(n, "optional of "+of.name) },
		"takes": func(n *yaml.Node) {
			takes := p.Duration(n, "takes", 0)
			e.Takes = &takes
		},
	}
	output := text(&e.Output, "the output")
	switch of.kind {
	case workflow.KindGate:
		all["comment"], all["by"] = text(&e.Output, "the comment"), text(&e.By, "by")
	case workflow.KindCheck:
		all["output"], all["error"] = output, text(&e.Error, "the error")
		all["answer"] = p.uncertainAnswer(&e.Answer, string(workflow.ReasonPassed), string(workflow.ReasonFailed), workflow.AnswerRetry)
		all["by"] = text(&e.By, "by")
		all["exit_code"] = func(n *yaml.Node) { e.ExitCode = p.Count(n, "exit_code") }
	case workflow.KindTeam:
		all["output"], all["outcome"], all["summary"] = output, text(&e.Outcome, "the outcome"), text(&e.Summary, "the summary")
		all["data"], all["tokens"] = p.data(&e.Data, of), p.tokens(e)
		if sub := of.team.Teams[of.name]; sub.Team != nil {
			all["nodes"] = func(n *yaml.Node) { e.Nodes = p.nodes(n, sub.Team) }
		}
	default:
		all["output"], all["summary"], all["error"] = output, text(&e.Summary, "the summary"), text(&e.Error, "the error")
		all["data"], all["tokens"] = p.data(&e.Data, of), p.tokens(e)
		all["reset"] = func(n *yaml.Node) { e.Reset = p.Duration(n, "reset", 1) }
		all["handoff"] = func(n *yaml.Node) { e.Handoff, _ = p.Text(n, "handoff of "+of.name) }
		all["answer"] = p.uncertainAnswer(&e.Answer, workflow.AnswerContinue, workflow.AnswerRetry, workflow.AnswerFail)
		all["by"] = text(&e.By, "by")
		all["handoff_message"] = text(&e.HandoffMessage, "the handoff_message")
		all["calls"] = func(n *yaml.Node) {
			for _, item := range p.List(n) {
				e.Calls = append(e.Calls, p.call(item))
			}
		}
	}
	return all
}

// uncertainAnswer reads what a person decides about a turn that is uncertain.
func (p *parser) uncertainAnswer(target *string, choices ...string) func(*yaml.Node) {
	return func(n *yaml.Node) { *target, _ = p.Choice(n, "answer", choices) }
}

func (p *parser) data(target *map[string]any, of *node) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode || n.Decode(target) != nil {
			p.Problem(n, "write:  {items: [1, 2]}", "the data of %s must be a mapping", of.name)
		}
	}
}

// tokens reads what a turn uses: one number are prompt tokens.
func (p *parser) tokens(e *Ending) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			e.PromptTokens = p.Count(n, "tokens")
			return
		}
		p.Fields(n, "tokens", reads{
			"prompt":     func(n *yaml.Node) { e.PromptTokens = p.Count(n, "prompt") },
			"completion": func(n *yaml.Node) { e.CompletionTokens = p.Count(n, "completion") },
		})
	}
}

func (p *parser) call(n *yaml.Node) Call {
	c := Call{Pos: position(n)}
	keys := p.Fields(n, "a call", reads{
		"tool": func(n *yaml.Node) { c.Tool, _ = p.Text(n, "the tool of a call") },
		"input": func(n *yaml.Node) {
			if n.Kind != yaml.MappingNode || n.Decode(&c.Input) != nil {
				p.Problem(n, "write:  {command: go test ./...}", "the input of a call must be a mapping")
			}
		},
		"answer": func(n *yaml.Node) { c.Answer, _ = p.Text(n, "the answer to a call") },
		"by":     func(n *yaml.Node) { c.By, _ = p.Text(n, "by") },
		"expect": func(n *yaml.Node) {
			c.Expect, _ = p.Choice(n, "expect of a call", []string{CallAllowed, CallDenied, CallAsked})
		},
	})
	if (n.Kind == yaml.MappingNode || n.Tag == "!!null") && keys["tool"] == nil {
		p.Problem(n, "add:  tool: Bash", "a call has no tool")
	}
	return c
}
