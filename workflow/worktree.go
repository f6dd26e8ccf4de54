package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template/parse"
)

// WorktreePlace is a Worktree for one task.
type WorktreePlace struct {
	// Repo is as the team or the input names it, perhaps relative.
	Repo string
	// Within is the directory that Repo must be in, symbolic links followed; empty is any.
	Within string
	// Base is empty where HEAD of the repository is meant.
	Base   string
	Branch string
}

// PathError says that a value which is a part of a path in the team file leads
// out of the directory that the file names.
type PathError struct {
	// Field is the field of the team file, Path what it came to.
	Field, Path string
	// Why says what is wrong with it.
	Why string
}

// Error implements error.
func (e *PathError) Error() string {
	return fmt.Sprintf("%s is %q, which %s", e.Field, excerpt(e.Path, 200), e.Why)
}

// WorkspaceDirectory renders workspace.directory for one task, and the directory
// that it must be in, symbolic links followed; empty is any. Both are empty when
// the team names none. Errors: *PathError.
func (t *Team) WorkspaceDirectory(task string, input map[string]any) (directory, within string, err error) {
	return t.placePath("workspace.directory", t.Workspace.Directory, task, input)
}

// PublishFile renders workspace.publish.patch or bundle, whichever is given. A
// path that is not absolute is in a directory of the task's, which it cannot leave.
// Errors: *PathError.
func (t *Team) PublishFile(task string, input map[string]any) (file string, err error) {
	b := t.Workspace.Publish
	if b == nil {
		return "", nil
	}
	field, text := "workspace.publish.patch", b.Patch
	if text.IsZero() {
		field, text = "workspace.publish.bundle", b.Bundle
	}
	file, within, err := t.placePath(field, text, task, input)
	switch {
	case err != nil || file == "":
		return "", err
	case path.IsAbs(file) && !path.IsAbs(literalStart(text)):
		return "", &PathError{field, file, "only the team file may make absolute"}
	case !path.IsAbs(file) && climbs(file):
		return "", &PathError{field, file, "leaves the directory of the task"}
	case file == within || file == "." || file == "/":
		return "", &PathError{field, file, "names no file"}
	}
	return file, nil
}

// WorkspaceWorktree renders workspace.worktree for one task; ok is false when
// the team has none. The branch is team/TASK where the team does not say. Errors: *PathError.
func (t *Team) WorkspaceWorktree(task string, input map[string]any) (place WorktreePlace, ok bool, err error) {
	w := t.Workspace.Worktree
	if w == nil {
		return WorktreePlace{}, false, nil
	}
	if place.Repo, place.Within, err = t.placePath("workspace.worktree.repo", w.Repo, task, input); err != nil {
		return WorktreePlace{}, true, err
	}
	for _, field := range []struct {
		name     string
		template Template
		to       *string
	}{{"base", w.Base, &place.Base}, {"branch", w.Branch, &place.Branch}} {
		if *field.to, err = t.renderPlace("workspace.worktree."+field.name, field.template, task, input); err != nil {
			return WorktreePlace{}, true, err
		}
	}
	if place.Repo == "" {
		return WorktreePlace{}, true, errors.New("workspace.worktree.repo of team " + t.Name + " is empty for this task")
	}
	place.Branch = cmp.Or(place.Branch, "team/"+task)
	return place, true, nil
}

// renderPlace renders a template over what is known of a task before it begins.
func (t *Team) renderPlace(field string, text Template, task string, input map[string]any) (string, error) {
	if text.IsZero() {
		return "", nil
	}
	out, err := text.Render(scope(t, &State{Task: task, Team: t.Name, Input: input}, nil))
	if err != nil {
		return "", fmt.Errorf("render %s of team %s: %w", field, t.Name, err)
	}
	return strings.TrimSpace(out), nil
}

// placePath renders a path. What the team file writes out is believed, and so is
// a path that is one value as a whole: whoever submits the task names it. A value
// that is a part of a path is a name within what the file writes out.
func (t *Team) placePath(field string, text Template, task string, input map[string]any) (file, within string, err error) {
	out, err := t.renderPlace(field, text, task, input)
	if err != nil || out == "" {
		return "", "", err
	}
	refused := func(why string) (string, string, error) { return "", "", &PathError{field, out, why} }
	if strings.ContainsAny(out, "\x00\n\r") {
		return refused("has a line break or a NUL character in it")
	}
	if nodes := text.tmpl.Root.Nodes; len(nodes) == 1 {
		return path.Clean(out), "", nil
	}
	start := strings.TrimLeft(literalStart(text), " \t")
	within = start[:strings.LastIndexByte(start, '/')+1]
	rest, found := strings.CutPrefix(out, within)
	switch {
	case !found:
		return refused("does not begin as the team file says")
	case within == "" && path.IsAbs(out):
		return refused("only the team file, or a value for all of it, may make absolute")
	case slices.Contains(strings.Split(rest, "/"), ".."):
		return refused("has .. in it")
	}
	file = path.Clean(out)
	if within == "" {
		return file, "", nil
	}
	if within = path.Clean(within); file == within {
		return refused("is the directory around it: a value is empty")
	}
	return file, within, nil
}

// literalStart is what a template begins with, up to the first value.
func literalStart(t Template) string {
	if t.tmpl == nil || len(t.tmpl.Root.Nodes) == 0 {
		return ""
	}
	text, ok := t.tmpl.Root.Nodes[0].(*parse.TextNode)
	if !ok {
		return ""
	}
	return string(text.Text)
}

// climbs reports whether a clean relative path leaves where it begins.
func climbs(file string) bool { return file == ".." || strings.HasPrefix(file, "../") }

// CommitMessage renders workspace.commit.message for a task that has ended; ok
// is false when the team commits nothing.
func (t *Team) CommitMessage(s State) (message string, ok bool, err error) {
	if t.Workspace.Commit == nil {
		return "", false, nil
	}
	e := &ended{}
	if r := s.Result; r != nil {
		e = &ended{turn: Turn{Node: r.Node}, reason: r.Reason, output: r.Output, outputFile: r.OutputFile, outcome: r.Outcome, summary: r.Summary, data: r.Data}
		if r.State != TaskSucceeded {
			e.err = r.Explanation
		}
	}
	message, err = t.Workspace.Commit.Message.Render(scope(t, &s, e))
	if err != nil {
		return "", true, fmt.Errorf("render workspace.commit.message of team %s: %w", t.Name, err)
	}
	return cmp.Or(strings.TrimSpace(message), "Result of task "+s.Task), true, nil
}

// Lock says which lock a task of the team takes on a directory that is not its own.
func (t *Team) Lock() PlaceLock {
	switch {
	case !slices.ContainsFunc(t.NodeNames, func(node string) bool { return t.writes(node) != "" }):
		return LockNone
	case t.Workspace.ParallelWriters:
		return LockShared
	}
	return LockExclusive
}
