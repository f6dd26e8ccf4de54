package workflow

import (
	"os"
	"strings"
	"testing"
)

// TestTeamFileDocument reads the example of docs/team-file.md and looks for
// everything that the page has to mention.
func TestTeamFileDocument(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/team-file.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	_, rest, _ := strings.Cut(text, "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	team := mustParse(t, example)
	for _, w := range team.Warnings {
		t.Errorf("the example: %s", w)
	}
	wanted := append(allowedFuncs(), conditionFuncs()...)
	wanted = append(wanted, permissionModes()...)
	wanted = append(wanted, terminals()...)
	wanted = append(wanted, sortedKeys(scopeTypes(team))...)
	for _, reason := range builtinReasons() {
		wanted = append(wanted, string(reason))
	}
	comparisons := map[string]bool{"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true}
	for _, name := range wanted {
		if !comparisons[name] && !strings.Contains(text, "`"+name) {
			t.Errorf("docs/team-file.md does not mention `%s`", name)
		}
	}
}
