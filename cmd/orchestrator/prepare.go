package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// submitFlags are those of commands that make a task.
type submitFlags struct {
	inputs     []string
	inputsFile string
	workspace  string
	key        string
	priority   int
	trace      string
}

func (f *submitFlags) register(flags *pflag.FlagSet) {
	f.registerInputs(flags)
	flags.IntVar(&f.priority, "priority", 0, "tasks with a higher one begin first, from -1000 to 1000")
	flags.StringVar(&f.trace, "traceparent", "", "the trace that the task belongs to, as of W3C Trace Context; default: $TRACEPARENT, with $TRACESTATE")
}

func (f *submitFlags) registerInputs(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.inputs, "input", nil, "an input of the task as name=value; may be repeated")
	flags.StringVar(&f.inputsFile, "inputs-file", "", "read inputs from a JSON or YAML file; - is the standard input")
	flags.StringVar(&f.workspace, "workspace", "", "the directory in which the agents work, instead of the one that the team names")
	flags.StringVar(&f.key, "key", "", "idempotency key: the same key never starts a second task")
}

// prepare checks everything that a person may have got wrong before anything is
// started. Without a daemon d is nil.
func (a *app) prepare(ctx context.Context, d *daemonBackend, name string, f submitFlags, roles string) (submission, error) {
	sub := submission{key: f.key, priority: f.priority, workspace: f.workspace}
	if sub.trace = workflow.ParseTrace(cmp.Or(f.trace, os.Getenv("TRACEPARENT")), os.Getenv("TRACESTATE")); sub.trace == nil && f.trace != "" {
		return sub, usage(fmt.Errorf("--traceparent %q is none: it is 00-TRACE-SPAN-FLAGS, with 32, 16 and 2 hexadecimal digits", f.trace))
	}
	if f.priority < -1000 || f.priority > 1000 {
		return sub, usage(fmt.Errorf("--priority %d is not from -1000 to 1000", f.priority))
	}
	if err := a.chooseTeam(ctx, d, name, roles, &sub); err != nil {
		return sub, err
	}
	for _, w := range sub.team.Warnings {
		fmt.Fprintln(a.stderr, "warning:", w.String())
	}
	var err error
	if sub.given, err = readInputs(f.inputsFile, a.stdin, f.inputs); err != nil {
		return sub, usage(err)
	}
	if sub.input, err = sub.team.BindInput(sub.given); err != nil {
		return sub, usage(err)
	}
	return sub, usage(sub.resolveWorkspace(d))
}

// resolveWorkspace makes the workspace absolute. Without a daemon d is nil.
func (s *submission) resolveWorkspace(d *daemonBackend) (err error) {
	switch {
	case d != nil:
		return s.placeForDaemon(strings.HasPrefix(d.URL(), "unix:"))
	case s.workspace != "":
		s.workspace, err = orchestrator.ResolveWorkspace(s.workspace)
	}
	return err
}

// chooseTeam reads a team file, or takes a team of the daemon.
func (a *app) chooseTeam(ctx context.Context, d *daemonBackend, name, roles string, sub *submission) (err error) {
	switch {
	case d == nil && isTeamName(name):
		return usage(fmt.Errorf("there is no file %s\n  what to do: check the path; it is relative to the current directory. Teams are named where a daemon serves the data directory (orchestrator serve)", name))
	case d == nil:
		sub.team, err = orchestrator.LoadTeam(name, roles)
		return usage(err)
	case !isTeamName(name):
		sub.team, err = orchestrator.LoadTeamUnchecked(name) // the daemon knows its roles
		return usage(err)
	}
	served, err := d.Team(ctx, name)
	if err != nil {
		return err
	}
	if served.Source == "" {
		return usage(fmt.Errorf("team %q of the daemon cannot be used:\n  %s", name, strings.Join(served.Problems, "\n  ")))
	}
	sources := map[string][]byte{}
	for path, text := range served.Sources {
		sources[path] = []byte(text)
	}
	sub.name = name
	sub.team, err = workflow.Parse(served.File, []byte(served.Source), workflow.ParseOptions{Load: workflow.LoadSources(served.File, sources)})
	return err
}

// isTeamName tells the name of a team from a team file.
func isTeamName(text string) bool {
	if strings.ContainsAny(text, `/\`) || filepath.Ext(text) == ".yaml" || filepath.Ext(text) == ".yml" {
		return false
	}
	_, err := os.Stat(text)
	return err != nil
}

// placeForDaemon makes the workspace absolute for a daemon: a relative one would be relative
// to the working directory of the daemon, which nobody means.
func (s *submission) placeForDaemon(sameMachine bool) (err error) {
	switch {
	case s.workspace != "" && sameMachine:
		s.workspace, err = orchestrator.ResolveWorkspace(s.workspace)
		return err
	case s.workspace != "" && !filepath.IsAbs(s.workspace):
		return fmt.Errorf("--workspace %s: the daemon is on another machine: name the whole path there", s.workspace)
	case s.workspace != "" || s.name != "":
		return nil
	}
	const someTask = "01TASK"
	worktree, ok, err := s.team.WorkspaceWorktree(someTask, s.input)
	if err != nil {
		return err
	}
	if ok {
		if !filepath.IsAbs(worktree.Repo) {
			return fmt.Errorf("the team names the repository %s, and the daemon has another working directory: write the whole path into the team file, or make it an input", worktree.Repo)
		}
		return nil
	}
	directory, _, err := s.team.WorkspaceDirectory(someTask, s.input)
	if err != nil || directory == "" || filepath.IsAbs(directory) {
		return err
	}
	if !sameMachine || strings.Contains(directory, someTask) {
		return errors.New("the team names the directory " + directory + ", and the daemon has another working directory: write the whole path into the team file")
	}
	s.workspace, err = orchestrator.ResolveWorkspace(directory)
	return err
}

// known says that a task with the same key is there already.
func (s *submission) known(state workflow.State) string {
	remark := fmt.Sprintf("the key %q belongs to a task that was submitted before", s.key)
	if state.Revision != s.team.Revision {
		remark += ", with an earlier version of the team file"
	}
	return remark
}
