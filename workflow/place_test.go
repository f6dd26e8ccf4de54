package workflow

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

// TestPlaceWithinScalar writes random texts in every style of YAML and expects
// every character to be found again where it stands in the file.
func TestPlaceWithinScalar(t *testing.T) {
	t.Parallel()
	styles := []yaml.Style{0, yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle, yaml.LiteralStyle}
	rapid.Check(t, func(rt *rapid.T) {
		letters := rapid.SliceOfN(rapid.SampledFrom([]rune("abcé漢 \n\"'\\:#{}é\u0001")), 1, 60).Draw(rt, "text")
		text := "x" + string(letters)
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: rapid.SampledFrom(styles).Draw(rt, "style")}
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "kéy"}
		src, err := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{key, value}})
		if err != nil {
			rt.Skip(err)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(src, &doc); err != nil {
			rt.Skip(err)
		}
		got := doc.Content[0].Content[1]
		s := newSource("t.yaml", src)
		for offset, r := range got.Value {
			if strings.ContainsRune(" \n\"'\\\u0001", r) {
				continue // escaped, or folded into a line break
			}
			pos := s.within(got, offset)
			line := []rune(s.line(pos.Line))
			if pos.Column < 1 || pos.Column > len(line) || line[pos.Column-1] != r {
				rt.Fatalf("character %q at offset %d of %q was looked for at %d:%d of\n%s", r, offset, got.Value, pos.Line, pos.Column, src)
			}
		}
	})
}

func TestPlaceOutsideScalar(t *testing.T) {
	t.Parallel()
	var doc yaml.Node
	src := []byte("a: &x \"text\"\nb: >\n  folded\n  text\nc: [d]\n")
	if err := yaml.Unmarshal(src, &doc); err != nil {
		t.Fatal(err)
	}
	s := newSource("t.yaml", src)
	content := doc.Content[0].Content
	for _, test := range []struct {
		name   string
		node   *yaml.Node
		offset int
	}{
		{"after an anchor", content[1], 2}, {"folded", content[3], 9}, {"a list", content[5], 1}, {"too far", content[0], 7}, {"before", content[0], -1},
	} {
		if got := s.within(test.node, test.offset); got != position(test.node) {
			t.Errorf("%s: got %+v, want the node's own place %+v", test.name, got, position(test.node))
		}
	}
}

func TestTextCut(t *testing.T) {
	t.Parallel()
	if got := cut("aé漢", 4); got != "aé\n… (3 more bytes)" {
		t.Errorf("cut within a character: %q", got)
	}
	if got := cut("aé", 3); got != "aé" {
		t.Errorf("nothing to cut: %q", got)
	}
	if got := excerpt(" a\n b  漢字x", 5); got != "a b …" {
		t.Errorf("excerpt: %q", got)
	}
}
