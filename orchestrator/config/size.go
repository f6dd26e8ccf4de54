package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"
)

// sizePattern is what ParseSize takes.
const sizePattern = `^([0-9]{1,12})(B|KiB|MiB|GiB|TiB)$`

var sizeText = regexp.MustCompile(sizePattern)

// ParseSize reads a size as the file has it: a whole number and a unit of B,
// KiB, MiB, GiB or TiB. It returns bytes.
func ParseSize(text string) (int64, error) {
	parts := sizeText.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is no size", text)
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: %w", text, err)
	}
	unit := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[parts[2]]
	if n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return n * unit, nil
}

func size(name, about string, least int64, target *int64) field {
	schema := object{"type": "string", "pattern": sizePattern, "examples": []string{"16MiB", "10GiB"}}
	return field{name: name, typ: "size", about: about, schema: schema, read: func(p *parser, n *yaml.Node) {
		*target = p.size(n, name, least)
	}}
}

func (p *parser) size(n *yaml.Node, what string, least int64) int64 {
	size, err := ParseSize(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		p.Problem(n, "write a whole number and a unit, as in 512KiB, 16MiB or 10GiB", "%s must be a size", what)
	case size < least:
		p.Problem(n, fmt.Sprintf("write at least %dKiB", least>>10), "%s is too small: %s", what, n.Value)
	default:
		return size
	}
	return 0
}
