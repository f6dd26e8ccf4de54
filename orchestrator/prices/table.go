package prices

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Table knows the prices of models. It is immutable, and may be used
// concurrently. It implements engine.Prices.
type Table struct {
	exact map[string]price
	// globs are in the order in which they are tried.
	globs []glob
	// free: models that run on one's own machine cost nothing, unless there is a price.
	free bool
}

// price is in millionths of a dollar for a million tokens.
type price struct{ input, output, cachedInput, cacheWrite uint64 }

type glob struct {
	pattern string
	price   price
}

// Builtin is the table that is used where there is no file: it knows the
// models that run on one's own machine, which cost nothing.
func Builtin() *Table { return newTable(nil, true) }

// Flat is a table by which every model costs the same, in dollars for a million tokens.
func Flat(input, output uint32) *Table {
	in, out := uint64(input)*million, uint64(output)*million
	return newTable(map[string]price{"*": {input: in, output: out, cachedInput: in, cacheWrite: in}}, false)
}

// newTable orders what a file says. What the file says of a model comes before what is built in.
func newTable(file map[string]price, free bool) *Table {
	t := &Table{exact: map[string]price{}, free: free}
	for pattern, price := range file {
		if strings.Contains(pattern, "*") {
			t.globs = append(t.globs, glob{pattern, price})
		} else {
			t.exact[pattern] = price
		}
	}
	slices.SortFunc(t.globs, func(a, b glob) int {
		return cmp.Or(cmp.Compare(literal(b.pattern), literal(a.pattern)), strings.Compare(a.pattern, b.pattern))
	})
	return t
}

// literal is how many characters of a pattern are not wildcards.
func literal(pattern string) int { return len(pattern) - strings.Count(pattern, "*") }

// Price returns what the usage of a turn costs, in millionths of a US dollar,
// rounded up; known is false when the model has no price. The name of a model
// counts before a pattern, and of several patterns the longest.
func (t *Table) Price(model string, u workflow.Usage) (cost int64, known bool) {
	p, known := t.find(model)
	if !known {
		return 0, false
	}
	return p.cost(u), true
}

func (t *Table) find(model string) (price, bool) {
	if p, ok := t.exact[model]; ok {
		return p, true
	}
	for _, g := range t.globs {
		if matches(g.pattern, model) {
			return g.price, true
		}
	}
	return price{}, t.free && local(model)
}

// local reports whether a model runs on one's own machine, by the App Server's
// prefix of its handle. Ollama passes its models that end in "cloud" on to a
// service. "local/default" is no such model: it stands for any that is connected.
func local(model string) bool {
	provider, name, ok := strings.Cut(model, "/")
	if !ok || name == "" {
		return false
	}
	switch provider {
	case "lmstudio", "llama.cpp", "llama-cpp":
		return true
	case "ollama":
		return !strings.HasSuffix(name, ":cloud") && !strings.HasSuffix(name, "-cloud")
	}
	return false
}

// matches reports whether a pattern covers a name; "*" stands for any text, "/" included.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == name
	}
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}

// million tokens are what a price is for.
const million = 1_000_000

// cost rounds up. What does not fit into the result is the largest one.
func (p price) cost(u workflow.Usage) int64 {
	t := split(u)
	var hi, lo uint64
	for _, part := range [][2]uint64{{t.input, p.input}, {t.output, p.output}, {t.cachedInput, p.cachedInput}, {t.cacheWrite, p.cacheWrite}} {
		h, l := bits.Mul64(part[0], part[1])
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi += h + carry // far from its limit: tokens have 61 bits, prices have 40
	}
	lo, carry := bits.Add64(lo, million-1, 0)
	hi += carry
	if hi >= million {
		return math.MaxInt64
	}
	cost, _ := bits.Div64(hi, lo, million)
	return int64(min(cost, math.MaxInt64)) //nolint:gosec // it is at most MaxInt64
}

// tokens are those of a usage by their price.
type tokens struct{ input, output, cachedInput, cacheWrite uint64 }

// split finds out which tokens are counted twice. App Servers report
// cached_input_tokens beside prompt_tokens, and count tokens written to a cache
// in total_tokens, where we find them by subtraction. Where the total says so,
// the cached tokens are within the prompt tokens, as model providers report
// them. Reasoning tokens are within completion_tokens. What is in doubt costs more.
func split(u workflow.Usage) tokens {
	t := tokens{input: count(u.PromptTokens), output: count(u.CompletionTokens), cachedInput: count(u.CachedInputTokens)}
	total, beside := count(u.TotalTokens), t.input+t.output+t.cachedInput
	switch {
	case total >= beside:
		t.cacheWrite = total - beside
	case total >= t.input+t.output:
		t.input -= min(t.input, beside-total)
	}
	return t
}

// count bounds a number of tokens so that nothing overflows.
func count(n int64) uint64 { return uint64(min(max(n, 0), 1<<60)) } //nolint:gosec // it is not negative
