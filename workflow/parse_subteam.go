package workflow

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// MaxNesting is how deep sub-teams may contain sub-teams.
const MaxNesting = 5

// loading is what the parsers of a file and of its sub-teams share.
type loading struct {
	load func(path string) (file string, src []byte, err error)
	// path leads from the top file to the one that is being read, and files are
	// their names for messages: one file can be reached by several paths.
	path, files []string
	// teams are the files that have been read; nil is one with problems.
	teams map[string]*Team
}

// subTeamNodes are the nodes of a sub-team that later checks point at.
type subTeamNodes struct {
	node *SubTeam
	key  *yaml.Node
	// inputs are the keys and the values of its inputs, by name.
	inputs, values map[string]*yaml.Node
	// given says that the inputs could be read.
	given bool
	// keys are those of its fields, by name.
	keys map[string]*yaml.Node
}

// subTeam reads a node that runs another team.
func (p *parser) subTeam(key, value *yaml.Node) {
	s := &SubTeam{Name: key.Value, Input: map[string]Template{}, Pos: position(key)}
	what := fmt.Sprintf("sub-team %q", s.Name)
	of := func(field string) string { return field + " of " + what }
	nodes := subTeamNodes{node: s, key: key, inputs: map[string]*yaml.Node{}, values: map[string]*yaml.Node{}}
	keys := p.object(value, what, fields{
		"team": func(n *yaml.Node) {
			if _, ok := p.text(n, of("team")); ok {
				s.File = n.Value
				s.Team = p.subTeamFile(n)
			}
		},
		"input":  func(n *yaml.Node) { p.subTeamInput(n, of("input"), &nodes) },
		"limits": func(n *yaml.Node) { p.limits(n, of("limits"), &s.Limits, false) },
	})
	if keys["team"] == nil {
		p.problem(key, "name its team file:  team: other.yaml", "%s has no team", what)
	}
	nodes.keys = keys
	if p.node(key, "a sub-team") {
		p.team.Teams[s.Name] = s
		p.subTeams = append(p.subTeams, nodes)
	}
}

// subTeamInput reads the inputs that a sub-team is given. A number or a truth
// value is taken as it is written.
func (p *parser) subTeamInput(n *yaml.Node, what string, nodes *subTeamNodes) {
	nodes.given = isNull(n) || n.Kind == yaml.MappingNode
	if isNull(n) {
		return
	}
	if !nodes.given {
		p.problem(n, `write  goal: "{{ .output }}"`, "%s is a mapping of inputs, not %s", what, kindOf(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if !p.key(key, nodes.inputs, what) {
			continue
		}
		name := key.Value
		switch {
		case value.Kind != yaml.ScalarNode || isNull(value):
			p.problem(value, p.quoteHint(value), "%s in %s must be a text, a number or a bool, not %s", name, what, kindOf(value))
		default:
			nodes.values[name] = value
			p.templates = append(p.templates, lateTemplate{node: value, what: name + " in " + what, set: func(t Template) { nodes.node.Input[name] = t }, scalar: true})
		}
	}
}

// subTeamFile reads the file of a sub-team; nil after a problem, there or here.
func (p *parser) subTeamFile(n *yaml.Node) *Team {
	l := p.loading
	if path.IsAbs(n.Value) {
		p.problem(n, "write a path relative to this file", "the team file %q has an absolute path", n.Value)
		return nil
	}
	name := path.Join(path.Dir(p.path), n.Value)
	if at := slices.Index(l.path, name); at >= 0 {
		p.leadsAround(n, at)
		return nil
	}
	team, known := l.teams[name]
	if !known {
		team = p.readSubTeam(n, name)
		l.teams[name] = team
	}
	if team == nil {
		return nil
	}
	if len(l.path)+team.nesting() > MaxNesting {
		p.problem(n, "nest less", "sub-teams are nested more than %d deep", MaxNesting)
		return nil
	}
	p.addSources(name, team)
	return team
}

func (p *parser) readSubTeam(n *yaml.Node, name string) *Team {
	l := p.loading
	if l.load == nil {
		p.problem(n, "", "the team file %q cannot be read here", n.Value)
		return nil
	}
	if len(l.path) > MaxNesting {
		p.problem(n, "nest less", "sub-teams are nested more than %d deep", MaxNesting)
		return nil
	}
	file, src, err := l.load(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.problem(n, "paths are relative to the directory of this file", "there is no team file %q", n.Value)
		return nil
	case err != nil:
		p.problem(n, "", "the team file %q cannot be read: %s", n.Value, err)
		return nil
	}
	if at := slices.Index(l.files, path.Clean(file)); at >= 0 {
		p.leadsAround(n, at)
		return nil
	}
	l.path, l.files = append(l.path, name), append(l.files, path.Clean(file))
	team, err := newParser(file, src, name, p.options, l).run(src)
	l.path, l.files = l.path[:len(l.path)-1], l.files[:len(l.files)-1]
	if err != nil {
		problems, _ := errors.AsType[Problems](err)
		p.inner = append(p.inner, problems...)
		return nil
	}
	p.innerWarnings = append(p.innerWarnings, team.Warnings...)
	return team
}

// leadsAround reports a team that contains itself; at is where it is in the path.
func (p *parser) leadsAround(n *yaml.Node, at int) {
	around := append(slices.Clone(p.loading.path[at:]), p.loading.path[at])
	p.problem(n, "a team cannot contain itself; lead back by a rule instead", "the sub-teams lead around: %s", strings.Join(around, " -> "))
}

// addSources keeps the file of a sub-team, and those of its own, by their path
// relative to this file.
func (p *parser) addSources(name string, team *Team) {
	if p.team.Sources == nil {
		p.team.Sources = map[string][]byte{}
	}
	name = relative(path.Dir(p.path), name)
	p.team.Sources[name] = team.Source
	for inner, src := range team.Sources {
		p.team.Sources[path.Join(path.Dir(name), inner)] = src
	}
}

// relative is the path of name seen from the directory dir. Both are clean and
// relative to the same directory.
func relative(dir, name string) string {
	if dir == "." {
		return name
	}
	from, to := strings.Split(dir, "/"), strings.Split(name, "/")
	for len(from) > 0 && len(to) > 1 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	up := slices.Repeat([]string{".."}, len(from))
	return strings.Join(append(up, to...), "/")
}

// nesting is how deep sub-teams are nested in the team.
func (t *Team) nesting() int {
	deepest := 0
	for _, s := range t.Teams {
		if s.Team != nil {
			deepest = max(deepest, 1+s.Team.nesting())
		}
	}
	return deepest
}

// includeRevisions makes the revision one of the sub-teams too.
func (p *parser) includeRevisions() {
	if len(p.team.Teams) == 0 {
		return
	}
	revisions := []string{p.team.Revision}
	for _, name := range p.team.NodeNames {
		if s := p.team.Teams[name]; s != nil {
			revisions = append(revisions, s.Team.Revision)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(revisions, "\n")))
	p.team.Revision = hex.EncodeToString(sum[:])
}

// LoadSources is ParseOptions.Load for a team whose files are at hand: file is
// Team.File and sources Team.Sources. Errors: fs.ErrNotExist.
func LoadSources(file string, sources map[string][]byte) func(string) (string, []byte, error) {
	return func(name string) (string, []byte, error) {
		src, ok := sources[name]
		if !ok {
			return "", nil, fmt.Errorf("team file %s: %w", name, fs.ErrNotExist)
		}
		return path.Join(path.Dir(file), name), src, nil
	}
}
