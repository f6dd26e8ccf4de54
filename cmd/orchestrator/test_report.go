package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/teamtest"
)

// testReport prints what came of scenarios.
type testReport struct {
	*app
	o       testOptions
	palette palette
	last    string // the file of the scenario before
	ran     int
	failed  int
	fired   map[string]map[int]bool // by the revision of the team
}

func newTestReport(a *app, o testOptions) *testReport {
	return &testReport{app: a, o: o, palette: paletteFor(a.stdout), fired: map[string]map[int]bool{}}
}

// testFailure is one failure in JSON.
type testFailure struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Column  int      `json:"column"`
	Message string   `json:"message"`
	Diff    []string `json:"diff,omitempty"`
}

// testResult is a scenario in JSON.
type testResult struct {
	File     string        `json:"file"`
	Team     string        `json:"team"`
	Scenario string        `json:"scenario"`
	Passed   bool          `json:"passed"`
	Failures []testFailure `json:"failures,omitempty"`
	State    string        `json:"state"`
	Route    []string      `json:"route"`
	Rules    []int         `json:"rules"`
	Turns    int           `json:"turns"`
	Tokens   int64         `json:"tokens"`
	// ElapsedSeconds is virtual time, TookSeconds real time.
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	TookSeconds    float64 `json:"took_seconds"`
}

func (t *testReport) scenario(r *scenarioRun) {
	t.ran++
	if !r.result.Passed() {
		t.failed++
	}
	for revision, rules := range r.result.FiredIn {
		if t.fired[revision] == nil {
			t.fired[revision] = map[int]bool{}
		}
		for _, rule := range rules {
			t.fired[revision][rule] = true
		}
	}
	if t.o.asJSON {
		writeJSONLine(t.stdout, jsonResult(r))
		return
	}
	if t.last != r.file.Name {
		t.last = r.file.Name
		fmt.Fprintln(t.stdout, t.palette.bold(r.file.Name))
	}
	mark, width := t.palette.good("✓"), 60
	if !r.result.Passed() {
		mark = t.palette.bad("✗")
	}
	fmt.Fprintf(t.stdout, "  %s %s %s\n", mark, pad(oneLine(r.scenario.Name, width), width), t.palette.dim(formatElapsed(r.took)))
	for _, f := range r.result.Failures {
		t.failure(r, f)
	}
	showsRoute := slices.ContainsFunc(r.result.Failures, func(f teamtest.Failure) bool { return len(f.Diff) > 0 })
	if t.o.verbose || !r.result.Passed() && !showsRoute {
		for _, step := range r.result.Route {
			fmt.Fprintln(t.stdout, t.palette.dim("      "+printable(step.String())))
		}
	}
}

func (t *testReport) failure(r *scenarioRun, f teamtest.Failure) {
	fmt.Fprintf(t.stdout, "    %s:%d:%d: %s\n", r.file.Name, f.Pos.Line, f.Pos.Column, printable(f.Message))
	for _, line := range f.Diff {
		text := fmt.Sprintf("      %c %s", line.Sign, printable(line.Text))
		switch line.Sign {
		case '-':
			text = t.palette.bad(text)
		case '+':
			text = t.palette.good(text)
		}
		fmt.Fprintln(t.stdout, text)
	}
}

func jsonResult(r *scenarioRun) testResult {
	out := testResult{
		File: r.file.Name, Team: r.suite.team.Name, Scenario: r.scenario.Name, Passed: r.result.Passed(),
		State: string(r.result.State.Status), Route: []string{}, Rules: append([]int{}, r.result.Fired...),
		Turns: r.result.State.Attempts, Tokens: r.result.State.Usage.TotalTokens,
		ElapsedSeconds: r.result.Elapsed.Seconds(), TookSeconds: r.took.Seconds(),
	}
	for _, step := range r.result.Route {
		out.Route = append(out.Route, step.String())
	}
	for _, f := range r.result.Failures {
		failure := testFailure{File: r.file.Name, Line: f.Pos.Line, Column: f.Pos.Column, Message: f.Message}
		for _, line := range f.Diff {
			failure.Diff = append(failure.Diff, string(line.Sign)+" "+line.Text)
		}
		out.Failures = append(out.Failures, failure)
	}
	return out
}

// end prints the sum.
func (t *testReport) end(suites []*suite, took time.Duration) {
	if t.o.asJSON {
		return
	}
	tested := 0
	for _, s := range suites {
		if len(s.files) == 0 {
			fmt.Fprintf(t.stdout, "%s has no scenarios: write %s\n", s.file, teamtest.Beside(s.file))
		} else {
			tested++
		}
	}
	if t.ran == 0 {
		return
	}
	text := fmt.Sprintf("%s of %s: %d passed", plural(t.ran, "scenario"), plural(tested, "team"), t.ran-t.failed)
	if t.failed > 0 {
		text = t.palette.bad(fmt.Sprintf("%s, %d failed", text, t.failed))
	}
	fmt.Fprintf(t.stdout, "%s (%s)\n", text, formatElapsed(took))
}
