package teamtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/prices"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Suffix is how the names of scenario files end: review.test.yaml is beside review.yaml.
const Suffix = ".test.yaml"

// Beside returns the name of the scenario file of a team file.
func Beside(team string) string {
	return strings.TrimSuffix(team, filepath.Ext(team)) + Suffix
}

// Load reads a scenario file and the team file that it is about. loadTeam reads
// a team file. What is wrong with either is a workflow.Problems.
func Load(path string, loadTeam func(path string) (*workflow.Team, error)) (*File, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the scenario file: %w", err)
	}
	name := teamOf(path, src)
	team, err := loadTeam(name)
	if err != nil {
		return nil, err
	}
	return Parse(path, src, team)
}

// teamOf is the team file that a scenario file is about: the one that it names,
// or the one beside it.
func teamOf(path string, src []byte) string {
	var head struct{ Team string }
	if err := yaml.Unmarshal(src, &head); err == nil && head.Team != "" {
		return filepath.Join(filepath.Dir(path), filepath.FromSlash(head.Team))
	}
	return strings.TrimSuffix(path, Suffix) + ".yaml"
}

// Parse reads and checks the scenarios for a team. When anything is wrong the
// error is workflow.Problems: all of it.
func Parse(name string, src []byte, team *workflow.Team) (*File, error) {
	p := &parser{Reader: workflow.NewReader("scenario file", name, src), file: &File{Name: name, Team: team, Prices: prices.Flat(defaultInputPrice, defaultOutputPrice)}}
	if root := p.Root(); root != nil {
		p.top(root)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return p.file, nil
}

type parser struct {
	*workflow.Reader
	file *File
}

// reads has, by name, what reads a field.
type reads = map[string]func(*yaml.Node)

func position(n *yaml.Node) workflow.Position {
	return workflow.Position{Line: n.Line, Column: n.Column}
}

func (p *parser) top(root *yaml.Node) {
	keys := p.Fields(root, "the scenario file", reads{
		"version": func(n *yaml.Node) {
			if n.Value != "1" || n.Tag != "!!int" {
				p.Problem(n, "write:  version: 1", "version must be 1")
			}
		},
		"team":   func(n *yaml.Node) { p.Text(n, "team") },
		"prices": p.prices,
		"scenarios": func(n *yaml.Node) {
			if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
				p.Problem(n, "write, for each:  - name: what it shows", "scenarios must be a list of at least one scenario")
				return
			}
			for _, item := range n.Content {
				p.scenario(item)
			}
		},
	})
	for field, fix := range map[string]string{"version": "begin with:  version: 1", "scenarios": "add:  scenarios: [...]"} {
		if keys[field] == nil {
			p.Problem(root, fix, "the scenario file has no %s", field)
		}
	}
}

// prices reads what models cost: as a price file says it.
func (p *parser) prices(n *yaml.Node) {
	p.file.Prices = prices.Models(n, func(n *yaml.Node, fix, message string) { p.Problem(n, fix, "%s", message) })
}

// What any model costs, in dollars for a million tokens, where a scenario file has no prices.
const (
	defaultInputPrice  = 3
	defaultOutputPrice = 15
)

// number reads a number that is not negative.
func (p *parser) number(n *yaml.Node, what string) float64 {
	var value float64
	if err := n.Decode(&value); err != nil || n.Kind != yaml.ScalarNode || !(value >= 0 && value <= 1e9) {
		p.Problem(n, "", "%s must be a number that is not negative", what)
		return 0
	}
	return value
}

func (p *parser) scenario(n *yaml.Node) {
	s := &Scenario{Pos: position(n), Nodes: map[string]*NodeScript{}, file: p.file}
	var inputs *yaml.Node
	keys := p.Fields(n, "a scenario", reads{
		"name":  func(n *yaml.Node) { s.Name, _ = p.Text(n, "the name of a scenario") },
		"input": func(n *yaml.Node) { inputs = n },
		"nodes": func(n *yaml.Node) { s.Nodes = p.nodes(n, p.file.Team) },
		"on_pause": func(n *yaml.Node) {
			for _, item := range p.List(n) {
				s.OnPause = append(s.OnPause, p.resume(item))
			}
		},
		"expect": func(n *yaml.Node) { s.Expect = p.expect(n) },
	})
	if n.Kind != yaml.MappingNode {
		if n.Tag == "!!null" {
			p.Problem(n, "write:  - name: what it shows", "a scenario is empty")
		}
		return
	}
	for _, field := range []string{"name", "expect"} {
		if keys[field] == nil {
			p.Problem(n, fmt.Sprintf("add:  %s: …", field), "a scenario has no %s", field)
		}
	}
	p.input(s, n, inputs)
	if slices.ContainsFunc(p.file.Scenarios, func(other *Scenario) bool { return other.Name == s.Name }) {
		p.Problem(keys["name"], "give it another name", "two scenarios are called %q", s.Name)
	}
	p.file.Scenarios = append(p.file.Scenarios, s)
}

// input checks the inputs of a scenario against those of the team.
func (p *parser) input(s *Scenario, scenario, n *yaml.Node) {
	given := map[string]any{}
	at := scenario
	if n != nil {
		at = n
		if err := n.Decode(&given); err != nil {
			p.Problem(n, "write:  {goal: …}", "input must be a mapping of inputs")
			return
		}
	}
	bound, err := p.file.Team.BindInput(given)
	if problems, ok := err.(workflow.Problems); ok { //nolint:errorlint // BindInput returns it as it is
		for _, problem := range problems {
			p.Problem(at, problem.Fix, "%s", problem.Message)
		}
	}
	s.Input = bound
}

func (p *parser) resume(n *yaml.Node) Resume {
	r := Resume{Pos: position(n)}
	raise := func(n *yaml.Node) {
		p.Fields(n, "raise", reads{
			"turns":    func(n *yaml.Node) { r.Raise.Turns = p.Count(n, "turns") },
			"tokens":   func(n *yaml.Node) { r.Raise.Tokens = int64(p.Count(n, "tokens")) },
			"duration": func(n *yaml.Node) { r.Raise.Duration = p.Duration(n, "duration", 1) },
			"cost":     func(n *yaml.Node) { r.Raise.Cost = micros(p.number(n, "cost")) },
		})
	}
	p.Fields(n, "an entry of on_pause", reads{"raise": raise, "by": func(n *yaml.Node) { r.By, _ = p.Text(n, "by") }})
	return r
}

// micros are millionths of a dollar.
func micros(dollars float64) int64 { return int64(dollars*1e6 + 0.5) }

// nodes reads the scripts of the nodes of a team.
func (p *parser) nodes(n *yaml.Node, team *workflow.Team) map[string]*NodeScript {
	out := map[string]*NodeScript{}
	p.Entries(n, "nodes", func(key, value *yaml.Node) {
		kind, ok := team.Kind(key.Value)
		if !ok {
			p.Problem(key, workflow.DidYouMean(key.Value, team.NodeNames), "the team %s has no node %q", team.Name, key.Value)
			return
		}
		out[key.Value] = p.nodeScript(value, &node{team: team, name: key.Value, kind: kind}, true)
	})
	return out
}
