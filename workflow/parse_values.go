package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// fields is what a mapping may contain: for every name, what reads its value.
type fields map[string]func(*yaml.Node)

// object reads a mapping strictly. later names fields that the language will
// have and this version does not. It returns the nodes of the keys.
func (p *parser) object(n *yaml.Node, what string, known fields, later ...string) map[string]*yaml.Node {
	keys := map[string]*yaml.Node{}
	if n = resolve(n); isNull(n) {
		return keys
	}
	if n.Kind != yaml.MappingNode {
		p.problem(n, p.quoteHint(n), "%s is a mapping of fields, not %s", what, kindOf(n))
		return keys
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if !p.key(key, keys, what) {
			continue
		}
		read, ok := known[key.Value]
		switch {
		case ok:
			read(value)
		case key.Tag == "!!merge":
			p.problem(key, "write the fields out", "merge keys are not supported")
		case slices.Contains(later, key.Value):
			p.problem(key, "leave it out", "%q is not supported by this version", key.Value)
		default:
			p.problem(key, suggestion(key.Value, sortedKeys(known)), "%s has no field %q", what, key.Value)
		}
	}
	return keys
}

func (p *parser) entriesInto(what, entry string, read func(key, value *yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) { p.entries(n, what, entry, read) }
}

// entries reads a mapping whose keys are names given by the file.
func (p *parser) entries(n *yaml.Node, what, entry string, read func(key, value *yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.problem(n, "write, for "+entry+":  name: {…}", "%s is a mapping of names, not %s", what, kindOf(n))
		return
	}
	keys := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if p.key(key, keys, what) && p.name(key, entry) {
			read(key, value)
		}
	}
}

// key checks that a key is a text and new, and notes it.
func (p *parser) key(key *yaml.Node, keys map[string]*yaml.Node, what string) bool {
	if key.Kind != yaml.ScalarNode {
		p.problem(key, p.quoteHint(key), "the name of a field of %s must be text, not %s", what, kindOf(key))
		return false
	}
	if first, ok := keys[key.Value]; ok {
		p.problem(key, fmt.Sprintf("it is given on line %d already", first.Line), "%s has %q twice", what, key.Value)
		return false
	}
	keys[key.Value] = key
	return true
}

func isNull(n *yaml.Node) bool { return n.Kind == 0 || n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// quoteHint explains what becomes of a template that is not in quotes.
func (p *parser) quoteHint(n *yaml.Node) string {
	if text := []rune(p.source.line(n.Line)); n.Kind == yaml.MappingNode && n.Column >= 1 && n.Column < len(text) &&
		text[n.Column-1] == '{' && text[n.Column] == '{' {
		return "a text that begins with {{ must be in quotes"
	}
	return ""
}

// text reads a scalar that is a text and not empty.
func (p *parser) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		p.problem(n, p.quoteHint(n), "%s must be text, not %s", what, kindOf(n))
		return "", false
	}
	switch {
	case n.Tag == "!!null" || n.Tag == "!!str" && strings.TrimSpace(n.Value) == "":
		p.problem(n, "write a text, or leave the field out", "%s is empty", what)
		return "", false
	case n.Tag != "!!str" && n.Tag != "!!timestamp":
		p.problem(n, "put it in quotes: "+strconv.Quote(n.Value), "%s must be text, and %s is not read as one", what, n.Value)
		return "", false
	}
	return n.Value, true
}

func (p *parser) textInto(target *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) { *target, _ = p.text(n, what) }
}

// choice reads a text that is one of a few.
func (p *parser) choice(n *yaml.Node, what string, allowed []string) (string, bool) {
	text, ok := p.text(n, what)
	switch {
	case !ok:
		return "", false
	case slices.Contains(allowed, text):
		return text, true
	default:
		p.problem(n, suggestion(text, allowed), "%s cannot be %q", what, text)
	}
	return "", false
}

func (p *parser) choiceInto(target *string, what string, allowed []string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if text, ok := p.choice(n, what, allowed); ok {
			*target = text
		}
	}
}

func (p *parser) boolInto(target *bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			p.problem(n, "", "%s must be true or false, not %s", what, kindOf(n))
			return
		}
		*target = strings.EqualFold(n.Value, "true")
	}
}

// choices reads a list of texts that are each one of a few.
func (p *parser) choices(n *yaml.Node, what string, allowed []string) []*yaml.Node {
	return slices.DeleteFunc(p.texts(n, what), func(item *yaml.Node) bool {
		_, ok := p.choice(item, "an entry of "+what, allowed)
		return !ok
	})
}

// rangeInto reads a whole number between two others.
func (p *parser) rangeInto(target *int, what string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		value := 0
		before := len(p.problems)
		p.countInto(&value, what)(n)
		switch {
		case len(p.problems) > before:
		case value < least || value > most:
			p.problem(n, fmt.Sprintf("write a number from %d to %d", least, most), "%s is out of range: %s", what, n.Value)
		default:
			*target = value
		}
	}
}

// countInto reads a whole number of at least 1.
func (p *parser) countInto(target *int, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		value, err := 0, errors.New("not a number")
		if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
			err = n.Decode(&value)
		}
		switch {
		case err != nil:
			p.problem(n, "", "%s must be a whole number, not %s", what, kindOf(n))
		case value < 1:
			p.problem(n, "write a number of at least 1, or leave the field out", "%s must be at least 1, not %d", what, value)
		default:
			*target = value
		}
	}
}

// durationInto reads a duration such as 90s or 1h30m.
func (p *parser) durationInto(target *time.Duration, what string, least time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		value, err := time.ParseDuration(n.Value)
		switch {
		case n.Kind != yaml.ScalarNode || err != nil:
			fix := "write a number and a unit, as in 30s, 15m or 2h"
			if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
				fix = fmt.Sprintf("write the unit too: %ss", n.Value)
			}
			p.problem(n, fix, "%s must be a duration, not %s", what, kindOf(n))
		case value < least:
			p.problem(n, fmt.Sprintf("write at least %s", least), "%s is too short: %s", what, n.Value)
		default:
			*target = value
		}
	}
}

// list returns the items of a list, or the one item that stands for itself.
func (p *parser) list(n *yaml.Node, what string) []*yaml.Node {
	switch {
	case n.Kind == yaml.SequenceNode:
		items := make([]*yaml.Node, len(n.Content))
		for i, item := range n.Content {
			items[i] = resolve(item)
		}
		return items
	case n.Kind == yaml.ScalarNode && !isNull(n):
		return []*yaml.Node{n}
	case isNull(n):
		p.problem(n, "write a text or a list, or leave the field out", "%s is empty", what)
		return nil
	}
	p.problem(n, p.quoteHint(n), "%s must be a text or a list of texts, not %s", what, kindOf(n))
	return nil
}

// texts reads a list of texts without repetitions. It is never nil, so that an
// empty list can be told from none.
func (p *parser) texts(n *yaml.Node, what string) []*yaml.Node {
	out := []*yaml.Node{}
	seen := map[string]bool{}
	for _, item := range p.list(n, what) {
		text, ok := p.text(item, "an entry of "+what)
		switch {
		case !ok:
		case seen[text]:
			p.problem(item, "remove one of the two", "%s lists %q twice", what, text)
		default:
			seen[text] = true
			out = append(out, item)
		}
	}
	return out
}

func (p *parser) textsInto(target *[]string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) { *target = values(p.texts(n, what)) }
}

func values(nodes []*yaml.Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Value
	}
	return out
}
