package apptest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// ScriptError is a mistake in a script file.
type ScriptError struct {
	// File, Line and Column say where; lines and columns count from 1.
	File   string
	Line   int
	Column int
	// Problem says what is wrong and how to mend it.
	Problem string
}

// Error is "file:line:column: problem".
func (e *ScriptError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
}

// ParseScript reads a script from YAML. Unknown keys and wrong types are errors; the error joins a
// [*ScriptError] for each mistake. name stands in front of them.
//
//	version: 1
//	agents:
//	  planner:
//	    turns:
//	      - - say: "1. Add the flag."
//	  reviewer:
//	    repeat: last            # or loop; without it a further turn is an error
//	    turns:
//	      - - expect: {message_contains: "--json"}
//	        - tool: {name: Read, input: {file_path: "{{ .cwd }}/main.go"}}
//	        - outcome: {outcome: request_changes, summary: "No test."}
//	      - - outcome: {outcome: approve}
//
// The steps are those of [Step], in lower case with underscores: expect, say (with chunk_delay beside it),
// reason, tool, tools, external, outcome, error, stop_reason, delay, hang, drop, duplicate, unknown_frame,
// unsolicited, usage.
func ParseScript(name string, data []byte) (*Script, error) {
	p := &parser{file: name}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, p.syntaxError(err)
	}
	script := &Script{Name: name, Agents: map[string]AgentScript{}}
	if len(doc.Content) == 0 {
		return nil, &ScriptError{name, 1, 1, "the script is empty; it needs version: 1 and agents:"}
	}
	version := 0
	p.fields(doc.Content[0], "script", map[string]func(*yaml.Node){
		"version": func(n *yaml.Node) { p.decode(n, &version, "a number") },
		"agents": func(n *yaml.Node) {
			p.each(n, "agents", func(key string, n *yaml.Node) { script.Agents[key] = p.agent(n) })
		},
	})
	if version != 1 && len(p.errs) == 0 {
		p.fail(doc.Content[0], "version: 1 is needed; it is the only one there is")
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return script, nil
}

// parser walks the YAML nodes, because only they know where they stand.
type parser struct {
	file string
	errs []error
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, &ScriptError{p.file, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// syntaxError takes the line out of the library's message.
func (p *parser) syntaxError(err error) error {
	line := 1
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scanErr := fmt.Sscanf(text, "line %d:", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return &ScriptError{p.file, line, 1, "not YAML: " + text}
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// each calls f for every key of a mapping.
func (p *parser) each(n *yaml.Node, what string, f func(key string, value *yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s is a mapping of names to values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			p.fail(key, "%s has %q twice", what, key.Value)
			continue
		}
		seen[key.Value] = true
		f(key.Value, resolve(n.Content[i+1]))
	}
}

// fields is each with a fixed set of keys.
func (p *parser) fields(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s is a mapping of names to values", what)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if known[key.Value] == nil {
			var names []string
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			p.fail(key, "%s has no %q; it may have %s", what, key.Value, strings.Join(names, ", "))
		}
	}
	p.each(n, what, func(key string, value *yaml.Node) {
		if f := known[key]; f != nil {
			f(value)
		}
	})
}

func (p *parser) decode(n *yaml.Node, into any, want string) {
	if err := n.Decode(into); err != nil {
		p.fail(n, "%q is not %s", n.Value, want)
	}
}

func (p *parser) duration(n *yaml.Node, into *time.Duration) {
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < 0 {
		p.fail(n, "%q is not a duration such as 200ms or 2s", n.Value)
		return
	}
	*into = d
}

func (p *parser) list(n *yaml.Node, what string, f func(*yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "%s is a list", what)
		return
	}
	for _, item := range n.Content {
		f(resolve(item))
	}
}

func (p *parser) agent(n *yaml.Node) AgentScript {
	var a AgentScript
	p.fields(n, "an agent's script", map[string]func(*yaml.Node){
		"repeat": func(n *yaml.Node) {
			if a.Repeat = Repeat(n.Value); a.Repeat != RepeatLast && a.Repeat != RepeatLoop {
				p.fail(n, "repeat is last or loop, not %q", n.Value)
			}
		},
		"per": func(n *yaml.Node) {
			if a.PerConversation = n.Value == "conversation"; !a.PerConversation && n.Value != "agent" {
				p.fail(n, "per is agent or conversation, not %q", n.Value)
			}
		},
		"turns": func(n *yaml.Node) {
			p.list(n, "turns", func(n *yaml.Node) {
				turn := Turn{}
				p.list(n, "a turn", func(n *yaml.Node) { turn = append(turn, p.step(n)) })
				a.Turns = append(a.Turns, turn)
			})
		},
	})
	return a
}

