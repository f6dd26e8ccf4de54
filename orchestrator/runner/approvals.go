package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// verdict is the answer to a permission request.
type verdict struct {
	allow bool
	// ask says that a person decides.
	ask bool
	// pattern is the one that decided; empty when none matched.
	pattern string
	// by is the person who decided.
	by string
	// message is what the model reads when it was denied.
	message string
}

// askUserTool is the server's own tool for asking whoever sits before it.
const askUserTool = "AskUserQuestion"

// decideApproval answers a permission request by the team's patterns: deny
// before allow before ask before otherwise.
//
// A pattern is `Tool` or `Tool(glob)`; in both parts * stands for any
// characters and ? for one. The glob is compared with the tool's main argument:
//
//   - For a shell, with each simple command of the command line, words separated
//     by single spaces and quotes taken off. An allow pattern counts only when
//     every command of the line matches some allow pattern, and never for a line
//     with substitutions, subshells or redirections into files. A glob that ends
//     in " *" also matches the command without arguments.
//   - For a tool with a file_path, with the path relative to the working
//     directory, and when the glob begins with / with the absolute path.
//     A deny glob is compared with both.
//   - For other tools with the arguments as compact JSON.
//
// Deny and ask patterns for a shell are also compared with every piece of the
// line that might be run, whatever its quoting; a person who is asked sees the
// whole line. Even so they are a guard rail and no
// fence: a shell has endless ways to say the same. What must not happen is
// best left out of the allow patterns.
func decideApproval(policy workflow.Approvals, use toolUse) verdict {
	if use.name == askUserTool {
		return verdict{message: "Nobody is there to answer questions. Decide yourself, choose what is easiest to undo, and name the assumption in your last message."}
	}
	for _, pattern := range policy.Deny {
		if touches(pattern, use) {
			return verdict{pattern: pattern, message: fmt.Sprintf(
				"%s is denied by the team's rule %s. Do not try it in another way: go on without it, and say in your last message what you could not do.",
				described(use), pattern)}
		}
	}
	if pattern, ok := allowedBy(policy.Allow, use); ok {
		return verdict{allow: true, pattern: pattern}
	}
	for _, pattern := range policy.Ask {
		// As broad as a denial: what might be meant is asked about.
		if touches(pattern, use) {
			return verdict{ask: true, pattern: pattern}
		}
	}
	switch policy.Otherwise {
	case "allow":
		return verdict{allow: true}
	case "ask":
		return verdict{ask: true}
	}
	return verdict{message: fmt.Sprintf(
		"%s needs an approval, and nobody is there to give it. %s Do it with what is allowed, or go on without it, and say in your last message what you could not do.",
		described(use), allowedText(policy.Allow, use))}
}

// described names the call for the model.
func described(use toolUse) string {
	if argument := short(use.argument(), maxArgument); argument != "" {
		return use.name + " " + argument
	}
	return use.name
}

// allowedText tells the model what it may do.
func allowedText(allow []string, use toolUse) string {
	const most = 10
	var same []string
	for _, pattern := range allow {
		if p, ok := parsePattern(pattern); ok && glob(p.tool, use.name) {
			same = append(same, pattern)
		}
	}
	switch {
	case len(same) == 0:
		return "No use of this tool is allowed without one."
	case len(same) > most:
		same = append(same[:most], "…")
	}
	text := "Allowed without one: " + strings.Join(same, ", ") + "."
	if use.isShell() {
		text += " Each command of a line must match, and substitutions, subshells and redirections into files never do."
	}
	return text
}

// pattern is one parsed pattern.
type pattern struct {
	tool string
	// argument is nil for a pattern without parentheses.
	argument *string
}

// parsePattern reads `Tool` or `Tool(glob)`. One that is malformed has the part
// before the parenthesis as its tool.
func parsePattern(s string) (pattern, bool) {
	tool, rest, parentheses := strings.Cut(strings.TrimSpace(s), "(")
	p := pattern{tool: strings.TrimSpace(tool)}
	if !parentheses {
		return p, p.tool != "" && !strings.Contains(p.tool, ")")
	}
	argument, closed := strings.CutSuffix(rest, ")")
	p.argument = &argument
	return p, closed && p.tool != ""
}

// any says whether the pattern covers every call of its tool.
func (p pattern) any() bool { return p.argument == nil || *p.argument == "*" }

// touches says whether a deny or ask pattern matches. A malformed one matches
// the whole tool, which is the safe way to misunderstand it.
func touches(s string, use toolUse) bool {
	p, ok := parsePattern(s)
	if !glob(p.tool, use.name) {
		return false
	}
	if !ok || p.any() {
		return true
	}
	if use.isShell() {
		return slices.ContainsFunc(suspects(use.argument()), func(command string) bool { return matchCommand(*p.argument, command) })
	}
	if absolute, relative, ok := use.file(); ok {
		return glob(*p.argument, absolute) || relative != "" && glob(*p.argument, relative)
	}
	return glob(*p.argument, use.argument()) || glob(*p.argument, use.compact())
}

// allowedBy returns the allow pattern that matches; for a line of several
// commands the one that matches the first.
func allowedBy(patterns []string, use toolUse) (string, bool) {
	var own []pattern
	var texts []string
	for _, s := range patterns {
		p, ok := parsePattern(s)
		if !ok || !glob(p.tool, use.name) {
			continue
		}
		if p.any() {
			return s, true
		}
		own, texts = append(own, p), append(texts, s)
	}
	if len(own) == 0 {
		return "", false
	}
	if use.isShell() {
		return allowedShell(own, texts, use)
	}
	for i, p := range own {
		if allowsArgument(*p.argument, use) {
			return texts[i], true
		}
	}
	return "", false
}

func allowedShell(own []pattern, texts []string, use toolUse) (string, bool) {
	line, ok := use.field("command")
	if !ok {
		return "", false
	}
	commands, ok := simpleCommands(line)
	if !ok || len(commands) == 0 {
		return "", false
	}
	first := ""
	for _, command := range commands {
		i := slices.IndexFunc(own, func(p pattern) bool { return matchCommand(*p.argument, command) })
		if i < 0 {
			return "", false
		}
		if first == "" {
			first = texts[i]
		}
	}
	return first, true
}

func allowsArgument(argument string, use toolUse) bool {
	absolute, relative, ok := use.file()
	switch {
	case !ok:
		return use.isObject() && glob(argument, use.compact())
	case strings.HasPrefix(argument, "/"):
		return glob(argument, absolute)
	default:
		return relative != "" && glob(strings.TrimPrefix(argument, "./"), relative)
	}
}

// matchCommand matches a simple command; "go test *" matches "go test" too.
func matchCommand(pattern, command string) bool {
	pattern = strings.Join(strings.Fields(pattern), " ")
	bare, open := strings.CutSuffix(pattern, " *")
	return glob(pattern, command) || open && glob(bare, command)
}

// glob matches the whole of s: * is any characters, ? is one, all others are themselves.
func glob(pattern, s string) bool {
	p, r := []rune(pattern), []rune(s)
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(r) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == r[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
