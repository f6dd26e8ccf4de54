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
	typeVersion    fieldType = iota
	typeText                 // not empty
	typeName                 // a name that the file gives
	typeNode                 // the name of a node
	typeTargets              // typeTexts of nodes, or an end
	typeTemplate             // text/template
	typeCondition            // expr
	typeExpression           // expr
	typeBool
	typeCount       // a whole number of at least 1, or between field.least and field.most
	typeMoney       // more than 0
	typeDuration    // of at least 1s
	typeBackoff     // a duration that may be 0
	typeChoice      // one of field.choices
	typeChoices     // typeTexts of field.choices
	typeJoin        // all, any or a whole number of at least 1
	typeTexts       // a text or a list of texts
	typeNodes       // typeTexts of nodes, or "*"
	typeReasons     // typeTexts of reasons, or "*"
	typeOutcomes    // typeTexts of names, not empty
	typePatterns    // typeTexts of approval patterns
	typeCommand     // a text or a list of texts that may be the same
	typeScalar      // a text, a number or a bool
	typeVariables   // by name, each a typeScalar
	typeValues      // by the name of an input, each a typeScalar
	typeInputValues // by the name of an input, each a typeScalar and no template
	typeInteger     // a whole number between field.least and field.most
	typeDataSchema  // a JSON Schema of an object
	typeObject      // field.section
	typeObjectMap   // by name, each a field.section
	typeObjectList  // each a field.section
)

