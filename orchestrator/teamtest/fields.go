package teamtest

import (
	"fmt"
	"strings"
)

// field describes one field of the scenario file. The tables of fields are what
// the JSON Schema and the reference in docs/team-tests.md are made from, and
// tests hold the parser to them.
type field struct {
	name     string
	of       string // the kinds of nodes that it is for; empty is all
	typ      string // for people
	required bool
	about    string // Markdown, without a full stop
	value    object
}

// section is a mapping of the scenario file.
type section struct {
	name, title string
	about       string // Markdown, before the table; may be empty
	fields      []field
}

// The names of the sections.
const (
	sectionFile         = "scenario_file"
	sectionPrice        = "price"
	sectionScenario     = "scenario"
	sectionResume       = "resume"
	sectionRaise        = "raise"
	sectionScript       = "script"
	sectionBranchScript = "branch_script"
	sectionEnding       = "ending"
	sectionTokens       = "tokens"
	sectionCall         = "call"
	sectionExpect       = "expect"
	sectionMessage      = "message"
)

// sections lists all sections; the file itself is the first.
func sections() []section {
	script := scriptSection()
	// In a branch there are no further branches.
	inBranch := section{name: sectionBranchScript}
	for _, f := range script.fields {
		if f.name != "branches" {
			inBranch.fields = append(inBranch.fields, f)
		}
	}
	return []section{
		fileSection(), priceSection(), scenarioSection(), resumeSection(), raiseSection(), script, inBranch,
		endingSection(), tokensSection(), callSection(), expectSection(), messageSection(),
	}
}

func fileSection() section {
	return section{name: sectionFile, title: "The file", fields: []field{
		{name: "version", typ: "number", required: true, about: "always `1`", value: object{"const": 1}},
		{name: "team", typ: "text", about: "the team file, relative to this one; default: `NAME.yaml` beside `NAME.test.yaml`", value: text()},
		{name: "prices", typ: "names with prices", about: "what models cost, by their name or a pattern, as in a [price file](prices.md); a model that is not covered has no price then. An agent without a model has `" + scriptedModel + "`. Default: every model costs 3 dollars for a million tokens of input and 15 for one of output", value: mapOf(ref(sectionPrice), object{"pattern": `^\S{1,200}$`})},
		{name: "scenarios", typ: "list", required: true, about: "the scenarios, at least one", value: object{"type": "array", "minItems": 1, "items": ref(sectionScenario)}},
	}}
}

func priceSection() section {
	dollars := func() object { return object{"type": "number", "minimum": 0} }
	return section{name: sectionPrice, fields: []field{
		{name: "input", required: true, about: "dollars for a million tokens of prompts", value: dollars()},
		{name: "output", required: true, about: "dollars for a million tokens of answers", value: dollars()},
		{name: "cached_input", about: "dollars for a million tokens that a cache had; default: as `input`", value: dollars()},
		{name: "cache_write", about: "dollars for a million tokens that were written to a cache; default: as `input`", value: dollars()},
	}}
}

func scenarioSection() section {
	return section{name: sectionScenario, title: "A scenario", fields: []field{
		{name: "name", typ: "text", required: true, about: "what it shows; no two of a file have the same", value: text()},
		{name: "input", typ: "names with values", about: "the inputs of the task", value: object{"type": orNull("object")}},
		{name: "nodes", typ: "names with endings", about: "how the nodes end, see below", value: nodesValue()},
		{name: "on_pause", typ: "list", about: "what a person does each time that the task pauses: `{raise: {turns, tokens, duration, cost}, by}`. When nothing is left here the scenario ends as `paused`", value: listOf(ref(sectionResume))},
		{name: "expect", typ: "fields", required: true, about: "what must follow, see below", value: object{"$ref": "#/$defs/" + sectionExpect, "minProperties": 1}},
	}}
}

func resumeSection() section {
	return section{name: sectionResume, fields: []field{
		{name: "raise", about: "how far the limits are raised", value: ref(sectionRaise)},
		{name: "by", about: "who goes on with the task; default: `" + person + "`", value: text()},
	}}
}

func raiseSection() section {
	return section{name: sectionRaise, fields: []field{
		{name: "turns", about: "so many turns more", value: count()},
		{name: "tokens", about: "so many tokens more", value: count()},
		{name: "duration", about: "so long more", value: duration()},
		{name: "cost", about: "so many dollars more", value: object{"type": "number", "minimum": 0}},
	}}
}

