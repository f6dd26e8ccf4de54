package suggest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"planner", "coder", "reviewer", "to", "on"}
	for name, want := range map[string]string{
		"reviwer": "reviewer", "Coder": "coder", "codre": "coder", "plannner": "planner", "ot": "", "tto": "to",
		"tester": "", "": "", "zz": "", strings.Repeat("x", 100): "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("without candidates: %q", got)
	}
}
