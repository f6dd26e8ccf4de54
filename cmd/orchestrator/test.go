package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/teamtest"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The values of --coverage.
const (
	coverageShow = "show"
	coverageAll  = "all"
)

type testOptions struct {
	run      string
	coverage string
	rolesDir string
	asJSON   bool
	verbose  bool
}

func newTest(a *app) *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test FILE|DIR...",
		Short: "Test teams without a model",
		Long: `Runs the scenarios of teams. The scenarios of NAME.yaml are in NAME.test.yaml
beside it: each says how the nodes end, visit by visit, and what must follow.
They run in the real engine on a scripted App Server, with a virtual clock, so
that waiting takes no time; no model is asked and no command of a check is run.

FILE is a team file or a scenario file; of a directory all below it are taken.
Exit status 1 when a scenario fails, 2 when a file is wrong.`,
		Example: `  orchestrator test examples/teams
  orchestrator test examples/teams/plan-code-review.yaml --run "tests fail" -v
  orchestrator test --coverage examples/teams
  orchestrator test --coverage=all --json examples/teams`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return oneArgument("a team file")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.test(cmd.Context(), args, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.run, "run", "", "run only scenarios whose TEAM/NAME matches this regular expression")
	flags.StringVar(&o.coverage, "coverage", "", "say which rules, of sub-teams too, never fired; with =all their existence is a failure")
	flags.Lookup("coverage").NoOptDefVal = coverageShow
	flags.BoolVar(&o.asJSON, "json", false, "one JSON object per scenario, and with --coverage one per team")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "show the routes of scenarios that pass, too")
	rolesFlag(flags, &o.rolesDir)
	return cmd
}

// test runs scenarios. Nothing is run when a file is wrong.
func (a *app) test(ctx context.Context, args []string, o testOptions) error {
	only, err := regexp.Compile(o.run)
	if err != nil {
		return usage(fmt.Errorf("--run %q is not a regular expression: %s", o.run, strings.TrimPrefix(err.Error(), "error parsing regexp: ")))
	}
	if o.coverage != "" && o.coverage != coverageShow && o.coverage != coverageAll {
		return usage(fmt.Errorf("--coverage=%s is not known\n  what to do: write --coverage or --coverage=all", o.coverage))
	}
	suites, err := loadSuites(args, o.rolesDir)
	if err != nil {
		return usage(err)
	}
	library, err := roles.Load(o.rolesDir)
	if err != nil {
		return usage(err)
	}
	began := time.Now()
	runs, wait := startScenarios(ctx, suites, only, teamtest.Options{Roles: library, Version: version})
	report := newTestReport(a, o)
	for _, r := range runs {
		select {
		case <-r.done:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), wait())
		}
		if r.err != nil {
			break
		}
		report.scenario(r)
	}
	if err := wait(); err != nil {
		return err
	}
	uncovered := report.coverage(suites)
	report.end(suites, time.Since(began))
	switch {
	case report.failed > 0, uncovered && o.coverage == coverageAll:
		return quietExit(exitTaskFailed)
	case len(runs) == 0 && o.run != "":
		return usage(fmt.Errorf("no scenario matches --run %q", o.run))
	case report.ran == 0:
		return usage(fmt.Errorf("there are no scenarios\n  what to do: write %s, see docs/team-tests.md", teamtest.Beside(suites[0].file)))
	}
	return nil
}

// suite is a team and its scenario files; a team may have none.
type suite struct {
	file  string
	team  *workflow.Team
	files []*teamtest.File
}

// loadSuites finds the teams and scenarios that are meant. All files are read
// before anything is run; what is wrong with any of them is in the error.
func loadSuites(args []string, rolesDir string) ([]*suite, error) {
	teams, scenarios, err := testFiles(args)
	if err != nil {
		return nil, err
	}
	var suites []*suite
	var problems workflow.Problems
	var unread error
	bad := func(err error) {
		if ps, ok := errors.AsType[workflow.Problems](err); ok {
			problems = append(problems, ps...)
		} else {
			unread = errors.Join(unread, err)
		}
	}
	find := func(file string) (*suite, error) {
		file = filepath.Clean(file)
		if i := slices.IndexFunc(suites, func(s *suite) bool { return s.file == file }); i >= 0 {
			return suites[i], nil
		}
		team, err := orchestrator.LoadTeam(file, rolesDir)
		if err != nil {
			return nil, err
		}
		suites = append(suites, &suite{file: file, team: team})
		return suites[len(suites)-1], nil
	}
	for _, file := range teams {
		if _, err := find(file); err != nil {
			bad(err)
		}
	}
	for _, file := range scenarios {
		var s *suite
		loaded, err := teamtest.Load(file, func(path string) (*workflow.Team, error) {
			var err error
			if s, err = find(path); err != nil {
				return nil, err
			}
			return s.team, nil
		})
		if err != nil {
			bad(err)
			continue
		}
		s.files = append(s.files, loaded)
	}
	switch {
	case unread != nil:
		return nil, unread
	case len(problems) > 0:
		slices.SortStableFunc(problems, func(a, b workflow.Problem) int { return strings.Compare(a.File, b.File) })
		return nil, slices.Compact(problems)
	}
	slices.SortStableFunc(suites, func(a, b *suite) int { return strings.Compare(a.file, b.file) })
	return suites, nil
}

// testFiles tells team files from scenario files; beside every team file its
// scenario file is looked for.
func testFiles(args []string) (teams, scenarios []string, err error) {
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			found, err := yamlFiles(arg, func(file string, _ []byte) bool { return strings.HasSuffix(file, teamtest.Suffix) })
			if err != nil {
				return nil, nil, err
			}
			scenarios = append(scenarios, found...)
		} else if strings.HasSuffix(arg, teamtest.Suffix) {
			scenarios = append(scenarios, arg)
			continue
		}
		found, err := teamFiles([]string{arg})
		if err != nil {
			return nil, nil, err
		}
		for _, file := range found {
			teams = append(teams, file)
			if _, err := os.Stat(teamtest.Beside(file)); err == nil {
				scenarios = append(scenarios, teamtest.Beside(file))
			}
		}
	}
	slices.Sort(scenarios)
	return teams, slices.Compact(scenarios), nil
}

// scenarioRun is one scenario on its way.
type scenarioRun struct {
	suite    *suite
	file     *teamtest.File
	scenario *teamtest.Scenario
	done     chan struct{}
	result   teamtest.Result
	took     time.Duration
	err      error
}

// startScenarios runs the scenarios, as many at once as there are processors.
func startScenarios(ctx context.Context, suites []*suite, only *regexp.Regexp, options teamtest.Options) (runs []*scenarioRun, wait func() error) {
	for _, s := range suites {
		for _, f := range s.files {
			for _, sc := range f.Scenarios {
				if only.MatchString(s.team.Name + "/" + sc.Name) {
					runs = append(runs, &scenarioRun{suite: s, file: f, scenario: sc, done: make(chan struct{})})
				}
			}
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	var started errgroup.Group
	started.Go(func() error { // Go waits where the limit is reached, and what is done is to be shown meanwhile
		for _, r := range runs {
			group.Go(func() error {
				defer close(r.done)
				began := time.Now()
				if r.result, r.err = teamtest.Run(ctx, r.scenario, options); r.err != nil {
					return fmt.Errorf("run scenario %q of %s: %w", r.scenario.Name, r.file.Name, r.err)
				}
				r.took = time.Since(began)
				return nil
			})
		}
		return nil
	})
	return runs, func() error { return errors.Join(started.Wait(), group.Wait()) }
}
