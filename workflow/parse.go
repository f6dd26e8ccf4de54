package workflow

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFile bounds a team file, in bytes.
const maxFile = 1 << 20

// ParseOptions says what Parse checks beyond the file itself.
type ParseOptions struct {
	// Roles are the names that `role:` may use; nil means that role names are not checked.
	Roles []string
}

// Parse reads and checks a team file. file is used in messages only. When
// anything is wrong the error is Problems: all of it, with places and remedies.
// What is allowed but probably not meant is in Team.Warnings.
func Parse(file string, src []byte, opts ParseOptions) (*Team, error) {
	sum := sha256.Sum256(src)
	p := &parser{
		source: newSource(file, src), roles: opts.Roles,
		team: &Team{
			Source: bytes.Clone(src), File: file, Revision: hex.EncodeToString(sum[:]),
			Inputs: map[string]Input{}, Agents: map[string]*Agent{},
		},
	}
	if root := p.document(src); root != nil {
		p.decode(root)
		p.check()
	}
	if len(p.problems) > 0 {
		return nil, sorted(p.problems)
	}
	p.team.Warnings = sorted(p.warnings)
	return p.team, nil
}

// parser holds one run of Parse.
type parser struct {
	source   *source
	roles    []string
	team     *Team
	problems Problems
	warnings Problems

	start    *yaml.Node
	message  *yaml.Node
	agents   map[string]agentNodes
	handoffs []ruleNodes
	// later names nodes that are declared in sections of a later version.
	later []string
}

func (p *parser) problem(n *yaml.Node, fix, format string, args ...any) {
	p.problems = append(p.problems, p.source.problem(position(n), p.source.width(n), fmt.Sprintf(format, args...), fix))
}

func (p *parser) problemAt(pos Position, fix, format string, args ...any) {
	p.problems = append(p.problems, p.source.problem(pos, 1, fmt.Sprintf(format, args...), fix))
}

func (p *parser) warn(n *yaml.Node, fix, format string, args ...any) {
	p.warnings = append(p.warnings, p.source.problem(position(n), p.source.width(n), fmt.Sprintf(format, args...), fix))
}

// sorted orders problems by place and leaves out repetitions.
func sorted(ps Problems) Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(ps)
}

// document reads the YAML and returns its root; nil after a problem.
func (p *parser) document(src []byte) *yaml.Node {
	if len(src) > maxFile {
		p.problemAt(Position{}, "", "the team file is longer than %d KiB", maxFile>>10)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		p.problemAt(Position{Line: 1, Column: 1}, "begin with:  version: 1", "the team file is empty")
		return nil
	case err != nil:
		p.syntaxProblem(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		p.problem(&second, "put every team in a file of its own", "the file has more than one YAML document")
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.syntaxProblem(err)
		return nil
	}
	root := resolve(&doc)
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = resolve(doc.Content[0])
	}
	if root.Kind != yaml.MappingNode {
		p.problem(root, "begin with:  version: 1", "a team file is a mapping of fields, not %s", kindOf(root))
		return nil
	}
	return root
}

// syntaxProblem turns an error of the YAML parser into a problem. The parser
// knows the line at most, and no column.
func (p *parser) syntaxProblem(err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	pos := Position{Line: 1, Column: 1}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			pos.Line = max(1, min(n, len(p.source.lines)))
		}
		message = message[len(m[0]):]
	}
	line := p.source.line(pos.Line)
	pos.Column = len(line) - len(strings.TrimLeft(line, " \t")) + 1
	fix := ""
	switch {
	case strings.Contains(line, "\t"):
		fix = "YAML is indented with spaces, never with tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		fix = `text that contains ": " must be in quotes`
	}
	p.problemAt(pos, fix, "this is not YAML: %s", message)
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "empty"
		}
		return strconv.Quote(excerpt(n.Value, 40))
	default:
		return "empty"
	}
}

// maxName bounds a name, in characters.
const maxName = 64

var nameSyntax = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// name checks a name that the file gives to something.
func (p *parser) name(n *yaml.Node, what string) bool {
	if nameSyntax.MatchString(n.Value) && len(n.Value) <= maxName {
		return true
	}
	p.problem(n, "names are lower-case letters, digits, - and _, begin with a letter and have at most 64 characters",
		"%q cannot be the name of %s", excerpt(n.Value, 80), what)
	return false
}
