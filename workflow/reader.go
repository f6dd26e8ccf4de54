package workflow

import (
	"cmp"
	"time"

	"gopkg.in/yaml.v3"
)

// Reader reads a YAML file that stands beside team files as strictly as Parse
// reads those: no field twice, none that does not exist, and everything that is
// wrong at once, with its place and how to mend it.
type Reader struct {
	p    *parser
	root *yaml.Node
}

// NewReader reads the text of a file. kind names such files in messages, for
// example "scenario file", and file is its name.
func NewReader(kind, file string, src []byte) *Reader {
	r := &Reader{p: &parser{source: newSource(file, src), other: kind}}
	r.root = r.p.document(src)
	return r
}

// Root is the mapping that the file consists of; nil when there is none.
func (r *Reader) Root() *yaml.Node { return r.root }

// Err is everything that is wrong with the file, as Problems in the order of
// their places, or nil.
func (r *Reader) Err() error {
	if len(r.p.problems) == 0 {
		return nil
	}
	return sorted(r.p.problems)
}

// Problem notes what is wrong with a node; fix may be empty.
func (r *Reader) Problem(n *yaml.Node, fix, format string, args ...any) {
	r.p.problem(n, fix, format, args...)
}

// Fields reads a mapping: read has, by name, what reads a field. It returns the
// keys that the mapping has.
func (r *Reader) Fields(n *yaml.Node, what string, read map[string]func(*yaml.Node)) map[string]*yaml.Node {
	return r.p.object(n, what, read)
}

// Entries reads a mapping whose keys are chosen by the file.
func (r *Reader) Entries(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	if n = resolve(n); isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.p.problem(n, "write, for each:  name: …", "%s is a mapping of names, not %s", what, kindOf(n))
		return
	}
	keys := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := resolve(n.Content[i]); r.p.key(key, keys, what) {
			read(key, resolve(n.Content[i+1]))
		}
	}
}

// List returns the items of a list, or the one value that stands for itself.
func (r *Reader) List(n *yaml.Node) []*yaml.Node {
	switch n = resolve(n); {
	case isNull(n):
		return nil
	case n.Kind != yaml.SequenceNode:
		return []*yaml.Node{n}
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = resolve(item)
	}
	return items
}

// Text reads a text that is not empty.
func (r *Reader) Text(n *yaml.Node, what string) (string, bool) { return r.p.text(n, what) }

// Choice reads a text that is one of a few.
func (r *Reader) Choice(n *yaml.Node, what string, allowed []string) (string, bool) {
	return r.p.choice(n, what, allowed)
}

// Bool reads true or false.
func (r *Reader) Bool(n *yaml.Node, what string) bool {
	var value bool
	r.p.boolInto(&value, what)(n)
	return value
}

// Duration reads a duration such as 90s or 1h30m, of at least least.
func (r *Reader) Duration(n *yaml.Node, what string, least time.Duration) time.Duration {
	var d time.Duration
	r.p.durationInto(&d, what, least)(n)
	return d
}

// Count reads a whole number of at least 1.
func (r *Reader) Count(n *yaml.Node, what string) int {
	var count int
	r.p.countInto(&count, what)(n)
	return count
}

// DidYouMean says which of the candidates was meant, or what there is.
func DidYouMean(got string, candidates []string) string { return suggestion(got, candidates) }

func (p *parser) kind() string { return cmp.Or(p.other, "team file") }