func scriptSection() section {
	return section{name: sectionScript, title: "A node", about: "A node has one ending, a list of them, or these fields:", fields: []field{
		{name: "endings", typ: "ending or list", about: "how it ends, in order", value: endingsValue()},
		{name: "repeat", typ: "`last`, `loop`", about: "what comes when the endings are used up: the last one again, or all from the first one on; default: it is a failure", value: object{"enum": []string{string(RepeatLast), string(RepeatLoop)}}},
		{name: "branches", typ: "keys with endings", about: "how it ends in one branch; the key is the index or the element of a `for_each`, or the label of the branch, such as `worker[3]` or `security`", value: mapOf(nodeValue(sectionBranchScript), nil)},
		{name: "optional", typ: "bool", about: "endings of it that are never used are no failure", value: object{"type": "boolean"}},
	}}
}

func endingSection() section {
	const agents, agentsAndTeams = "agents", "agents, sub-teams"
	return section{name: sectionEnding, title: "An ending", about: "The short form is `REASON` or `REASON \"text\"`. The long form has these fields, of which `reason` or `nodes` is required:", fields: []field{
		{name: "reason", typ: "text", about: "a reason of the node, an outcome of the agent, or one of those below", value: text()},
		{name: "takes", typ: "duration", about: "how long it takes in virtual time; of a gate, how long until somebody answers; default: none, or the whole time-out", value: duration()},
		{name: "optional", typ: "bool", about: "it is no failure when the ending is never used", value: object{"type": "boolean"}},
		{name: "output", of: "agents, checks, sub-teams", typ: "text", about: "its text", value: text()},
		{name: "error", of: "agents, checks", typ: "text", about: "what explains a failure", value: text()},
		{name: "summary", of: agentsAndTeams, typ: "text", about: "the summary that is reported beside the outcome", value: text()},
		{name: "data", of: agentsAndTeams, typ: "fields", about: "the data that is reported beside the outcome; it must suit the agent's schema", value: object{"type": "object"}},
		{name: "outcome", of: "sub-teams", typ: "text", about: "the outcome of the node that ended it", value: text()},
		{name: "tokens", of: agentsAndTeams, typ: "number", about: "what it uses: a number of prompt tokens, or `{prompt: N, completion: N}`; default: none", value: object{"anyOf": []object{count(), ref(sectionTokens)}}},
		{name: "calls", of: agents, typ: "list", about: "the tool calls before it ends, see below", value: listOf(ref(sectionCall))},
		{name: "handoff", of: agents, typ: "name", about: "the node that it picks with the tool `handoff`", value: text()},
		{name: "handoff_message", of: agents, typ: "text", about: "what it says to that node", value: text()},
		{name: "reset", of: agents, typ: "duration", about: "of `quota`: how long the quota is used up", value: duration()},
		{name: "exit_code", of: "checks", typ: "number", about: "default: 1 where it failed", value: count()},
		{name: "answer", of: "agents, checks", typ: "text", about: "of `uncertain`, and of a `crash` in a check with `rerun: false`, where a person is asked: their answer, `continue`, `retry` or `fail`, of a check `passed`, `failed` or `retry`; default: `fail`, of a check `failed`", value: text()},
		{name: "by", of: "agents, checks, gates", typ: "text", about: "who answers; default: `" + person + "`", value: text()},
		{name: "comment", of: "gates", typ: "text", about: "what they say", value: text()},
		{name: "nodes", of: "sub-teams", typ: "names with endings", about: "how the nodes of the sub-team end; it is run then. Without it the sub-team ends as `reason` says, and is not run", value: nodesValue()},
	}}
}

func tokensSection() section {
	return section{name: sectionTokens, fields: []field{
		{name: "prompt", about: "tokens of the prompt", value: count()},
		{name: "completion", about: "tokens of the answer", value: count()},
	}}
}

func callSection() section {
	return section{name: sectionCall, title: "A tool call", fields: []field{
		{name: "tool", typ: "text", required: true, about: "the tool", value: text()},
		{name: "input", typ: "fields", about: "what it is called with", value: object{"type": "object"}},
		{name: "answer", typ: "text", about: "what the person says who is asked; default: nobody answers. It is a failure when nobody is asked", value: text()},
		{name: "by", typ: "text", about: "who answers; default: `" + person + "`", value: text()},
		{name: "expect", typ: "`allowed`, `denied`, `asked`", about: "what must become of it", value: object{"enum": []string{CallAllowed, CallDenied, CallAsked}}},
	}}
}

