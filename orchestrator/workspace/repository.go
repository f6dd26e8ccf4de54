package workspace

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// resolve returns the commit that a name stands for.
func (g git) resolve(ctx context.Context, name string) (commit string, found bool, err error) {
	commit, err = g.run(ctx, "rev-parse", "--verify", "--quiet", name+"^{commit}")
	if _, failed := errors.AsType[*gitError](err); failed {
		return "", false, nil
	}
	return commit, err == nil, err
}

// base is the commit to begin at.
func (m *maker) base(ctx context.Context) (string, error) {
	name := m.Base
	if name == "" {
		name = "HEAD"
	}
	commit, found, err := "", false, error(nil)
	if !strings.HasPrefix(name, "-") { // it would be an option
		commit, found, err = m.git.resolve(ctx, name)
	}
	if err != nil || found {
		return commit, err
	}
	branches, err := m.git.run(ctx, "for-each-ref", "--count=8", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads", "refs/remotes")
	if err != nil {
		return "", err
	}
	if branches == "" {
		return "", &Error{ErrEmptyRepository, "the repository " + m.Repo + " has no commit that a worktree could begin at", "make a first commit in it"}
	}
	return "", &Error{
		ErrUnknownBase, fmt.Sprintf("%s has no commit %q to begin a worktree at", m.Repo, name),
		"name a branch, a tag or a commit in workspace.worktree.base; it has " + strings.ReplaceAll(branches, "\n", ", "),
	}
}

// worktree is one checkout of a repository.
type worktree struct {
	path string
	// head is the commit that is checked out.
	head string
	// branch is empty for a detached HEAD.
	branch string
}

// list returns the worktrees of a repository, the main one included.
func (g git) list(ctx context.Context) ([]worktree, error) {
	text, err := g.run(ctx, "worktree", "list", "--porcelain")
	if err != nil {
		return nil, err
	}
	var list []worktree
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case key == "worktree":
			list = append(list, worktree{path: value})
		case key == "HEAD" && len(list) > 0:
			list[len(list)-1].head = value
		case key == "branch" && len(list) > 0:
			list[len(list)-1].branch = strings.TrimPrefix(value, "refs/heads/")
		}
	}
	return list, nil
}

// notRepository passes on what git says, which is more than that there is none
// where git refuses to use it, for instance since it belongs to somebody else.
func notRepository(dir string, failed *gitError) error {
	if strings.Contains(failed.stderr, "not a git repository") {
		return &Error{ErrNotRepository, dir + " is no git repository", "run `git init` and make a first commit there, or name another directory in workspace.worktree.repo"}
	}
	return &Error{ErrNotRepository, fmt.Sprintf("git does not use the repository %s: %s", dir, failed.stderr), "try `git -C " + dir + " status`"}
}
