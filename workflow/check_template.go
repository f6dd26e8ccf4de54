package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/expr-lang/expr/types"
	"gopkg.in/yaml.v3"
)

// lateTemplate is a template that is compiled when all names are known.
type lateTemplate struct {
	node *yaml.Node
	what string
	set  func(Template)
	only []string
	// scalar says that any scalar will do, and not only a text.
	scalar bool
}

func into(target *Template) func(Template) { return func(t Template) { *target = t } }

// compileLater notes a text that is a template.
func (p *parser) compileLater(n *yaml.Node, what string, set func(Template), only ...string) {
	p.templates = append(p.templates, lateTemplate{node: n, what: what, set: set, only: only})
}

func (p *parser) compileTemplates() {
	for _, t := range p.templates {
		if t.scalar {
			t.set(p.template(t.node, t.what, t.only...))
		} else if _, ok := p.text(t.node, t.what); ok {
			t.set(p.template(t.node, t.what, t.only...))
		}
	}
}

// template compiles a template and checks every name in it that can be known
// before it runs. only lists the names it may use, e.g. "input" or "task.id";
// none means all.
func (p *parser) template(n *yaml.Node, what string, only ...string) Template {
	t, err := newTemplate(n.Value)
	if err != nil {
		pos, message := p.templatePlace(n, templateMessage(err))
		fix := ""
		if m := undefinedFunc.FindStringSubmatch(message); m != nil {
			pos, fix = p.source.within(n, strings.Index(n.Value, m[1])), suggestion(m[1], allowedFuncs())
		}
		p.problemAt(pos, fix, "%s is not a template: %s", what, message)
		return Template{}
	}
	c := templateCheck{p: p, n: n, what: what, scope: scopeTypes(p.team), only: only}
	if len(t.tmpl.Templates()) > 1 {
		p.problem(n, "write the text out", "%s defines a template of its own, which is not supported", what)
	} else if t.tmpl.Tree != nil {
		c.list(t.tmpl.Root, true)
	}
	return t
}

var undefinedFunc = regexp.MustCompile(`function "(\w+)" not defined`)

var templateLine = regexp.MustCompile(`^(\d+)(?::\d+)?: `)

// templatePlace finds the line that a template error names.
func (p *parser) templatePlace(n *yaml.Node, message string) (Position, string) {
	m := templateLine.FindStringSubmatch(message)
	if m == nil {
		return position(n), message
	}
	offset := 0
	if line, err := strconv.Atoi(m[1]); err == nil {
		for range line - 1 {
			next := strings.IndexByte(n.Value[offset:], '\n')
			if next < 0 {
				break
			}
			offset += next + 1
		}
	}
	if offset == 0 {
		return position(n), message[len(m[0]):]
	}
	return p.source.within(n, offset), message[len(m[0]):]
}

var nameAtStart = regexp.MustCompile(`^[.$]?\w+`)

// branchFields are the fields of the elements of `branches`.
func branchFields() []string {
	return []string{"node", "label", "index", "item", "reason", "outcome", "summary", "data", "output", "error"}
}

// templateCheck walks one parsed template.
type templateCheck struct {
	p     *parser
	n     *yaml.Node
	what  string
	scope types.Map
	only  []string
}

func (c *templateCheck) problem(at parse.Pos, fix, format string, args ...any) {
	pos, width := c.p.source.within(c.n, int(at)), 1
	if pos != position(c.n) {
		width = len(nameAtStart.FindString(c.n.Value[at:]))
	}
	message := fmt.Sprintf("%s "+format, append([]any{c.what}, args...)...)
	c.p.problems = append(c.p.problems, c.p.source.problem(pos, width, message, fix))
}

// list walks nodes; root says that the dot is the scope and nothing else.
func (c *templateCheck) list(l *parse.ListNode, root bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			c.pipe(n.Pipe, root)
		case *parse.IfNode:
			c.pipe(n.Pipe, root)
			c.list(n.List, root)
			c.list(n.ElseList, root)
		case *parse.WithNode:
			c.pipe(n.Pipe, root)
			c.list(n.List, false)
			c.list(n.ElseList, root)
		case *parse.RangeNode:
			c.pipe(n.Pipe, root)
			c.list(n.List, false)
			c.list(n.ElseList, root)
			guardRange(n)
		case *parse.TemplateNode:
			c.problem(n.Pos, "write the text out", "uses another template, which is not supported")
		}
	}
}

// guardRange puts the range guard behind what the template ranges over.
func guardRange(n *parse.RangeNode) {
	guard := parse.NewIdentifier(rangeGuard).SetPos(n.Pos)
	n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{guard}})
}

func (c *templateCheck) pipe(pipe *parse.PipeNode, root bool) {
	if pipe == nil {
		return
	}
	for _, command := range pipe.Cmds {
		for _, arg := range command.Args {
			c.argument(arg, root)
		}
	}
}

func (c *templateCheck) argument(arg parse.Node, root bool) {
	switch arg := arg.(type) {
	case *parse.FieldNode:
		if root {
			c.path(arg.Pos, arg.Ident)
		}
	case *parse.VariableNode:
		if arg.Ident[0] == "$" {
			c.path(arg.Pos, arg.Ident[1:])
		}
	case *parse.IdentifierNode:
		if !slices.Contains(allowedFuncs(), arg.Ident) && arg.Ident != rangeGuard {
			c.problem(arg.Pos, suggestion(arg.Ident, allowedFuncs()), "uses the function %q, which is not supported", arg.Ident)
		}
	case *parse.PipeNode:
		c.pipe(arg, root)
	case *parse.ChainNode:
		c.argument(arg.Node, root)
	}
}

// path checks a chain of fields that begins at the scope.
func (c *templateCheck) path(at parse.Pos, fields []string) {
	if len(fields) == 0 {
		return
	}
	if !c.allowed(fields) {
		c.problem(at, "it can use: ."+strings.Join(c.only, ", ."), "uses .%s, which has no value here", strings.Join(fields, "."))
		return
	}
	here := c.scope
	for i, field := range fields {
		next, ok := here[field]
		if !ok {
			c.unknown(at, here, fields[:i], field)
			return
		}
		inner, ok := next.(types.Map)
		if !ok {
			if i+1 < len(fields) && next != types.Any {
				c.problem(at, "", "uses .%s, and .%s is a plain value", strings.Join(fields[:i+2], "."), strings.Join(fields[:i+1], "."))
			}
			return
		}
		here = inner
	}
}

func (c *templateCheck) unknown(at parse.Pos, here types.Map, path []string, field string) {
	fix := suggestion(field, sortedKeys(here))
	switch strings.Join(path, ".") {
	case "":
		c.problem(at, fix, "uses .%s, which does not exist", field)
	case "input":
		if len(here) == 0 {
			fix = fmt.Sprintf("declare it:  inputs: {%s: {required: true}}", field)
		}
		c.problem(at, fix, "uses .input.%s, and the team declares no input %q", field, field)
	case "nodes":
		c.problem(at, fix, "uses .nodes.%s, and the team has no node %q", field, field)
	default:
		c.problem(at, fix, "uses .%s.%s, which does not exist", strings.Join(path, "."), field)
	}
}

func (c *templateCheck) allowed(fields []string) bool {
	if len(c.only) == 0 {
		return true
	}
	name := strings.Join(fields, ".")
	for _, allowed := range c.only {
		if name == allowed || strings.HasPrefix(name, allowed+".") || strings.HasPrefix(allowed, name+".") {
			return true
		}
	}
	return false
}
