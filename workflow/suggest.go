package workflow

import (
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
)

// didYouMean returns `did you mean "x"?` for the candidate nearest to got, or
// "" when none is near enough to be a slip of the keyboard.
func didYouMean(got string, candidates []string) string {
	best := suggest.Nearest(got, candidates)
	if best == "" {
		return ""
	}
	return `did you mean "` + best + `"?`
}

// suggestion is didYouMean, or else the list of what there is.
func suggestion(got string, candidates []string) string {
	if hint := didYouMean(got, candidates); hint != "" {
		return hint
	}
	if len(candidates) == 0 {
		return ""
	}
	return "there is: " + strings.Join(candidates, ", ")
}

// quoted joins names as "a", "b" and "c".
func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = `"` + n + `"`
	}
	if len(q) < 2 {
		return strings.Join(q, "")
	}
	return strings.Join(q[:len(q)-1], ", ") + " and " + q[len(q)-1]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
