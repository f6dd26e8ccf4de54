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

// make looks at what there is and does the rest. It depends on nothing but
// what it sees, so that it can be called again after any failure.
func (m *maker) make(ctx context.Context) (string, error) {
	state, err := m.look(ctx)
	if err != nil {
		return "", err
	}
	switch state {
	case complete:
		return m.Dir, nil
	case halfMade:
		// Nobody has worked in it yet: git itself says that it was still being made.
		if _, err := m.git.run(ctx, "worktree", "remove", "--force", "--force", m.Dir); err != nil {
			return "", err
		}
	case absent:
	}
	return m.Dir, m.add(ctx)
}

// condition says what is in Dir.
type condition int

const (
	absent condition = iota
	halfMade
	complete
)

func (m *maker) look(ctx context.Context) (condition, error) {
	entries, err := os.ReadDir(m.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return absent, nil
	}
	if err != nil {
		return absent, m.occupied("it cannot be read: " + err.Error())
	}
	// Without a .git of its own, git would speak of a repository around it.
	here := git{m.git.program, m.Dir}
	if info, err := os.Lstat(filepath.Join(m.Dir, ".git")); err != nil || !info.Mode().IsRegular() {
		return absent, m.occupied("it is no git worktree")
	}
	common, err := here.commonDir(ctx)
	if _, failed := errors.AsType[*gitError](err); failed || err == nil && common != m.common {
		return absent, m.occupied("it is no worktree of " + m.Repo)
	}
	if err != nil {
		return absent, err
	}
	own, err := here.run(ctx, "rev-parse", "--absolute-git-dir")
	if err != nil {
		return absent, err
	}
	// git holds this lock while it makes a worktree, and leaves it where it is killed.
	lock, err := os.ReadFile(filepath.Join(own, "locked"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return absent, fmt.Errorf("look at the worktree in %s: %w", m.Dir, err)
	}
	if strings.TrimSpace(string(lock)) == "initializing" {
		return halfMade, nil
	}
	return complete, nil
}

func (m *maker) occupied(why string) error {
	return &Error{ErrOccupied, fmt.Sprintf("the directory %s for the git worktree is not empty, and %s", m.Dir, why), "move it away"}
}

// add makes the branch and the worktree.
func (m *maker) add(ctx context.Context) error {
	if err := m.checkName(ctx); err != nil {
		return err
	}
	base, err := m.base(ctx)
	if err != nil {
		return err
	}
	others, err := m.git.list(ctx)
	if err != nil {
		return err
	}
	tip, exists, err := m.git.resolve(ctx, "refs/heads/"+m.Branch)
	if err != nil {
		return err
	}
	args := []string{"worktree", "add", "--quiet"}
	ours := false
	for _, other := range others {
		switch {
		case other.path == m.Dir:
			args = append(args, "--force", "--force") // git knows it, and its directory is gone
			ours = other.branch == m.Branch
		case other.branch == m.Branch:
			return &Error{
				ErrBranchInUse, fmt.Sprintf("the branch %s is checked out in %s", m.Branch, other.path),
				"name another one in workspace.worktree.branch, for example with {{ .task.id }} in it",
			}
		}
	}
	switch {
	case !exists:
		// The base is a commit and not a branch: that would be tracked, and
		// so written into the configuration of the repository.
		args = append(args, "-b", m.Branch, m.Dir, base)
	case ours, tip == base: // the second is also what a call that was cut off has left; nothing is lost
		args = append(args, m.Dir, m.Branch)
	default:
		return &Error{
			ErrBranchExists, fmt.Sprintf("the branch %s exists in %s and holds other commits than its base", m.Branch, m.Repo),
			"name another one in workspace.worktree.branch, for example with {{ .task.id }} in it, or delete it",
		}
	}
	_, err = m.git.run(ctx, args...)
	return m.explain(err)
}

func (m *maker) checkName(ctx context.Context) error {
	refused := &Error{ErrBranchName, fmt.Sprintf("%q cannot be the name of a branch", m.Branch), "mend workspace.worktree.branch: letters, digits, - . and / are safe"}
	if strings.HasPrefix(m.Branch, "-") || m.Branch == "HEAD" {
		return refused
	}
	_, err := m.git.run(ctx, "check-ref-format", "refs/heads/"+m.Branch)
	if _, failed := errors.AsType[*gitError](err); failed {
		return refused
	}
	return err
}

// explain knows how adding a worktree fails for reasons that are not ours.
func (m *maker) explain(err error) error {
	failed, ok := errors.AsType[*gitError](err)
	if ok && strings.Contains(failed.stderr, "exists; cannot create") {
		return &Error{
			ErrBranchName, fmt.Sprintf("there cannot be a branch %s beside those that %s has: %s", m.Branch, m.Repo, failed.stderr),
			"name another one in workspace.worktree.branch: a branch cannot be named like the folder of another one",
		}
	}
	return err
}
