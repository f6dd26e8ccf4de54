package main

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// prepared is an answer that was given before it was asked for (--answer).
type prepared struct {
	name  string // a gate, an agent, or a pattern of tools
	value string
}

// preparedAnswers reads the answers that were given in advance for a team.
func preparedAnswers(team *workflow.Team, given []string) ([]prepared, error) {
	answers, err := parseAnswers(given)
	if err == nil {
		err = checkAnswers(team, answers)
	}
	return answers, err
}

// parseAnswers reads NAME=VALUE. A pattern may hold a = in its parentheses.
func parseAnswers(given []string) ([]prepared, error) {
	var out []prepared
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if strings.Contains(name, "(") {
			if i := strings.Index(text, ")="); i >= 0 {
				name, value = text[:i+1], text[i+2:]
			}
		}
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("--answer %q is not of the form NAME=ANSWER, such as merge=approve or 'Bash(go test *)=allow'", text)
		}
		out = append(out, prepared{name, value})
	}
	return out, nil
}

// checkAnswers refuses what can never be asked by a team or its sub-teams.
func checkAnswers(team *workflow.Team, answers []prepared) error {
	gates, agents := map[string]bool{}, map[string]bool{}
	collectNames(team, gates, agents)
	for _, p := range answers {
		var err error
		switch {
		case gates[p.name]:
			_, err = ask{Kind: askGate}.read(p.value)
		case agents[p.name]:
		case isToolPattern(p.name):
			_, err = ask{Kind: askApproval}.read(p.value)
		default:
			return unknownName(p.name, gates, agents)
		}
		if err != nil {
			return fmt.Errorf("--answer %s=%s: %w", p.name, p.value, err)
		}
	}
	return nil
}

func collectNames(team *workflow.Team, gates, agents map[string]bool) {
	for name := range team.Gates {
		gates[name] = true
	}
	for name := range team.Agents {
		agents[name] = true
	}
	for _, node := range team.Teams {
		if node.Team != nil {
			collectNames(node.Team, gates, agents)
		}
	}
}

// isToolPattern tells a pattern from a misspelt name: tools of the App Server
// begin with a capital letter, and others have an underscore.
func isToolPattern(name string) bool {
	return name[0] >= 'A' && name[0] <= 'Z' || strings.ContainsAny(name, "(*_")
}

func unknownName(name string, gates, agents map[string]bool) error {
	var names []string
	for _, set := range []map[string]bool{gates, agents} {
		for n := range set {
			names = append(names, n)
		}
	}
	text := fmt.Sprintf("--answer %s: the team has no gate or agent of this name, and it is no pattern of tools", name)
	if near := suggest.Nearest(name, slices.Sorted(slices.Values(names))); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return errors.New(text)
}

// answerFor is the prepared answer to an ask. Of several patterns one that denies counts most.
func answerFor(answers []prepared, a ask) (answer, bool) {
	var found *answer
	for _, p := range answers {
		read, err := a.read(p.value)
		if err != nil || !p.fits(a, read) {
			continue
		}
		if found == nil || a.Kind == askApproval && read.text == workflow.AnswerDeny {
			found = &read
		}
	}
	if found == nil {
		return answer{}, false
	}
	return *found, true
}

func (p prepared) fits(a ask, read answer) bool {
	switch a.Kind {
	case askGate:
		return p.name == a.Node || p.name == a.name()
	case askApproval:
		return runner.Covers(p.name, a.Tool, a.Argument, read.text == workflow.AnswerAllow)
	case askText:
	}
	return p.name == a.Node || p.name == a.name()
}

// userName is who answers, as journals name them.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "a user without a name"
}
