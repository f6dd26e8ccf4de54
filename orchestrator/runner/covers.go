package runner

import (
	"encoding/json"
	"strings"
)

// Covers reports whether a pattern of approvals is about a use of a tool, known
// by its main argument. allow asks whether it is safe to allow by the pattern:
// one that has an argument never allows what has been cut short, and for a
// shell every command of the line has to match, as in a team file. Otherwise it
// asks whether a deny pattern would deny.
func Covers(pattern, tool, argument string, allow bool) bool {
	p, ok := parsePattern(pattern)
	if !ok || !glob(p.tool, tool) {
		return false
	}
	if p.any() {
		return true
	}
	if allow && strings.HasSuffix(argument, "…") {
		return false
	}
	use := toolUse{name: tool}
	if !use.isShell() {
		return glob(*p.argument, argument)
	}
	input, err := json.Marshal(map[string]string{"command": argument})
	if err != nil {
		return false
	}
	use.input = input
	if !allow {
		return touches(pattern, use)
	}
	_, allowed := allowedBy([]string{pattern}, use)
	return allowed
}
