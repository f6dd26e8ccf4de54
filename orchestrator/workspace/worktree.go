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
	// Repo is the absolute path of a directory in a git repository; it may be bare.
	Repo string
	// Base is the commit to begin at, by any name that git knows; empty is HEAD of Repo.
	Base string
	// Branch is the name of the new branch.
	Branch string
	// Dir is the absolute path of the worktree. It does not exist, or is empty,
	// or is the worktree that an earlier call has made.
	Dir string
}

// Worktrees makes worktrees, one at a time in each repository. The zero value
// is ready to use; its methods may be called concurrently.
type Worktrees struct {
	mu sync.Mutex
	// turns has, by repository, a channel that holds one token while a worktree is made.
	turns map[string]chan struct{}
}

// Make makes a worktree on a branch of its own and returns its path without
// symbolic links. It may be called again with the same Options, at any time and
// whatever became of the first call: what is there and complete is left as it
// is, with everything that was done in it. Errors: *Error, others of git, the
// cause of the end of ctx.
func (w *Worktrees) Make(ctx context.Context, o Options) (path string, err error) {
	if !filepath.IsAbs(o.Repo) || !filepath.IsAbs(o.Dir) {
		return "", fmt.Errorf("make a git worktree: %q and %q must be absolute paths", o.Repo, o.Dir)
	}
	m, err := open(ctx, o)
	if err != nil {
		return "", err
	}
	release, err := w.take(ctx, m.common)
	if err != nil {
		return "", fmt.Errorf("make a git worktree of %s: %w", o.Repo, err)
	}
	defer release()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, time.Second
	path, err = backoff.Retry(ctx, func() (string, error) {
		path, err := m.make(ctx)
		if err != nil && !isBusy(err) {
			err = backoff.Permanent(err)
		}
		return path, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(busyWait))
	if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok {
		err = permanent.Unwrap()
	}
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = fmt.Errorf("make a git worktree of %s: %w", o.Repo, err)
	}
	return path, err
}

// take waits until no other worktree of the repository is being made by us.
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

// maker makes one worktree.
type maker struct {
	Options
	git git
	// common is the directory that all worktrees of the repository share.
	common string
}

// open finds the repository.
func open(ctx context.Context, o Options) (*maker, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, &Error{ErrNoGit, "the team works in a git worktree, and there is no program git in PATH", "install git"}
	}
	if info, err := os.Stat(o.Repo); err != nil || !info.IsDir() {
		return nil, &Error{ErrNotRepository, "there is no directory " + o.Repo, "name the directory of a git repository in workspace.worktree.repo"}
	}
	m := &maker{Options: o, git: git{program, o.Repo}}
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
