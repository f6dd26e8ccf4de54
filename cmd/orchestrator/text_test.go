package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// What agents and servers say cannot move the cursor, colour, or hide.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ✓ 日本語\n\ttab":             "plain ✓ 日本語\n\ttab",
		"\x1b[31mred\x1b[0m\x1b[2J":      "red",
		"\x1b]8;;http://x\x1b\\link":     "link",
		"\x1b]0;title\x07after":          "after",
		"a\rb\x08c\x00d\u009be":          "abcde",
		"\u202eright to left":            "right to left",
		"not UTF-8: \xff\xfe":            "not UTF-8: �",
		"half a sequence: \x1b[":         "half a sequence: ",
		"not UTF-8 and \x1b[1mbold \xff": "not UTF-8 and bold �",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestExcerptCutsLongLines(t *testing.T) {
	long := strings.Repeat("x", 1_000_000)
	kept, left := excerpt("a\n"+long+"\nb\nc", 3)
	if want := []string{"a", strings.Repeat("x", maxExcerptLine-1) + "… (999.5k more characters)", "b"}; left != 1 || !slices.Equal(kept, want) {
		t.Errorf("%d left, got %.700q", left, kept)
	}
	if kept, _ := excerpt(long, 0); kept[0] != long {
		t.Error("the whole is not whole")
	}
}

// Providers wrap their errors in JSON; a person reads the message, once.
func TestErrorsOfProvidersAreReadable(t *testing.T) {
	wrapped := `{"error":{"error":{"type":"llm_error","message":"Unknown model \"nope\"","detail":"more"},"run_id":"r"}}`
	for in, want := range map[string]string{
		wrapped:           `Unknown model "nope"`,
		`{"error":"why"}`: "why",
		`{"other":1}`:     `{"other":1}`,
		`{broken`:         `{broken`,
		"plain":           "plain",
	} {
		if got := errorMessage(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	j := newJournal(t)
	j.turn(1, workflow.TurnFinished{Reason: workflow.ReasonError, Error: wrapped})
	var s story
	for _, rec := range j.records {
		s.apply(rec.Event, rec.Effects)
	}
	lines := newLineStyle(palette{}, j.team)
	if got := lines.stepLine("", s.Steps[0]) + lines.resultLines(&s, ""); strings.Count(got, "Unknown model") != 1 || strings.Contains(got, "llm_error") {
		t.Errorf("got\n%s", got)
	}
}

// A long name does not push the columns of all other lines away.
func TestTheColumnOfNamesIsBounded(t *testing.T) {
	if got := newLineStyle(palette{}, &workflow.Team{NodeNames: []string{strings.Repeat("n", 63)}}).nameWidth; got != maxNameWidth {
		t.Errorf("got %d", got)
	}
}
