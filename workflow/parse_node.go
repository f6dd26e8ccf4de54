package workflow

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// checkNodes are the nodes of a check that later checks point at.
type checkNodes struct {
	check   *Check
	timeout *yaml.Node
}

// checkNode reads a check.
func (p *parser) checkNode(key, value *yaml.Node) {
	c := &Check{Name: key.Value, Timeout: DefaultCheckTimeout, Rerun: true, Pos: position(key)}
	what := fmt.Sprintf("check %q", c.Name)
	of := func(field string) string { return field + " of " + what }
	keys := p.object(value, what, fields{
		"run":         func(n *yaml.Node) { p.command(n, of("run"), c) },
		"timeout":     p.durationInto(&c.Timeout, of("timeout"), time.Second),
		"directory":   func(n *yaml.Node) { p.insideDirectory(n, of("directory"), &c.Directory) },
		"environment": func(n *yaml.Node) { c.Environment = p.environment(n, of("environment")) },
		"rerun":       p.boolInto(&c.Rerun, of("rerun")),
	})
	if keys["run"] == nil {
		p.problem(key, `say what to run:  run: "go test ./..."`, "%s has no run", what)
	}
	p.checks = append(p.checks, checkNodes{check: c, timeout: keys["timeout"]})
	if p.node(key, "a check") {
		p.team.Checks[c.Name] = c
	}
}

// looksRendered finds what would be a value in a template.
var looksRendered = regexp.MustCompile(`\{\{-?\s*\.(input|output|task|nodes|data|outcome|summary|item)\b`)

// command reads `run:`, a line for the shell or a list of a program and its arguments.
func (p *parser) command(n *yaml.Node, what string, c *Check) {
	if n.Kind != yaml.SequenceNode {
		if _, ok := p.text(n, what); ok {
			c.Run = n.Value
			p.warnOfTemplate(n, what)
		}
		return
	}
	for i, item := range n.Content {
		item = resolve(item)
		switch {
		case item.Kind != yaml.ScalarNode || isNull(item):
			p.problem(item, p.quoteHint(item), "an entry of %s must be text, not %s", what, kindOf(item))
		case i == 0 && strings.TrimSpace(item.Value) == "":
			p.problem(item, "begin with the name of a program", "the program in %s is empty", what)
		default:
			p.warnOfTemplate(item, what)
		}
		c.Command = append(c.Command, item.Value)
	}
	if len(n.Content) == 0 {
		p.problem(n, `write a command, as in  run: "go test ./..."`, "%s is empty", what)
	}
}

func (p *parser) warnOfTemplate(n *yaml.Node, what string) {
	if looksRendered.MatchString(n.Value) {
		p.warn(n, "write the value out", "%s is no template: {{ }} stays in the command as it is", what)
	}
}

// insideDirectory reads a directory that is relative to the workspace and stays in it.
func (p *parser) insideDirectory(n *yaml.Node, what string, target *string) {
	text, ok := p.text(n, what)
	if !ok {
		return
	}
	clean := path.Clean(text)
	if path.IsAbs(text) || clean == ".." || strings.HasPrefix(clean, "../") {
		p.problem(n, "name a directory in the workspace, as in  directory: sub", "%s leaves the workspace: %q", what, excerpt(text, 60))
		return
	}
	if clean != "." {
		*target = clean
	}
}

var variableSyntax = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment reads variables; numbers and truth values are taken as they are written.
func (p *parser) environment(n *yaml.Node, what string) map[string]string {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		p.problem(n, "write  NAME: value", "%s is a mapping of names, not %s", what, kindOf(n))
		return nil
	}
	out, keys := map[string]string{}, map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if !p.key(key, keys, what) {
			continue
		}
		switch {
		case !variableSyntax.MatchString(key.Value):
			p.problem(key, "names are letters, digits and _, and begin with no digit", "%q cannot be the name of a variable", excerpt(key.Value, 60))
		case value.Kind != yaml.ScalarNode || isNull(value):
			p.problem(value, `write a text; "" is the empty one`, "%s in %s must be text, not %s", key.Value, what, kindOf(value))
		case strings.ContainsRune(value.Value, 0):
			p.problem(value, "remove it", "%s in %s has a NUL character", key.Value, what)
		default:
			out[key.Value] = value.Value
		}
	}
	return out
}

// gate reads a gate.
func (p *parser) gate(key, value *yaml.Node) {
	g := &Gate{Name: key.Value, Expires: DefaultGateExpires, AtExpiry: ReasonExpired, Pos: position(key)}
	what := fmt.Sprintf("gate %q", g.Name)
	of := func(field string) string { return field + " of " + what }
	at := string(ReasonExpired)
	keys := p.object(value, what, fields{
		"question":  func(n *yaml.Node) { p.compileLater(n, of("question"), into(&g.Question)) },
		"expires":   p.durationInto(&g.Expires, of("expires"), time.Second),
		"at_expiry": p.choiceInto(&at, of("at_expiry"), expiryReasons()),
	})
	g.AtExpiry = Reason(at)
	if keys["question"] == nil {
		p.problem(key, `say what a person decides:  question: "Merge {{ .task.branch }}?"`, "%s has no question", what)
	}
	if p.node(key, "a gate") {
		p.team.Gates[g.Name] = g
	}
}

func expiryReasons() []string {
	return []string{string(ReasonExpired), string(ReasonApproved), string(ReasonRejected)}
}
