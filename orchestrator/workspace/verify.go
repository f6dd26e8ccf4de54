package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Why an agent must not work in a directory, as Error.Kind.
var (
	// ErrGone: the worktree is not there. Restore may bring it back.
	ErrGone = errors.New("the worktree is gone")
	// ErrForeign: the directory is not, or not any more, the worktree of the task.
	ErrForeign = errors.New("not the worktree of the task")
)

// Verify finds out whether a directory is the worktree of a task: a linked
// worktree of its repository, with the marker of the task, and not the checkout of
// a person. Which branch is checked out there is the agents' business. Dir must be
// as Make has returned it. Errors: *Error (ErrGone, ErrForeign), the cause of the end of ctx.
func (w *Worktrees) Verify(ctx context.Context, t Tree) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m := &maker{Options: Options{Tree: t}}
	if info, err := os.Lstat(m.Dir); errors.Is(err, fs.ErrNotExist) {
		return &Error{ErrGone, "the worktree " + m.Dir + " of the task is gone", "it is restored from what was saved, where something was"}
	} else if err != nil {
		return fmt.Errorf("look at the worktree %s: %w", m.Dir, err)
	} else if !info.IsDir() {
		return m.foreign("it is no directory")
	}
	gitDir, why := m.linked()
	if why != "" {
		return m.foreign(why)
	}
	known, err := readMarker(gitDir)
	if err != nil {
		return m.foreign("nothing says that it was made for the task")
	}
	if known.Task != m.Task {
		return m.foreign("it was made for task " + known.Task)
	}
	if parent := filepath.Dir(filepath.Dir(gitDir)); known.Common != parent {
		return m.foreign("it belongs to the repository " + parent)
	}
	return nil
}

// linked returns the git directory of the worktree's own, or says why it is no
// linked worktree. It reads the files that git goes by, and starts no process:
// this is asked before every turn.
func (m *maker) linked() (gitDir, why string) {
	link := filepath.Join(m.Dir, ".git")
	if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
		return "", "its file .git is gone or is another"
	}
	text, err := os.ReadFile(link)
	gitDir, ok := strings.CutPrefix(strings.TrimRight(string(text), "\r\n"), "gitdir: ")
	if err != nil || !ok {
		return "", "its file .git does not lead to a repository"
	}
	if !filepath.IsAbs(gitDir) {
		gitDir = filepath.Join(m.Dir, gitDir)
	}
	if gitDir, err = filepath.EvalSymlinks(gitDir); err != nil {
		return "", "its file .git leads nowhere: " + err.Error()
	}
	if filepath.Base(filepath.Dir(gitDir)) != "worktrees" {
		return "", "it is the checkout of the repository " + gitDir + " itself"
	}
	back, err := os.ReadFile(filepath.Join(gitDir, "gitdir"))
	if err != nil {
		return "", "git does not know it: " + err.Error()
	}
	if other := strings.TrimSpace(string(back)); other != link {
		return "", "git takes " + filepath.Dir(other) + " for the worktree"
	}
	return gitDir, ""
}

func (m *maker) foreign(why string) error {
	return &Error{
		ErrForeign, fmt.Sprintf("%s is not the worktree of the task: %s", m.Dir, why),
		"look at it with `git worktree list`; with the directory moved away, the next turn gets what was saved",
	}
}