func expectSection() section {
	number := func() object {
		return object{"anyOf": []object{{"type": "number", "minimum": 0}, {"type": "string", "pattern": `^\s*(<=)?\s*[+0-9.]`}}}
	}
	return section{name: sectionExpect, title: "What must follow", about: "At least one of these; what is not said is not checked:", fields: []field{
		{name: "route", typ: "list", about: "exactly these ends of nodes, in this order; between parallel branches the order is free. `NODE@BRANCH REASON -> TARGET  rule N`, of which all but NODE may be left out. TARGET is a node, several (`a, b`), `worker x3`, an end, `retry` or `join`. A join is a step of its own, `join -> NODE`, that may be left out", value: listOf(text())},
		{name: "state", typ: "text", about: "`succeeded`, `failed`, `cancelled`, `paused` or `waiting`", value: object{"enum": finalStates()}},
		{name: "node", typ: "name", about: "the node that ended the task", value: text()},
		{name: "reason", typ: "name", about: "the reason that it ended with", value: text()},
		{name: "explanation", typ: "text", about: "is contained in why the task ended or paused", value: text()},
		{name: "rules", typ: "list", about: "exactly these rules fired, by their numbers", value: listOf(count())},
		{name: "messages", typ: "names with messages", about: "by agent or gate, for the first visit and the next ones in order, see below", value: mapOf(listOf(object{"anyOf": []object{text(), ref(sectionMessage)}}), nil)},
		{name: "turns", typ: "number", about: "how many turns of agents there were; a number, or `\"<= number\"`", value: number()},
		{name: "tokens", typ: "number", about: "how many tokens were used; a number, or `\"<= number\"`", value: number()},
		{name: "cost", typ: "number", about: "what it cost in dollars; a number, or `\"<= number\"`", value: number()},
		{name: "elapsed", typ: "duration", about: "how long it took in virtual time; a duration, or `\"<= duration\"`", value: object{"type": []string{"string", "integer"}, "pattern": `^(<=)?\s*[+0-9.]`, "minimum": 0, "maximum": 0}},
	}}
}

func finalStates() []string { return []string{"succeeded", "failed", "cancelled", "paused", "waiting"} }

func messageSection() section {
	return section{name: sectionMessage, title: "A message", about: "A text that is contained, or these fields:", fields: []field{
		{name: "visit", typ: "number", about: "which visit, from 1; with `branch` of those in the branch; default: its place in the list", value: count()},
		{name: "branch", typ: "text", about: "the label of a branch", value: text()},
		{name: "contains", typ: "text or list", about: "what it must contain", value: listOf(text())},
		{name: "lacks", typ: "text or list", about: "what it must not contain", value: listOf(text())},
		{name: "equals", typ: "text", about: "the whole message; white space around it does not count", value: text()},
		{name: "matches", typ: "text or list", about: "regular expressions of Go", value: listOf(text())},
	}}
}

// FieldReference is the part of docs/team-tests.md that lists the fields, as Markdown.
func FieldReference() string {
	var b strings.Builder
	for _, s := range sections() {
		if s.title == "" {
			continue // the section that it belongs to tells of it
		}
		fmt.Fprintf(&b, "### %s\n\n", s.title)
		if s.about != "" {
			fmt.Fprintf(&b, "%s\n\n", s.about)
		}
		of := s.name == sectionEnding
		if of {
			b.WriteString("| field | of | type | what it says |\n|---|---|---|---|\n")
		} else {
			b.WriteString("| field | type | what it says |\n|---|---|---|\n")
		}
		for _, f := range s.fields {
			kinds := ""
			if of {
				kinds = " " + f.of + " |"
				if f.of == "" {
					kinds = " all |"
				}
			}
			about := f.about
			if f.required {
				about += "; required"
			}
			fmt.Fprintf(&b, "| `%s` |%s %s | %s |\n", f.name, kinds, f.typ, strings.ReplaceAll(about, "|", `\|`))
		}
		b.WriteString("\n")
	}
	return b.String()
}
