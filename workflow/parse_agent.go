package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// agentNodes are the nodes of an agent that later checks point at.
type agentNodes struct {
	key      *yaml.Node
	outcomes *yaml.Node
	tools    []*yaml.Node
	// keys are those of its fields, by name.
	keys map[string]*yaml.Node
	// approvals are the lists of patterns in the order in which they decide, and
	// expires the key of the field.
	approvals []patternNodes
	expires   *yaml.Node
}

type patternNodes struct {
	name  string
	nodes []*yaml.Node
}

func conversations() []string {
	return []string{ConversationTask, ConversationTurn, ConversationShared}
}

func controllerTools() []string {
	return []string{ToolHandoff, ToolUpdateProgress, ToolAskHuman, ToolSpawnTask}
}

func otherwises() []string { return []string{"allow", "deny", "ask"} }

// Permission modes of the App Server (runtime_start.mode).
func permissionModes() []string {
	return []string{"standard", "acceptEdits", "unrestricted", "strict"}
}

// agent reads one agent.
func (p *parser) agent(key, value *yaml.Node) {
	a := &Agent{
		Name: key.Value, PermissionMode: "standard", Conversation: ConversationTask, Pos: position(key),
		Approvals: Approvals{Otherwise: "deny", Expires: DefaultAskExpires},
	}
	what := fmt.Sprintf("agent %q", a.Name)
	of := func(field string) string { return field + " of " + what }
	nodes := agentNodes{key: key}
	keys := p.object(value, what, fields{
		"role":            func(n *yaml.Node) { a.Role = p.role(n, of("role")) },
		"prompt":          p.textInto(&a.Prompt, of("prompt")),
		"instructions":    p.textInto(&a.Instructions, of("instructions")),
		"model":           p.textInto(&a.Model, of("model")),
		"agent_id":        p.textInto(&a.AgentID, of("agent_id")),
		"permission_mode": p.choiceInto(&a.PermissionMode, of("permission_mode"), permissionModes()),
		"tools":           p.textsInto(&a.Tools, of("tools")),
		"memory":          p.boolInto(&a.Memory, of("memory")),
		"approvals":       func(n *yaml.Node) { p.approvals(n, a, &nodes, of("approvals")) },
		"outcomes": func(n *yaml.Node) {
			nodes.outcomes = n
			a.Outcomes = p.outcomes(n, of("outcomes"))
		},
		"data":         func(n *yaml.Node) { a.Data = p.dataSchema(n, of("data")) },
		"conversation": p.choiceInto(&a.Conversation, of("conversation"), conversations()),
		"on_uncertain": p.choiceInto(&a.OnUncertain, of("on_uncertain"), uncertainPolicies()),
		"controller_tools": func(n *yaml.Node) {
			nodes.tools = p.choices(n, of("controller_tools"), controllerTools())
			a.ControllerTools = values(nodes.tools)
		},
		"turn_timeout":  p.durationInto(&a.TurnTimeout, of("turn_timeout"), time.Second),
		"stall_timeout": p.durationInto(&a.StallTimeout, of("stall_timeout"), time.Second),
	}, laterFields(sectionAgent)...)
	nodes.keys = keys
	if p.node(key, "an agent") {
		p.agents[a.Name] = nodes
		p.team.Agents[a.Name] = a
		p.team.AgentNames = append(p.team.AgentNames, a.Name)
	}
	p.identity(keys, key, what)
	if a.Data != nil && keys["outcomes"] == nil {
		p.problem(keys["data"], "add  outcomes: [done], or remove data", "%s has data and no outcomes: data is reported with an outcome", what)
	}
	// In strict mode the App Server asks before every tool.
	if a.PermissionMode == "strict" && len(a.Approvals.Allow) == 0 && len(a.Approvals.Ask) == 0 && a.Approvals.Otherwise == "deny" && (a.Tools == nil || len(a.Tools) > 0) {
		p.warn(keys["permission_mode"], "allow what it may do, as in  approvals: {allow: [Read]}, or use  permission_mode: standard, which reads without asking",
			"%s can use no tool: in strict mode each use is asked for, and its approvals allow none", what)
	}
}

// identity checks that an agent says what it is in exactly one way.
func (p *parser) identity(keys map[string]*yaml.Node, key *yaml.Node, what string) {
	var given []string
	for _, name := range []string{"role", "prompt", "agent_id"} {
		if keys[name] != nil {
			given = append(given, name)
		}
	}
	switch {
	case len(given) == 0:
		p.problem(key, "add a role from the role library, a prompt, or the agent_id of an existing agent", "%s has none of role, prompt and agent_id", what)
	case len(given) > 1:
		p.problem(keys[given[1]], "keep one of them", "%s has both %s", what, strings.Join(given, " and "))
	}
	if keys["agent_id"] == nil {
		return
	}
	for _, name := range []string{"instructions", "model", "memory"} {
		if keys[name] != nil {
			p.problem(keys[name], "an existing agent is used as it is: remove the field", "%s has agent_id and %s", what, name)
		}
	}
}

func (p *parser) role(n *yaml.Node, what string) string {
	text, ok := p.text(n, what)
	if ok && p.roles != nil && !slices.Contains(p.roles, text) {
		p.problem(n, suggestion(text, p.roles), "there is no role %q", text)
	}
	return text
}

// outcomes reads what an agent may report. They become reasons, and therefore
// must differ from those that exist already.
func (p *parser) outcomes(n *yaml.Node, what string) []string {
	var out []string
	for _, item := range p.texts(n, what) {
		switch {
		case !p.name(item, "an outcome"):
		case slices.Contains(builtinReasons(), Reason(item.Value)):
			p.problem(item, "choose another name", "%q is a reason of the orchestrator and cannot be an outcome", item.Value)
		default:
			out = append(out, item.Value)
		}
	}
	if len(out) == 0 && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.problem(n, "list at least one, or leave the field out", "%s is empty", what)
	}
	return out
}

// approvalPattern is `Tool` or `Tool(argument glob)`.
var approvalPattern = regexp.MustCompile(`^[A-Za-z_*][\w.*-]*(\(.+\))?$`)

func (p *parser) approvals(n *yaml.Node, agent *Agent, nodes *agentNodes, what string) {
	a := &agent.Approvals
	lists := map[string][]*yaml.Node{}
	patterns := func(target *[]string, list string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			lists[list] = p.texts(n, list+" in "+what)
			for _, item := range lists[list] {
				if !approvalPattern.MatchString(item.Value) {
					p.problem(item, `write Tool or Tool(argument), as in Read or "Bash(go test *)"`, "%q is not a pattern for tools", excerpt(item.Value, 60))
				}
			}
			*target = values(lists[list])
		}
	}
	keys := p.object(n, what, fields{
		"allow":     patterns(&a.Allow, "allow"),
		"deny":      patterns(&a.Deny, "deny"),
		"ask":       patterns(&a.Ask, "ask"),
		"otherwise": p.choiceInto(&a.Otherwise, "otherwise in "+what, otherwises()),
		"expires":   p.durationInto(&a.Expires, "expires in "+what, time.Second),
	})
	nodes.expires = keys["expires"]
	for _, name := range []string{"deny", "allow", "ask"} {
		nodes.approvals = append(nodes.approvals, patternNodes{name: name, nodes: lists[name]})
	}
}
