package workflow

import (
	"fmt"
	"strings"
	"time"
)

// DefaultStallTimeout is how long a turn of an agent without stall_timeout may
// be silent. It has to be longer than the longest command that prints nothing:
// the App Server is silent while one runs.
const DefaultStallTimeout = 10 * time.Minute

// fieldType says what a field holds.
type fieldType int

const (
	typeVersion   fieldType = iota
	typeText                // not empty
	typeName                // a name that the file gives
	typeNode                // the name of an agent or an end
	typeTemplate            // text/template
	typeCondition           // expr
	typeBool
	typeCount      // a whole number of at least 1
	typeDuration   // of at least 1s
	typeBackoff    // a duration that may be 0
	typeChoice     // one of field.choices
	typeTexts      // a text or a list of texts
	typeAgents     // typeTexts of agents, or "*"
	typeReasons    // typeTexts of reasons, or "*"
	typeOutcomes   // typeTexts of names, not empty
	typePatterns   // typeTexts of approval patterns
	typeScalar     // a text, a number or a bool
	typeObject     // field.section
	typeObjectMap  // by name, each a field.section
	typeObjectList // each a field.section
)

// String names the type for people.
func (t fieldType) String() string {
	return [...]string{
		"number", "text", "name", "name", "template", "condition", "bool", "number", "duration", "duration", "choice",
		"text or list", "text or list", "text or list", "text or list", "text or list", "value", "fields", "names with fields", "list of fields",
	}[t]
}

// field describes one field of the team file. The tables of fields are what the
// JSON Schema and the reference in docs/team-file.md are made from, and tests
// hold the parser to them.
type field struct {
	name     string
	typ      fieldType
	required bool
	// fallback is the default as the file would say it; "" where there is none,
	// or where about says it.
	fallback string
	choices  []string
	about    string // Markdown, without a full stop
	section  *section
}

// section is a mapping of the team file.
type section struct {
	name   string
	fields []field
	// later names fields that the language will have and this version does not.
	later []string
}

// The names of the sections.
const (
	sectionTeam      = "team"
	sectionInput     = "input"
	sectionLimits    = "limits"
	sectionWorkspace = "workspace"
	sectionAgent     = "agent"
	sectionApprovals = "approvals"
	sectionRule      = "rule"
	sectionRetry     = "retry"
)

// fileSections lists all sections; the team file itself is the first.
func fileSections() []*section {
	input, limits, workspace, approvals, retry := inputSection(), limitsSection(), workspaceSection(), approvalsSection(), retrySection()
	agent, rule := agentSection(approvals), ruleSection(retry)
	team := &section{name: sectionTeam, later: []string{"checks", "gates", "on_uncertain", "schedules", "schedule", "triggers", "include"}, fields: []field{
		{name: "version", typ: typeVersion, required: true, about: "always `" + teamVersion + "`"},
		{name: "name", typ: typeName, required: true, about: "name of the team"},
		{name: "description", typ: typeText, about: "one sentence for people"},
		{name: "inputs", typ: typeObjectMap, section: input, about: "what a task must be given, see [Inputs](#inputs)"},
		{name: "limits", typ: typeObject, section: limits, about: "what bounds a task"},
		{name: "workspace", typ: typeObject, section: workspace, about: "where the agents' tools run"},
		{name: "agents", typ: typeObjectMap, required: true, section: agent, about: "the agents, see [Agents](#agents); at least one"},
		{name: "start", typ: typeNode, required: true, about: "the agent that gets the first message"},
		{name: "message", typ: typeTemplate, about: "the first message, over `.input` and `.task`; default: see [Rules](#rules)"},
		{name: "handoffs", typ: typeObjectList, required: true, section: rule, about: "the rules, in order, see [Rules](#rules); at least one"},
	}}
	return []*section{team, input, limits, workspace, agent, approvals, rule, retry}
}

// laterFields lists what a section will have in a later version.
func laterFields(name string) []string {
	for _, s := range fileSections() {
		if s.name == name {
			return s.later
		}
	}
	return nil
}

func inputTypes() []string { return []string{InputString, InputInt, InputNumber, InputBool} }

func inputSection() *section {
	return &section{name: sectionInput, fields: []field{
		{name: "type", typ: typeChoice, choices: inputTypes(), fallback: InputString, about: "what its value must be"},
		{name: "required", typ: typeBool, fallback: "false", about: "the task is refused without it, and a required text without a character in it is refused too"},
		{name: "default", typ: typeScalar, about: "the value when it is not given; without one: `\"\"`, `0`, `0` or `false`. Not beside `required: true`"},
		{name: "description", typ: typeText, about: "what is asked for, shown where it is missing"},
	}}
}

func limitsSection() *section {
	return &section{name: sectionLimits, later: []string{"tokens", "duration", "cost"}, fields: []field{
		{name: "turns", typ: typeCount, about: "how many turns, every attempt counted, a task may take; default: no limit"},
	}}
}

func workspaceSection() *section {
	return &section{name: sectionWorkspace, later: []string{"worktree"}, fields: []field{
		{name: "directory", typ: typeTemplate, about: "where the agents' tools run, over `.input`, `.task.id` and `.task.team`; default: an empty directory of the task's own"},
	}}
}

