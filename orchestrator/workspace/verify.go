package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
// a person. Which branch is checked out there is the agents' business. Errors:
// *Error (ErrGone, ErrForeign and others), those of git, the cause of the end of ctx.
func (w *Worktrees) Verify(ctx context.Context, t Tree) error {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return err
	}
	if info, err := os.Lstat(m.Dir); errors.Is(err, fs.ErrNotExist) {
		return &Error{ErrGone, "the worktree " + m.Dir + " of the task is gone", "it is restored from what was saved, where something was"}
	} else if err != nil {
		return fmt.Errorf("look at the worktree %s: %w", m.Dir, err)
	} else if !info.IsDir() {
		return m.foreign("it is no directory")
	}
	if info, err := os.Lstat(filepath.Join(m.Dir, ".git")); err != nil || !info.Mode().IsRegular() {
		return m.foreign("its file .git is gone or is another")
	}
	common, err := m.here().commonDir(ctx)
	if failed, ok := errors.AsType[*gitError](err); ok {
		return m.foreign("git cannot work in it: " + oneLine(failed.stderr))
	}
	if err != nil {
		return err
	}
	if common != m.common {
		return m.foreign("it belongs to the repository " + common)
	}
	gitDir, err := m.gitDir(ctx)
	if err != nil {
		return err
	}
	if gitDir == m.common {
		return m.foreign("it is the checkout of the repository itself")
	}
	top, err := m.here().run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	if top != m.Dir {
		return m.foreign("git takes " + top + " for the worktree")
	}
	known, err := readMarker(gitDir)
	if err != nil {
		return m.foreign("nothing says that it was made for the task")
	}
	if known.Task != m.Task {
		return m.foreign("it was made for task " + known.Task)
	}
	return nil
}

func (m *maker) foreign(why string) error {
	return &Error{
		ErrForeign, fmt.Sprintf("%s is not the worktree of the task: %s", m.Dir, why),
		"look at it with `git worktree list`; with the directory moved away, the next turn gets what was saved",
	}
}

// Checkout returns the top of the git checkout that a directory is in; empty
// when it is in none, or when git is not installed.
func Checkout(ctx context.Context, dir string) string {
	program, err := exec.LookPath("git")
	if err != nil {
		return ""
	}
	top, err := git{program: program, dir: dir}.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return ""
	}
	return top
}
