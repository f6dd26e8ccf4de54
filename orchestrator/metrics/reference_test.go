package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
)

const page = "../../docs/metrics.md"

// TestReference keeps the table of docs/metrics.md as the code has it.
func TestReference(t *testing.T) { golden.Part(t, page, Reference()) }

// TestQueriesNameMetrics finds metrics and labels in the page that do not exist.
func TestQueriesNameMetrics(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, s := range specs() {
		known = append(known, prefix+s.name)
		if s.kind == histogram {
			known = append(known, prefix+s.name+"_bucket", prefix+s.name+"_sum", prefix+s.name+"_count")
		}
	}
	names := regexp.MustCompile(`\borchestrator_[a-z_]+`).FindAllString(string(text), -1)
	if len(names) < len(specs()) {
		t.Fatalf("only %d names on the page", len(names))
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			t.Errorf("%s names %s, which is no metric", page, name)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range specs() {
		switch {
		case seen[s.name]:
			t.Errorf("%s is there twice", s.name)
		case (s.kind == counter) != strings.HasSuffix(s.name, "_total"):
			t.Errorf("%s is a %s", s.name, s.kind)
		case (s.kind == histogram) != strings.HasSuffix(s.name, "_seconds") || (s.kind == histogram) != (s.buckets != nil):
			t.Errorf("%s is a %s", s.name, s.kind)
		case s.named > len(s.labels) || !strings.HasSuffix(s.help, "."):
			t.Errorf("%s is not well declared: %+v", s.name, s)
		}
		seen[s.name] = true
	}
}