// String names the type for people.
func (t fieldType) String() string {
	return [...]string{
		"number", "text", "name", "name", "name or list", "template", "condition", "expression", "bool", "number", "number", "duration", "duration", "choice",
		"text or list", "`all`, `any` or number", "text or list", "text or list", "text or list", "text or list", "text or list", "text or list", "value",
		"names with values", "names with templates", "names with values", "number", "JSON Schema", "fields", "names with fields", "list of fields",
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
	// least and most bound a typeCount; 0 means 1 and no bound.
	least, most int
	about       string // Markdown, without a full stop
	section     *section
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
	sectionTeam         = "team"
	sectionInput        = "input"
	sectionLimits       = "limits"
	sectionBranchLimits = "branch_limits"
	sectionWorkspace    = "workspace"
	sectionWorktree     = "worktree"
	sectionCommit       = "commit"
	sectionPublish      = "publish"
	sectionAgent        = "agent"
	sectionApprovals    = "approvals"
	sectionCheck        = "check"
	sectionGate         = "gate"
	sectionSubTeam      = "sub_team"
	sectionRule         = "rule"
	sectionRetry        = "retry"
	sectionSchedule     = "schedule"
)

// fileSections lists all sections; the team file itself is the first.
func fileSections() []*section {
	input, limits, branchLimits, worktree, approvals, retry := inputSection(), limitsSection(), branchLimitsSection(), worktreeSection(), approvalsSection(), retrySection()
	commit, publish := commitSection(), publishSection()
	workspace, agent, check, gate := workspaceSection(worktree, commit, publish), agentSection(approvals), checkSection(), gateSection()
	subTeam, rule, schedule := subTeamSection(branchLimits), ruleSection(branchLimits, retry), scheduleSection()
	team := &section{name: sectionTeam, later: []string{"triggers", "include"}, fields: []field{
		{name: "version", typ: typeVersion, required: true, about: "always `" + teamVersion + "`"},
		{name: "name", typ: typeName, required: true, about: "name of the team"},
		{name: "description", typ: typeText, about: "one sentence for people"},
		{name: "inputs", typ: typeObjectMap, section: input, about: "what a task must be given, see [Inputs](#inputs)"},
		{name: "limits", typ: typeObject, section: limits, about: "what bounds a task, see [Limits](#limits)"},
		{name: "output_limit", typ: typeCount, least: leastOutputLimit, most: mostOutputLimit, fallback: fmt.Sprint(DefaultOutputLimit), about: "how long an output may be, in bytes, to be passed on whole; of a longer one the next node gets an excerpt and the path of a file"},
		{name: "on_uncertain", typ: typeChoice, choices: uncertainPolicies(), fallback: UncertainAsk, about: "what happens where it cannot be known whether a turn ran and no rule names `uncertain`: `ask` a person, `continue` (the agent is told), or `fail`, with which the node ends as `uncertain`; see [Reasons](#reasons)"},
		{name: "workspace", typ: typeObject, section: workspace, about: "where the agents' tools and the checks run"},
		{name: "agents", typ: typeObjectMap, section: agent, about: "the agents, see [Agents](#agents)"},
		{name: "checks", typ: typeObjectMap, section: check, about: "commands that run in the workspace, see [Checks](#checks)"},
		{name: "gates", typ: typeObjectMap, section: gate, about: "questions that a person decides, see [Gates](#gates)"},
		{name: "teams", typ: typeObjectMap, section: subTeam, about: "other teams that run as a node of this one, see [Sub-teams](#sub-teams)"},
		{name: "start", typ: typeNode, required: true, about: "the node that runs first"},
		{name: "message", typ: typeTemplate, about: "the first message, where `start` is an agent, over `.input` and `.task`; default: see [Rules](#rules)"},
		{name: "handoffs", typ: typeObjectList, required: true, section: rule, about: "the rules, in order, see [Rules](#rules); at least one"},
		{name: "schedules", typ: typeObjectMap, section: schedule, about: "when tasks are submitted by themselves, see [Schedules](#schedules)"},
	}}
	return []*section{team, input, limits, branchLimits, workspace, worktree, commit, publish, agent, approvals, check, gate, subTeam, rule, retry, schedule}
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
	return &section{name: sectionLimits, fields: append(limitFields("a task"),
		field{name: "at_limit", typ: typeChoice, choices: atLimits(), fallback: AtLimitRules, about: "with `pause` the task pauses at a limit, unless a rule names `budget_exceeded` itself; with `rules` a rule for `\"*\"` matches too"})}
}

func branchLimitsSection() *section {
	return &section{name: sectionBranchLimits, fields: limitFields("it")}
}

func limitFields(what string) []field {
	return []field{
		{name: "turns", typ: typeCount, about: "how many turns of agents, every attempt counted, " + what + " may take; default: no limit"},
		{name: "tokens", typ: typeCount, about: "how many tokens, of prompts and answers together, " + what + " may use; default: no limit"},
		{name: "duration", typ: typeDuration, about: "how long " + what + " may take; waiting for nothing but a person does not count; default: no limit"},
		{name: "cost", typ: typeMoney, about: "how many US dollars " + what + " may cost, as in `2.50`; a model without a known price exceeds it; default: no limit"},
	}
}

func workspaceSection(worktree, commit, publish *section) *section {
	return &section{name: sectionWorkspace, fields: []field{
		{name: "directory", typ: typeTemplate, about: "a directory that exists, over `.input`, `.task.id` and `.task.team`; default: an empty directory of the task's own. See [workspaces](workspaces.md)"},
		{name: "worktree", typ: typeObject, section: worktree, about: "instead of `directory`: a git worktree of the task's own; its fields are templates over the same values"},
		{name: "parallel_writers", typ: typeBool, fallback: "false", about: "allow that agents which can write run at the same time, and tasks of teams that say so in one directory"},
		{name: "setup", typ: typeTexts, about: "lines for `sh -c`, run in a worktree, or in a directory of the task's own, before the first turn; not beside `directory`"},
		{name: "setup_timeout", typ: typeDuration, fallback: shortDuration(DefaultSetupTimeout), about: "the longest each of them may take"},
		{name: "commit", typ: typeObject, section: commit, about: "commit what a task has left in its worktree when it ends"},
		{name: "publish", typ: typeObject, section: publish, about: "what is done with the branch of a task that succeeded: one of `patch`, `bundle` and `push`"},
		{name: "cleanup", typ: typeChoice, choices: cleanups(), fallback: CleanupNever, about: "when the worktree is removed; everything in it is saved in the repository before. Of a task with an empty directory of its own: whether that goes with the task when its retention is over"},
		{name: "save_ignored", typ: typeBool, fallback: "true", about: "save files that git ignores, too"},
	}}
}

func worktreeSection() *section {
	return &section{name: sectionWorktree, fields: []field{
		{name: "repo", typ: typeTemplate, required: true, about: "the directory of the repository"},
		{name: "base", typ: typeTemplate, fallback: "HEAD", about: "the commit or branch to begin at"},
		{name: "branch", typ: typeTemplate, fallback: "team/{{ .task.id }}", about: "the new branch"},
	}}
}

func commitSection() *section {
	return &section{name: sectionCommit, fields: []field{
		{name: "message", typ: typeTemplate, required: true, about: "its message, over the [values](#templates-and-conditions) of the end of the task"},
		{name: "author", typ: typeText, about: "`Name <address>`; default: as git is configured, else `orchestrator`"},
	}}
}

func publishSection() *section {
	return &section{name: sectionPublish, fields: []field{
		{name: "patch", typ: typeTemplate, about: "a file for `git am`, over `.input`, `.task.id` and `.task.team`; what is not absolute is in `DATA_DIR/results`"},
		{name: "bundle", typ: typeTemplate, about: "a file for `git fetch` with the commits of the branch, named likewise"},
		{name: "push", typ: typeText, about: "a line for `sh -c`, run in the worktree with the variables of a [check](checks.md), as in `git push origin \"$ORCHESTRATOR_GIT_BRANCH\"`"},
		{name: "timeout", typ: typeDuration, fallback: shortDuration(DefaultPublishTimeout), about: "the longest it may take"},
	}}
}

func agentSection(approvals *section) *section {
	return &section{name: sectionAgent, later: []string{"memory_blocks", "max_concurrent"}, fields: []field{
		{name: "role", typ: typeText, about: "a role of the role library"},
		{name: "prompt", typ: typeText, about: "a system prompt of its own"},
		{name: "agent_id", typ: typeText, about: "an agent that exists on the App Server; it is used as it is, so `instructions`, `model` and `memory` cannot stand beside it"},
		{name: "instructions", typ: typeText, about: "added after the role's prompt"},
		{name: "model", typ: typeText, about: "the App Server's model handle, `provider/model`; default: the server's"},
		{name: "permission_mode", typ: typeChoice, choices: permissionModes(), fallback: "standard", about: "what the App Server lets it do without asking"},
		{name: "tools", typ: typeTexts, about: "the only tools it may use; default: the server's set. An empty list is no tools"},
		{name: "controller_tools", typ: typeChoices, choices: controllerTools(), about: "tools of the orchestrator that it may use, see [Tools of the orchestrator](#tools-of-the-orchestrator)"},
		{name: "memory", typ: typeBool, fallback: "false", about: "give it a memory repository on the App Server"},
		{name: "conversation", typ: typeChoice, choices: conversations(), fallback: ConversationTask, about: "`task`: one conversation for each task, and for each branch; `turn`: a new one each time it starts; `shared`: one for all tasks, which one turn at a time holds"},
		{name: "on_uncertain", typ: typeChoice, choices: uncertainPolicies(), about: "as the team's, for this agent; default: the team's"},
		{name: "approvals", typ: typeObject, section: approvals, about: "answers to what the App Server asks about"},
		{name: "outcomes", typ: typeOutcomes, about: "what it may report, see [Reasons](#reasons)"},
		{name: "data", typ: typeDataSchema, about: "the JSON Schema, of an object, of the data that it reports with an outcome; only beside `outcomes`; default: any object, or none"},
		{name: "turn_timeout", typ: typeDuration, fallback: shortDuration(DefaultTurnTimeout), about: "the longest a turn may take; at least `1s`"},
		{name: "stall_timeout", typ: typeDuration, fallback: shortDuration(DefaultStallTimeout), about: "the longest a turn may be silent; at least `1s`"},
	}}
}

func approvalsSection() *section {
	return &section{name: sectionApprovals, fields: []field{
		{name: "allow", typ: typePatterns, about: "patterns for what is allowed: `Tool` or `Tool(argument glob)`"},
		{name: "deny", typ: typePatterns, about: "patterns for what is denied; deny wins over allow, and allow over ask"},
		{name: "ask", typ: typePatterns, about: "patterns for what a person is asked"},
		{name: "otherwise", typ: typeChoice, choices: otherwises(), fallback: "deny", about: "the answer where no pattern matches"},
		{name: "expires", typ: typeDuration, fallback: shortDuration(DefaultAskExpires), about: "how long a person has to answer, also to `ask_human`; then it is denied"},
	}}
}

func checkSection() *section {
	return &section{name: sectionCheck, fields: []field{
		{name: "run", typ: typeCommand, required: true, about: "a line for `sh -c`, or a list of a program and its arguments; no template"},
		{name: "timeout", typ: typeDuration, fallback: shortDuration(DefaultCheckTimeout), about: "the longest it may take; then it and all that it started is ended"},
		{name: "directory", typ: typeText, about: "where it runs, relative to the workspace and in it; default: the workspace"},
		{name: "environment", typ: typeVariables, about: "variables that it gets beside those of the orchestrator"},
		{name: "rerun", typ: typeBool, fallback: "true", about: "run it again when the orchestrator died while it ran; with `false` it is `uncertain` then, see `on_uncertain`"},
	}}
}

func gateSection() *section {
	return &section{name: sectionGate, fields: []field{
		{name: "question", typ: typeTemplate, required: true, about: "what a person decides"},
		{name: "expires", typ: typeDuration, fallback: shortDuration(DefaultGateExpires), about: "how long it stays open"},
		{name: "at_expiry", typ: typeChoice, choices: expiryReasons(), fallback: string(ReasonExpired), about: "the reason that it ends with when nobody has answered"},
	}}
}

func subTeamSection(limits *section) *section {
	return &section{name: sectionSubTeam, fields: []field{
		{name: "team", typ: typeText, required: true, about: "its team file, relative to this one"},
		{name: "input", typ: typeValues, about: "its inputs; what is not given takes its default"},
		{name: "limits", typ: typeObject, section: limits, about: "what bounds its task, beside the limits of its own file and what is left of this task's"},
	}}
}

func ruleSection(limits, retry *section) *section {
	return &section{name: sectionRule, fields: []field{
		{name: "from", typ: typeNodes, required: true, about: "the node that has ended: a name, a list, or `\"*\"` for every node"},
		{name: "on", typ: typeReasons, required: true, about: "the [reason](#reasons) it ended with: a name, a list, or `\"*\"` for every reason"},
		{name: "when", typ: typeCondition, about: "the rule matches only where it is true"},
		{name: "to", typ: typeTargets, about: "the next node, a list of nodes that run at the same time, or `succeeded`, `failed` or `cancelled`, which end the task"},
		{name: "for_each", typ: typeExpression, about: "a list: `to` runs once for each of its elements, which is `.item` there. A rule whose list is empty, too long or no list does not match"},
		{name: "max_parallel", typ: typeCount, about: "how many of `for_each` run at once; default: all"},
		{name: "max_items", typ: typeCount, least: 1, most: LargestMaxItems, fallback: fmt.Sprint(DefaultMaxItems), about: "the longest list that `for_each` takes"},
		{name: "join", typ: typeJoin, about: "wait for the branches that run at the same time: for `all` of them, for the first (`any`) or for so many; the others are cancelled then, see [Branches](#branches)"},
		{name: "limits", typ: typeObject, section: limits, about: "what bounds each branch that the rule starts"},
		{name: "message", typ: typeTemplate, about: "what the next agents are told; default: see below"},
		{name: "max", typ: typeCount, about: "how often the rule may fire in one task, and in each branch of it; a rule that is used up no longer matches; default: no limit"},
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
		case sectionCheck:
			b.WriteString("### Checks\n\n")
		case sectionGate:
			b.WriteString("### Gates\n\n")
		case sectionSubTeam:
			b.WriteString("### Sub-teams\n\n")
		case sectionSchedule:
			b.WriteString("### Schedules\n\nThe daemon submits a task of the team at each of these times; see [schedules.md](schedules.md). A task that runs knows nothing of them, and in the file of a sub-team they mean nothing.\n\n")
		case sectionRule:
			b.WriteString("### Rules\n\nRules are tried in the order of the file, and the first that matches fires. A rule has exactly one of `to` and `retry`.\n\n")
		default:
			continue // within the table of the section that it belongs to
		}
		b.WriteString("| field | type | default | what it says |\n|---|---|---|---|\n")
		writeRows(&b, "", s)
		if s.name == sectionTeam {
			b.WriteString("\nNames are lower-case letters, digits, `-` and `_`, begin with a letter and have at most 64 characters. `succeeded`, `failed` and `cancelled`\n" +
				"cannot name a node, and no two nodes have the same name. A name with `-` is no field of a template or a condition: write `index .input \"my-goal\"` there, or `input[\"my-goal\"]` in a\n" +
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
		if f.typ == typeChoices {
			typ = "list of `" + strings.Join(f.choices, "`, `") + "`"
		} else if len(f.choices) > 0 {
			typ = "`" + strings.Join(f.choices, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, f.name, typ, fallback, strings.ReplaceAll(f.about, "|", `\|`))
		if f.typ == typeObject {
			writeRows(b, prefix+f.name+".", f.section)
		}
	}
}
