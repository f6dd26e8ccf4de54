package workflow

import (
	"errors"
	"math"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	// perDollar is how Limits.Cost counts: in millionths of a US dollar.
	perDollar = 1_000_000
	// mostDollars bounds a limit of money.
	mostDollars = 1e9
)

// limits reads the limits of a task, or of a branch or a sub-team.
func (p *parser) limits(n *yaml.Node, what string, l *Limits, task bool) {
	known := fields{
		"turns": p.countInto(&l.Turns, what+".turns"),
		"tokens": func(n *yaml.Node) {
			tokens := 0
			p.countInto(&tokens, what+".tokens")(n)
			l.Tokens = int64(tokens)
		},
		"duration": p.durationInto(&l.Duration, what+".duration", time.Second),
		"cost":     p.costInto(&l.Cost, what+".cost"),
	}
	if task {
		known["at_limit"] = p.choiceInto(&l.AtLimit, what+".at_limit", atLimits())
	}
	keys := p.object(n, what, known)
	if key := keys["at_limit"]; key != nil && !l.set() && len(keys) == 1 {
		p.warn(key, "set a limit beside it, as in  turns: 20", "%s.at_limit says what happens at a limit, and none is set", what)
	}
}

func atLimits() []string { return []string{AtLimitRules, AtLimitPause} }

// set reports whether there is any limit.
func (l Limits) set() bool { return l.Turns > 0 || l.Tokens > 0 || l.Duration > 0 || l.Cost > 0 }

// costInto reads an amount of US dollars.
func (p *parser) costInto(target *int64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		dollars, err := 0.0, errors.New("not a number")
		if n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float") {
			err = n.Decode(&dollars)
		}
		switch {
		case err != nil || math.IsNaN(dollars):
			p.problem(n, "write US dollars without a sign, as in 2.50", "%s must be a number, not %s", what, kindOf(n))
		case dollars < 1.0/perDollar:
			p.problem(n, "write an amount of US dollars, as in 2.50, or leave the field out", "%s must be more than 0, not %s", what, n.Value)
		case dollars > mostDollars:
			p.problem(n, "leave the field out if there is no limit", "%s is too large: %s", what, n.Value)
		default:
			*target = int64(math.Round(dollars * perDollar))
		}
	}
}
