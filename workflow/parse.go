package workflow

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
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
	// Load reads the team file of a sub-team. path has slashes and is relative to
	// the directory of the file that is given to Parse, also for the sub-teams of
	// a sub-team. It returns the name of the file for messages, and its text. nil
	// means that sub-teams cannot be read, which is a problem where there are some.
	Load func(path string) (file string, src []byte, err error)
	// Cron and TimeZone say what is wrong with the times of a schedule, in a sentence
	// that ends with what to write instead. nil means that they are not checked:
	// this package knows no calendar, and keeps them as they are written.
	Cron, TimeZone func(text string) error
}

// Parse reads and checks a team file. file is used in messages only. When
// anything is wrong the error is Problems: all of it, with places and remedies.
// What is allowed but probably not meant is in Team.Warnings.
func Parse(file string, src []byte, opts ParseOptions) (*Team, error) {
	name := path.Base(strings.ReplaceAll(file, `\`, "/"))
	p := newParser(file, src, name, opts, &loading{load: opts.Load, path: []string{name}, files: []string{path.Clean(file)}, teams: map[string]*Team{}})
	return p.run(src)
}

// parser reads one file in a run of Parse.
type parser struct {
	// other is what the file is called when it is no team file.
	other    string
	source   *source
	roles    []string
	options  ParseOptions
	team     *Team
	problems Problems
	warnings Problems

	// path is the file's, relative to the directory of the top file.
	path    string
	loading *loading
	// inner are the problems and the warnings of sub-teams, which have files of their own.
	inner, innerWarnings Problems

	start    *yaml.Node
	message  *yaml.Node
	agents   map[string]agentNodes
	handoffs []ruleNodes
	// declared are the keys of all nodes, by name.
	declared map[string]*yaml.Node
	checks   []checkNodes
	subTeams []subTeamNodes
	// schedules are checked when the inputs are known.
	schedules []scheduleNodes
	// templates wait to be compiled until all names are known.
	templates []lateTemplate
}

func newParser(file string, src []byte, name string, opts ParseOptions, l *loading) *parser {
	sum := sha256.Sum256(src)
	return &parser{
		source: newSource(file, src), roles: opts.Roles, options: opts, path: name, loading: l,
		team: &Team{Source: bytes.Clone(src), File: file, Revision: hex.EncodeToString(sum[:]), OutputLimit: DefaultOutputLimit},
	}
}

func (p *parser) run(src []byte) (*Team, error) {
	if root := p.document(src); root != nil {
		p.decode(root)
		p.check()
	}
	if len(p.problems) > 0 || len(p.inner) > 0 {
		return nil, slices.Concat(sorted(p.problems), p.inner)
	}
	p.team.Warnings = slices.Concat(sorted(p.warnings), p.innerWarnings)
	p.includeRevisions()
	return p.team, nil
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
		p.problemAt(Position{}, "", "the %s is longer than %d KiB", p.kind(), maxFile>>10)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		p.problemAt(Position{Line: 1, Column: 1}, "begin with:  version: 1", "the %s is empty", p.kind())
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
		p.problem(root, "begin with:  version: 1", "a %s is a mapping of fields, not %s", p.kind(), kindOf(root))
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
	case strings.Contains(message, "did not find expected ','"):
		fix = "within { } and [ ], here or before, a text with , or { } [ ] in it, or with ? at its end, must be in quotes"
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
