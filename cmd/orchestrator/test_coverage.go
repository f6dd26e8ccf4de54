package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// testCoverage is what the scenarios of a team cover, in JSON.
type testCoverage struct {
	Team  string `json:"team"`
	File  string `json:"file"`
	Rules int    `json:"rules"`
	Fired int    `json:"fired"`
	// Ran: a scenario ran the team, by itself or as a sub-team.
	Ran        bool        `json:"ran"`
	NeverFired []ruleAbout `json:"never_fired"`
}

type ruleAbout struct {
	Rule   int    `json:"rule"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

// coverage prints which rules never fired, where that is asked for, and
// reports whether there are some. The rules of sub-teams count too: they fire
// where a scenario says how the nodes of the sub-team end, and in the scenarios
// of the sub-team itself.
func (t *testReport) coverage(suites []*suite) (uncovered bool) {
	for _, team := range covered(suites) {
		fired, ran := t.fired[team.Revision]
		c := testCoverage{Team: team.Name, File: team.File, Rules: len(team.Handoffs), NeverFired: []ruleAbout{}, Ran: ran}
		for _, rule := range team.Handoffs {
			if fired[rule.Number] {
				c.Fired++
				continue
			}
			uncovered = true
			_, text, _ := strings.Cut(rule.String(), ": ")
			c.NeverFired = append(c.NeverFired, ruleAbout{rule.Number, rule.Pos.Line, rule.Pos.Column, text})
		}
		switch {
		case t.o.coverage == "":
		case t.o.asJSON:
			writeJSONLine(t.stdout, c)
		default:
			t.printCoverage(c)
		}
	}
	return uncovered
}

// covered are the teams whose rules count: those that are tested, and their
// sub-teams with theirs, each file once.
func covered(suites []*suite) []*workflow.Team {
	var teams []*workflow.Team
	for _, s := range suites {
		teams = append(teams, s.team)
	}
	for i := 0; i < len(teams); i++ { //nolint:intrange // it grows
		for _, name := range teams[i].NodeNames {
			sub := teams[i].Teams[name]
			if sub != nil && sub.Team != nil && !slices.ContainsFunc(teams, func(t *workflow.Team) bool {
				return t.Revision == sub.Team.Revision && filepath.Clean(t.File) == filepath.Clean(sub.Team.File)
			}) {
				teams = append(teams, sub.Team)
			}
		}
	}
	return teams
}

func (t *testReport) printCoverage(c testCoverage) {
	fmt.Fprintf(t.stdout, "%s: %d of %s fired\n", c.File, c.Fired, plural(c.Rules, "rule"))
	if !c.Ran {
		fmt.Fprintf(t.stdout, "  %s no scenario ran it: write scenarios of its own and name %s too, or say with nodes how its nodes end where it is a sub-team\n", t.palette.bad("✗"), c.File)
		return
	}
	for _, rule := range c.NeverFired {
		fmt.Fprintf(t.stdout, "  %s %s:%d:%d: rule %d never fired: %s\n", t.palette.bad("✗"), c.File, rule.Line, rule.Column, rule.Rule, rule.Text)
	}
}
