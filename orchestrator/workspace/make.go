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
// what it sees, so that it can be called again after any failure. It returns
// the commit that the branch began at.
func (m *maker) make(ctx context.Context, w *Worktrees) (base string, err error) {
	release, err := w.take(ctx, m.common)
	if err != nil {
		return "", err
	}
	base, complete, err := m.prepare(ctx)
	release()
	if err != nil || complete {
		return base, err
	}
	// Many at once: every worktree has an index of its own. The index is written
	// last, which is how it is known that all files are there.
	if _, err := m.here().run(ctx, "reset", "--quiet", "--hard"); err != nil {
		return "", err
	}
	return base, nil
}

// prepare makes the branch and the worktree without its files, unless the worktree is complete.
func (m *maker) prepare(ctx context.Context) (base string, done bool, err error) {
	state, err := m.look(ctx)
	if err != nil {
		return "", false, err
	}
	head := ""
	switch state {
	case complete:
		base, err = m.began(ctx)
		return base, true, err
	case halfMade:
		// Nobody has worked in it yet: some of its files were never there. Where it
		// began stays, also when the base has moved on since.
		if head, _, err = m.here().resolve(ctx, "refs/heads/"+m.Branch); err != nil {
			return "", false, err
		}
		if _, err := m.git.run(ctx, "worktree", "remove", "--force", "--force", m.Dir); err != nil {
			return "", false, err
		}
	case absent:
	}
	if err := m.add(ctx, head); err != nil {
		return "", false, err
	}
	base, err = m.began(ctx)
	return base, false, err
}

// began is the commit that the branch began at, noted in the marker. Without
// one nobody has worked in the worktree yet.
func (m *maker) began(ctx context.Context) (string, error) {
	gitDir, err := m.gitDir(ctx)
	if err != nil {
		return "", err
	}
	known, err := readMarker(gitDir)
	switch {
	case err == nil && known.Task == m.Task:
		return known.Base, nil
	case err == nil:
		return "", m.occupied("it is the worktree of task " + known.Task)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	base, err := m.here().run(ctx, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return "", err
	}
	return base, writeMarker(gitDir, marker{Task: m.Task, Base: base, Branch: m.Branch, Common: m.common})
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
	if info, err := os.Lstat(filepath.Join(m.Dir, ".git")); err != nil || !info.Mode().IsRegular() {
		return absent, m.occupied("it is no git worktree")
	}
	common, err := m.here().commonDir(ctx)
	if _, failed := errors.AsType[*gitError](err); failed || err == nil && common != m.common {
		return absent, m.occupied("it is no worktree of " + m.Repo)
	}
	if err != nil {
		return absent, err
	}
	own, err := m.gitDir(ctx)
	if err != nil {
		return absent, err
	}
	// git holds this lock while it makes a worktree, and leaves it where it is killed.
	lock, err := os.ReadFile(filepath.Join(own, "locked"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return absent, fmt.Errorf("look at the worktree in %s: %w", m.Dir, err)
	}
	if strings.TrimSpace(string(lock)) == "initializing" || !exists(filepath.Join(own, "index")) {
		return halfMade, nil
	}
	return complete, nil
}

// gitDir is the directory of the worktree's own in the repository.
func (m *maker) gitDir(ctx context.Context) (string, error) {
	return m.here().run(ctx, "rev-parse", "--absolute-git-dir")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (m *maker) occupied(why string) error {
	return &Error{ErrOccupied, fmt.Sprintf("the directory %s for the git worktree is not empty, and %s", m.Dir, why), "move it away"}
}

// add makes the branch, and the worktree without its files. It begins at head
// where that is given, else at the base.
func (m *maker) add(ctx context.Context, head string) error {
	if err := m.checkName(ctx); err != nil {
		return err
	}
	base := head
	if base == "" {
		var err error
		if base, err = m.base(ctx); err != nil {
			return err
		}
	}
	others, err := m.git.list(ctx)
	if err != nil {
		return err
	}
	tip, exists, err := m.git.resolve(ctx, "refs/heads/"+m.Branch)
	if err != nil {
		return err
	}
	args := []string{"worktree", "add", "--quiet", "--no-checkout"}
	ours := false
	for _, other := range others {
		switch {
		case other.path == m.Dir:
			args = append(args, "--force", "--force") // git knows it, and its directory is gone
			ours = other.branch == m.Branch && head == ""
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