func (p *parser) step(n *yaml.Node) Step {
	var s Step
	before := len(p.errs)
	p.fields(n, "a step", map[string]func(*yaml.Node){
		"expect":      func(n *yaml.Node) { s.Expect = p.expect(n) },
		"say":         func(n *yaml.Node) { p.decode(n, &s.Say, "text") },
		"chunk_delay": func(n *yaml.Node) { p.duration(n, &s.ChunkDelay) },
		"reason":      func(n *yaml.Node) { p.decode(n, &s.Reason, "text") },
		"tool":        func(n *yaml.Node) { s.Tool = p.call(n) },
		"tools": func(n *yaml.Node) {
			p.list(n, "tools", func(n *yaml.Node) { s.Tools = append(s.Tools, *p.call(n)) })
		},
		"external": func(n *yaml.Node) { s.External = p.call(n) },
		"outcome": func(n *yaml.Node) {
			s.Outcome = &Outcome{}
			p.fields(n, "outcome", map[string]func(*yaml.Node){
				"outcome": func(n *yaml.Node) { p.decode(n, &s.Outcome.Outcome, "text") },
				"summary": func(n *yaml.Node) { p.decode(n, &s.Outcome.Summary, "text") },
				"data":    func(n *yaml.Node) { p.decode(n, &s.Outcome.Data, "a mapping") },
			})
		},
		"error": func(n *yaml.Node) {
			s.Error = &Failure{}
			p.fields(n, "error", map[string]func(*yaml.Node){
				"status":  func(n *yaml.Node) { p.decode(n, &s.Error.Status, "an HTTP status") },
				"message": func(n *yaml.Node) { p.decode(n, &s.Error.Message, "text") },
				"times":   func(n *yaml.Node) { p.decode(n, &s.Error.Times, "a number") },
			})
		},
		"stop_reason":   func(n *yaml.Node) { p.decode(n, &s.StopReason, "text") },
		"delay":         func(n *yaml.Node) { p.duration(n, &s.Delay) },
		"hang":          func(n *yaml.Node) { p.decode(n, &s.Hang, "true") },
		"drop":          func(n *yaml.Node) { p.decode(n, &s.Drop, "true") },
		"duplicate":     func(n *yaml.Node) { p.decode(n, &s.Duplicate, "a number of copies") },
		"unknown_frame": func(n *yaml.Node) { p.decode(n, &s.UnknownFrame, "a mapping") },
		"unsolicited": func(n *yaml.Node) {
			s.Unsolicited = &Unsolicited{}
			p.fields(n, "unsolicited", map[string]func(*yaml.Node){
				"notification": func(n *yaml.Node) { p.decode(n, &s.Unsolicited.Notification, "text") },
				"say":          func(n *yaml.Node) { p.decode(n, &s.Unsolicited.Say, "text") },
			})
		},
		"usage": func(n *yaml.Node) {
			s.Usage = &Usage{}
			p.fields(n, "usage", map[string]func(*yaml.Node){
				"prompt_tokens":       func(n *yaml.Node) { p.decode(n, &s.Usage.PromptTokens, "a number") },
				"completion_tokens":   func(n *yaml.Node) { p.decode(n, &s.Usage.CompletionTokens, "a number") },
				"cached_input_tokens": func(n *yaml.Node) { p.decode(n, &s.Usage.CachedInputTokens, "a number") },
				"reasoning_tokens":    func(n *yaml.Node) { p.decode(n, &s.Usage.ReasoningTokens, "a number") },
			})
		},
	})
	if len(p.errs) == before {
		if err := s.validate(); err != nil {
			p.fail(n, "%v", err)
		}
	}
	return s
}

func (p *parser) call(n *yaml.Node) *Call {
	c := &Call{}
	p.fields(n, "a tool call", map[string]func(*yaml.Node){
		"name":  func(n *yaml.Node) { p.decode(n, &c.Name, "text") },
		"input": func(n *yaml.Node) { p.decode(n, &c.Input, "a mapping") },
	})
	return c
}

func (p *parser) expect(n *yaml.Node) *Expect {
	e := &Expect{}
	texts := func(into *[]string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode {
				*into = []string{n.Value}
				return
			}
			p.decode(n, into, "text or a list of texts")
		}
	}
	p.fields(n, "expect", map[string]func(*yaml.Node){
		"message_contains": texts(&e.MessageContains),
		"message_lacks":    texts(&e.MessageLacks),
		"mode":             func(n *yaml.Node) { p.decode(n, &e.Mode, "text") },
	})
	return e
}