func agentSection(approvals *section) *section {
	return &section{name: sectionAgent, later: []string{"conversation", "on_uncertain", "memory_blocks", "data", "max_concurrent"}, fields: []field{
		{name: "role", typ: typeText, about: "a role of the role library"},
		{name: "prompt", typ: typeText, about: "a system prompt of its own"},
		{name: "agent_id", typ: typeText, about: "an agent that exists on the App Server; it is used as it is, so `instructions`, `model` and `memory` cannot stand beside it"},
		{name: "instructions", typ: typeText, about: "added after the role's prompt"},
		{name: "model", typ: typeText, about: "the App Server's model handle, `provider/model`; default: the server's"},
		{name: "permission_mode", typ: typeChoice, choices: permissionModes(), fallback: "standard", about: "what the App Server lets it do without asking"},
		{name: "tools", typ: typeTexts, about: "the only tools it may use; default: the server's set. An empty list is no tools"},
		{name: "memory", typ: typeBool, fallback: "false", about: "give it a memory repository on the App Server"},
		{name: "approvals", typ: typeObject, section: approvals, about: "answers to what the App Server asks about"},
		{name: "outcomes", typ: typeOutcomes, about: "what it may report, see [Reasons](#reasons)"},
		{name: "turn_timeout", typ: typeDuration, fallback: shortDuration(DefaultTurnTimeout), about: "the longest a turn may take; at least `1s`"},
		{name: "stall_timeout", typ: typeDuration, fallback: shortDuration(DefaultStallTimeout), about: "the longest a turn may be silent; at least `1s`"},
	}}
}

func approvalsSection() *section {
	return &section{name: sectionApprovals, later: []string{"expires", "timeout"}, fields: []field{
		{name: "allow", typ: typePatterns, about: "patterns for what is allowed: `Tool` or `Tool(argument glob)`"},
		{name: "deny", typ: typePatterns, about: "patterns for what is denied; deny wins"},
		{name: "otherwise", typ: typeChoice, choices: []string{"allow", "deny"}, fallback: "deny", about: "the answer where no pattern matches"},
	}}
}

func ruleSection(retry *section) *section {
	return &section{name: sectionRule, later: []string{"join", "race", "limit"}, fields: []field{
		{name: "from", typ: typeAgents, required: true, about: "the agent that has ended: a name, a list, or `\"*\"` for every agent"},
		{name: "on", typ: typeReasons, required: true, about: "the [reason](#reasons) it ended with: a name, a list, or `\"*\"` for every reason"},
		{name: "when", typ: typeCondition, about: "the rule matches only where it is true"},
		{name: "to", typ: typeNode, about: "the next agent, or `succeeded`, `failed` or `cancelled`, which end the task"},
		{name: "message", typ: typeTemplate, about: "what the next agent is told; default: see below"},
		{name: "max", typ: typeCount, about: "how often the rule may fire in one task; a rule that is used up no longer matches; default: no limit"},
		{name: "retry", typ: typeObject, section: retry, about: "instead of `to`: the same turn again, with the same message"},
	}}
}

func retrySection() *section {
	return &section{name: sectionRetry, fields: []field{
		{name: "max", typ: typeCount, required: true, about: "how often at most for one turn"},
		{name: "backoff", typ: typeBackoff, fallback: shortDuration(defaultBackoff), about: "the wait before the first retry; it doubles every time; `0s` for none. Every wait is up to a fifth longer or shorter"},
		{name: "max_backoff", typ: typeDuration, fallback: shortDuration(defaultMaxBackoff), about: "where the doubling ends; not less than `backoff`"},
	}}
}

// shortDuration writes a duration as a team file would: 30m, not 30m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// FieldReference is the part of docs/team-file.md that lists the fields, as Markdown.
func FieldReference() string {
	var b strings.Builder
	for _, s := range fileSections() {
		switch s.name {
		case sectionTeam:
			b.WriteString("## Fields\n\n")
		case sectionInput:
			b.WriteString("### Inputs\n\n")
		case sectionAgent:
			b.WriteString("### Agents\n\nAn agent has exactly one of `role`, `prompt` and `agent_id`.\n\n")
		case sectionRule:
			b.WriteString("### Rules\n\nRules are tried in the order of the file, and the first that matches fires. A rule has exactly one of `to` and `retry`.\n\n")
		default:
			continue // within the table of the section that it belongs to
		}
		b.WriteString("| field | type | default | what it says |\n|---|---|---|---|\n")
		writeRows(&b, "", s)
		if s.name == sectionTeam {
			b.WriteString("\nNames are lower-case letters, digits, `-` and `_`, begin with a letter and have at most 64 characters. `succeeded`, `failed` and `cancelled`\n" +
				"cannot name an agent. A name with `-` is no field of a template or a condition: write `index .input \"my-goal\"` there, or `input[\"my-goal\"]` in a\n" +
				"condition. A duration is a number and a unit, for example `90s`, `15m` or `1h30m`. A text that stands where a list may stand is a list of one.\n")
		}
		if s.name != sectionRule {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// writeRows writes the rows of a section; sections within it are written out.
func writeRows(b *strings.Builder, prefix string, s *section) {
	for _, f := range s.fields {
		if f.typ == typeObject && s.name == sectionTeam {
			writeRows(b, f.name+".", f.section)
			continue
		}
		fallback := ""
		switch {
		case f.required:
			fallback = "required"
		case f.fallback != "":
			fallback = "`" + f.fallback + "`"
		}
		typ := f.typ.String()
		if len(f.choices) > 0 {
			typ = "`" + strings.Join(f.choices, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, f.name, typ, fallback, strings.ReplaceAll(f.about, "|", `\|`))
		if f.typ == typeObject {
			writeRows(b, prefix+f.name+".", f.section)
		}
	}
}
