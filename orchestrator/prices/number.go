package prices

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// decimals are what a price may have behind the point: millionths of a dollar.
const decimals = 6

// plain is a price as people write it; exponents, signs and other bases are not.
var plain = regexp.MustCompile(`^(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?$`)

// dollars reads a price exactly, without floating point, into millionths of a
// dollar for a million tokens.
func (p *parser) dollars(n *yaml.Node) uint64 {
	const what = "a price is dollars for a million tokens"
	number := n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float")
	switch {
	case !number:
		p.problem(n, "write a number such as 3.00, without quotes", "%s, and this is no number", what)
		return 0
	case strings.HasPrefix(n.Value, "-") && !strings.HasPrefix(n.Value, "-."):
		p.problem(n, "", "%s and cannot be negative", what)
		return 0
	case !plain.MatchString(n.Value):
		p.problem(n, "write it as digits with at most 6 behind the point, below 1000000", "%s, and %s cannot be one", what, n.Value)
		return 0
	}
	whole, fraction, _ := strings.Cut(n.Value, ".")
	value, _ := strconv.ParseUint(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 64) // at most 12 digits
	return value
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
