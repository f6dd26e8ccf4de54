package workflow

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A team whose branches nest in very many ways is refused, and soon.
func TestTooManyBranches(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{3, 5, 8, 20, 60} {
		for _, join := range []string{"", "all", "any", "2"} {
			_, err := Parse("t.yaml", []byte(tangle(nodes, join)), ParseOptions{})
			if err == nil {
				t.Errorf("%d nodes, join %q: accepted", nodes, join)
			}
			if nodes > 5 && !strings.Contains(err.Error(), "the rules nest branches in too many ways") {
				t.Errorf("%d nodes, join %q: %v", nodes, join, err)
			}
		}
	}
}

// tangle is a team in which every agent starts all others at once.
func tangle(nodes int, join string) string {
	var agents, rules strings.Builder
	for i := range nodes {
		var others []string
		for j := range nodes {
			if i != j {
				others = append(others, fmt.Sprintf("a%d", j))
			}
		}
		fmt.Fprintf(&agents, "  a%d: {prompt: x, outcomes: [x, y]}\n", i)
		fmt.Fprintf(&rules, "  - {from: a%d, on: x, to: [%s]}\n", i, strings.Join(others, ", "))
		if join != "" {
			fmt.Fprintf(&rules, "  - {from: \"*\", on: y, join: %s, when: visits > %d, to: a%d}\n", join, i, i)
		}
	}
	return "version: 1\nname: t\nagents:\n" + agents.String() + "start: a0\nhandoffs:\n" + rules.String() + "  - {from: \"*\", on: \"*\", to: failed}\n"
}

// The checks of a large team, as large as anyone writes, take no time that matters.
func TestChecksAreFast(t *testing.T) {
	t.Parallel()
	var agents, rules strings.Builder
	for i := range 60 {
		fmt.Fprintf(&agents, "  plan%[1]d: {prompt: x, outcomes: [x, y]}\n  left%[1]d: {prompt: x, outcomes: [x, y]}\n  right%[1]d: {prompt: x, outcomes: [x, y]}\n", i)
		next := "succeeded"
		if i < 59 {
			next = fmt.Sprintf("plan%d", i+1)
		}
		fmt.Fprintf(&rules, "  - {from: plan%[1]d, on: x, to: [left%[1]d, right%[1]d]}\n  - {from: [left%[1]d, right%[1]d], on: x, join: all, to: %[2]s}\n"+
			"  - {from: [left%[1]d, right%[1]d], on: \"*\", join: all, max: 3, to: plan%[1]d}\n", i, next)
	}
	src := "version: 1\nname: t\nagents:\n" + agents.String() + "start: plan0\nhandoffs:\n" + rules.String() + "  - {from: \"*\", on: \"*\", to: failed}\n"
	begin := time.Now()
	if _, err := Parse("t.yaml", []byte(src), ParseOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	} else {
		t.Log(took)
	}
}
