package graph

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// formats are all ways to draw a team.
var formats = map[string]func(*workflow.Team) string{"mermaid": Mermaid, "dot": DOT, "svg": SVG}

func parse(t *testing.T, path string) *workflow.Team {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	load := func(other string) (string, []byte, error) {
		file := filepath.Join(filepath.Dir(path), other)
		src, err := os.ReadFile(file)
		return file, src, err
	}
	team, err := workflow.Parse(path, src, workflow.ParseOptions{Load: load})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

func TestDrawings(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d teams, %v", len(paths), err)
	}
	for _, path := range paths {
		for format, draw := range formats {
			name := strings.TrimSuffix(path, ".yaml") + "." + format
			t.Run(filepath.Base(name), func(t *testing.T) {
				t.Parallel()
				got := draw(parse(t, path))
				golden.File(t, name, got)
				if again := draw(parse(t, path)); again != got {
					t.Error("drawn twice, it differs")
				}
			})
		}
	}
}

// hostile is a team whose texts mean something in every format.
const hostile = `version: 1
name: t
agents:
  end: {role: 'x"]; click end "javascript:alert(1)" <b>&amp; \', model: '"|<script>#quot;'}
  a-b: {agent_id: "]]></svg>\\", outcomes: [style, o]}
checks: {class: {run: 'echo "</text>" | tee {a} [b] \'}}
gates: {click: {question: '"]} <b>?</b> #quot; \'}}
start: end
handoffs:
  - {from: end, on: end_turn, when: 'output contains "<br/>" and visits < 3 && true', to: a-b}
  - {from: a-b, on: style, to: end, max: 2}
  - {from: a-b, on: o, to: [class, click]}
  - {from: [class, click], on: [passed, approved], join: all, to: succeeded}
  - {from: [class, click], on: "*", join: all, to: failed}
  - {from: "*", on: "*", to: failed}
`

func TestEscaping(t *testing.T) {
	t.Parallel()
	team, err := workflow.Parse("t.yaml", []byte(hostile), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(Mermaid(team), "\n") {
		if n := strings.Count(line, `"`); n != 0 && n != 2 {
			t.Errorf("mermaid: %d quotes in %s", n, line)
		}
		_, text, _ := strings.Cut(line, `"`)
		text, _, _ = strings.Cut(text, `"`)
		text = strings.ReplaceAll(text, "<br/>", "")
		if strings.ContainsAny(text, "<>&|[]\\`") {
			t.Errorf("mermaid: markup in %s", line)
		}
		for _, id := range []string{"    end", "    a-b"} {
			if strings.HasPrefix(line, id) {
				t.Errorf("mermaid: a name that Mermaid misreads: %s", line)
			}
		}
	}
	for _, line := range strings.Split(DOT(team), "\n") {
		plain := strings.NewReplacer(`\\`, "", `\"`, "").Replace(line)
		if strings.Count(plain, `"`)%2 != 0 {
			t.Errorf("dot: a quote is open in %s", line)
		}
	}
	if dot := DOT(team); !strings.Contains(dot, `a-b\n]]></svg>\\"`) {
		t.Errorf("dot: the backslash is gone in %s", dot)
	}
	texts := svgTexts(t, SVG(team))
	for _, want := range []string{`]]></svg>\`, `"|<script>#quot;`, `role x"]; click end "javascript:aler…`, `when output contains "<br/>"`,
		`echo "</text>" | tee {a} [b] \`, `"]} <b>?</b> #quot; \`} {
		if !strings.Contains(texts, "\n"+want+"\n") {
			t.Errorf("svg: no text %s in %s", want, texts)
		}
	}
}

// svgTexts reads a picture as XML and returns its texts, one a line.
func svgTexts(t *testing.T, svg string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n")
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("the picture is not XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			b.WriteString(string(text) + "\n")
		}
	}
}

// TestNothingOverlaps looks at the boxes of nodes, of loops and of labels.
func TestNothingOverlaps(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../examples/teams/*.yaml")
	paths = slices.DeleteFunc(paths, func(path string) bool { return strings.HasSuffix(path, ".test.yaml") })
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, own...) {
		if strings.HasSuffix(path, ".test.yaml") {
			continue // scenarios
		}
		l := newLayout(newDrawing(parse(t, path)), boxSize, noteBox)
		for i, a := range l.items {
			if a.x-a.left < margin-1 || a.x+a.right > l.width-margin+1 || a.bottom > l.height {
				t.Errorf("%s: item %d is outside: %+v in %v x %v", path, i, a, l.width, l.height)
			}
			for _, b := range l.items[:i] {
				if a.layer == b.layer && a.x-a.left < b.x+b.right && b.x-b.left < a.x+a.right {
					t.Errorf("%s: %+v overlaps %+v", path, a, b)
				}
				if a.layer < b.layer && a.bottom > b.top {
					t.Errorf("%s: layer %d reaches into layer %d", path, a.layer, b.layer)
				}
			}
		}
	}
}

func TestLongListsAreCut(t *testing.T) {
	t.Parallel()
	words := strings.Fields(strings.Repeat("context_window_overflow ", 9))
	got := wrap("12: ", words)
	if len(got) != labelLines || got[labelLines-1] != "context_window_overflow, and 6 more" {
		t.Errorf("got %q", got)
	}
}
