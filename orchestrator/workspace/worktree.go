package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// busyWait bounds how long it is tried again while another git works on the repository.
const busyWait = 20 * time.Second

// Options say which worktree is wanted.
type Options struct {
	Tree
	// Base is the commit to begin at, by any name that git knows; empty is HEAD of Repo.
	Base string
}

// Tree names the worktree of a task.
type Tree struct {
	// Task is the ID of the task.
	Task string
	// Repo is the absolute path of a directory in a git repository; it may be bare.
	Repo string
	// Branch is the name of the task's branch.
	Branch string
	// Dir is the absolute path of the worktree. Before Make it does not exist, or
	// is empty, or is the worktree that an earlier call has made.
	Dir string
}

// Made is a worktree that Make has made.
type Made struct {
	// Dir is its path without symbolic links, Base the commit that it began at.
	Dir, Base string
}

// Worktrees makes worktrees, saves what is in them, and removes them. What git
// cannot do twice at the same time is done one at a time in each repository. The
// zero value is ready to use; its methods may be called concurrently.
type Worktrees struct {
	mu sync.Mutex
	// turns has, by repository, a channel that holds one token while it is worked on.
	turns map[string]chan struct{}
}

// Make makes a worktree on a branch of its own. It may be called again with the
// same Options, at any time and whatever became of the first call: what is there
// and complete is left as it is, with everything that was done in it. Errors:
// *Error, others of git, the cause of the end of ctx.
func (w *Worktrees) Make(ctx context.Context, o Options) (made Made, err error) {
	m, err := open(ctx, o)
	if err != nil {
		return Made{}, err
	}
	err = m.again(ctx, func() error {
		made.Base, err = m.make(ctx, w)
		return err
	})
	made.Dir = m.Dir
	return made, told("make a git worktree of "+o.Repo, err)
}

// again repeats what failed because another git works on the repository.
func (m *maker) again(ctx context.Context, do func() error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := do()
		if err != nil && !isBusy(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(busyWait))
	if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok {
		err = permanent.Unwrap()
	}
	return err
}

// told adds what was being done, where the error does not speak for itself.
func told(action string, err error) error {
	if _, told := errors.AsType[*Error](err); err == nil || told {
		return err
	}
	return fmt.Errorf("%s: %w", action, err)
}

// take waits until nothing else is done to the repository by us.
func (w *Worktrees) take(ctx context.Context, repository string) (release func(), err error) {
	w.mu.Lock()
	turn := w.turns[repository]
	if turn == nil {
		if w.turns == nil {
			w.turns = map[string]chan struct{}{}
		}
		turn = make(chan struct{}, 1)
		w.turns[repository] = turn
	}
	w.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// maker works on one worktree.
type maker struct {
	Options
	git git
	// common is the directory that all worktrees of the repository share.
	common string
}

// open finds the repository.
func open(ctx context.Context, o Options) (*maker, error) {
	if !filepath.IsAbs(o.Repo) || !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("open a git worktree: %q and %q must be absolute paths", o.Repo, o.Dir)
	}
	if err := Check(o); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("look for git: %w", err)
	}
	m := &maker{Options: o, git: git{program: program, dir: o.Repo}}
	m.common, err = m.git.commonDir(ctx)
	if failed, ok := errors.AsType[*gitError](err); ok {
		return nil, notRepository(o.Repo, failed)
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Dir), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for git worktrees: %w", err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(o.Dir))
	if err != nil {
		return nil, fmt.Errorf("make the directory for git worktrees: %w", err)
	}
	m.Dir = filepath.Join(parent, filepath.Base(o.Dir)) // as git writes it
	return m, nil
}

// here is git in the worktree.
func (m *maker) here() git { return m.git.at(m.Dir) }

// commonDir is the directory of a repository that all its worktrees share.
func (g git) commonDir(ctx context.Context) (string, error) {
	dir, err := g.run(ctx, "rev-parse", "--git-common-dir")
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(g.dir, dir)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("find the git directory of %s: %w", g.dir, err)
	}
	return dir, nil
}

// Check refuses, without asking git, what Make would certainly refuse. Errors: *Error.
func Check(o Options) error {
	if _, err := exec.LookPath("git"); err != nil {
		return &Error{ErrNoGit, "the team works in a git worktree, and there is no program git in PATH", "install git"}
	}
	if info, err := os.Stat(o.Repo); err != nil || !info.IsDir() {
		return &Error{ErrNotRepository, "there is no directory " + o.Repo, "name the directory of a git repository in workspace.worktree.repo"}
	}
	return nil
}

// Tips are the commits that a worktree is known by.
type Tips struct {
	// Head is checked out in the worktree; without one it is that of the branch.
	Head string
	// Branch is that of the task's branch, and Base where it began; both may be unknown.
	Branch, Base string
}

// Tips returns where a worktree stands. Errors: *Error, those of git, the cause of the end of ctx.
func (w *Worktrees) Tips(ctx context.Context, t Tree) (Tips, error) {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return Tips{}, err
	}
	var tips Tips
	if tips.Branch, _, err = m.git.resolve(ctx, "refs/heads/"+m.Branch); err != nil {
		return Tips{}, err
	}
	tips.Head = tips.Branch
	gitDir, why := m.linked()
	if why != "" {
		return tips, nil
	}
	if known, err := readMarker(gitDir); err == nil {
		tips.Base = known.Base
	}
	head, found, err := m.here().resolve(ctx, "HEAD")
	if found {
		tips.Head = head
	}
	return tips, err
}
