package teamtest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func (p *parser) expect(n *yaml.Node) Expect {
	var e Expect
	text := func(target **TextExpect, what string, allowed ...string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			read := p.Text
			if len(allowed) > 0 {
				read = func(n *yaml.Node, what string) (string, bool) { return p.Choice(n, what, allowed) }
			}
			if s, ok := read(n, what); ok {
				*target = &TextExpect{Text: s, Pos: position(n)}
			}
		}
	}
	p.Fields(n, "expect", reads{
		"route":       func(n *yaml.Node) { e.RoutePos = position(n); e.Route = p.route(n) },
		"state":       text(&e.State, "the state", "succeeded", "failed", "cancelled", "paused", "waiting"),
		"node":        text(&e.Node, "the node", p.file.Team.NodeNames...),
		"reason":      text(&e.Reason, "the reason"),
		"explanation": text(&e.Explanation, "the explanation"),
		"rules":       func(n *yaml.Node) { e.RulesPos = position(n); e.Rules = p.rules(n) },
		"messages":    func(n *yaml.Node) { e.Messages = p.messages(n) },
		"turns":       p.bound(&e.Turns, "turns", parseCount),
		"tokens":      p.bound(&e.Tokens, "tokens", parseCount),
		"cost": p.bound(&e.Cost, "cost", func(s string) (int64, bool) {
			f, err := strconv.ParseFloat(s, 64)
			return micros(f), err == nil && f >= 0 && f < 1e9
		}),
		"elapsed": p.bound(&e.Elapsed, "elapsed", func(s string) (int64, bool) {
			d, err := time.ParseDuration(s)
			return int64(d), err == nil && d >= 0
		}),
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.Problem(n, "add:  state: succeeded", "nothing is expected")
	}
	return e
}

func parseCount(s string) (int64, bool) {
	value, err := strconv.ParseInt(s, 10, 64)
	return value, err == nil && value >= 0
}

// bound reads a number, or "<= number".
func (p *parser) bound(target **Bound, what string, parse func(string) (int64, bool)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, atMost := strings.CutPrefix(n.Value, "<=")
		value, ok := parse(strings.TrimSpace(text))
		if n.Kind != yaml.ScalarNode || !ok {
			example := map[string]string{"cost": "0.05", "elapsed": "10m"}[what]
			if example == "" {
				example = "5"
			}
			p.Problem(n, `write `+example+`, or "<= `+example+`"`, "%s cannot be %q", what, n.Value)
			return
		}
		*target = &Bound{Value: value, AtMost: atMost, Pos: position(n)}
	}
}

func (p *parser) rules(n *yaml.Node) []int {
	var out []int
	for _, item := range p.List(n) {
		number := p.Count(item, "a rule")
		switch {
		case number == 0:
		case number > len(p.file.Team.Handoffs):
			p.Problem(item, "", "the team %s has %d rules, there is none with number %d", p.file.Team.Name, len(p.file.Team.Handoffs), number)
		case slices.Contains(out, number):
			p.Problem(item, "remove one of the two", "rule %d is listed twice", number)
		default:
			out = append(out, number)
		}
	}
	slices.Sort(out)
	return out
}

func (p *parser) messages(n *yaml.Node) []MessageExpect {
	var out []MessageExpect
	p.Entries(n, "messages", func(key, value *yaml.Node) {
		if kind, ok := p.file.Team.Kind(key.Value); !ok || kind == workflow.KindCheck || kind == workflow.KindTeam {
			p.Problem(key, workflow.DidYouMean(key.Value, p.spoken()), "%q is no agent and no gate of the team", key.Value)
			return
		}
		for i, item := range p.List(value) {
			out = append(out, p.message(item, key.Value, i+1))
		}
	})
	return out
}

// spoken are the nodes that get a message.
func (p *parser) spoken() []string {
	return slices.DeleteFunc(slices.Clone(p.file.Team.NodeNames), func(name string) bool {
		kind, _ := p.file.Team.Kind(name)
		return kind == workflow.KindCheck || kind == workflow.KindTeam
	})
}

// message reads what is expected of one message; a text is contained in it.
func (p *parser) message(n *yaml.Node, name string, visit int) MessageExpect {
	m := MessageExpect{Node: name, Visit: visit, Pos: position(n)}
	texts := func(target *[]string, what string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			for _, item := range p.List(n) {
				if text, ok := p.Text(item, what); ok {
					*target = append(*target, text)
				}
			}
		}
	}
	if n.Kind == yaml.ScalarNode {
		texts(&m.Contains, "the message of "+name)(n)
		return m
	}
	p.Fields(n, "the message of "+name, reads{
		"visit":    func(n *yaml.Node) { m.Visit = p.Count(n, "visit") },
		"branch":   func(n *yaml.Node) { m.Branch, _ = p.Text(n, "branch") },
		"equals":   func(n *yaml.Node) { text, _ := p.Text(n, "equals"); m.Equals = &text },
		"contains": texts(&m.Contains, "contains"),
		"lacks":    texts(&m.Lacks, "lacks"),
		"matches": func(n *yaml.Node) {
			for _, item := range p.List(n) {
				text, ok := p.Text(item, "matches")
				if !ok {
					continue
				}
				expression, err := regexp.Compile(text)
				if err != nil {
					p.Problem(item, "it is a regular expression of Go", "matches cannot be read: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
					continue
				}
				m.Matches = append(m.Matches, expression)
			}
		},
	})
	return m
}
