package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CommitOptions say how the result of a task is committed.
type CommitOptions struct {
	Message string
	// Author is "Name <address>"; empty is as git is configured.
	Author string
}

// Commit commits what a task has left in its worktree, ignored files excepted,
// on its branch. It does nothing where there is nothing to commit, so that it may
// be called again. Hooks are not run, and nothing is signed. why says, for
// people, why it could not be done; then nothing was changed. Errors: *Error,
// those of git that pass, the cause of the end of ctx.
func (w *Worktrees) Commit(ctx context.Context, t Tree, o CommitOptions) (why string, err error) {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return "", err
	}
	if err := m.settle(); err != nil {
		return "", told("commit the result in "+m.Dir, err)
	}
	if !exists(m.Dir) {
		return "the worktree is gone", nil
	}
	err = m.again(ctx, func() error { return m.commit(ctx, o) })
	if unsaved, ok := errors.AsType[*keep](err); ok {
		return unsaved.why, nil
	}
	if failed, ok := errors.AsType[*gitError](err); ok && !IsTransient(err) {
		return failed.Error(), nil
	}
	return "", told("commit the result in "+m.Dir, err)
}

func (m *maker) commit(ctx context.Context, o CommitOptions) error {
	if _, err := m.usable(ctx); err != nil {
		return err
	}
	branch, err := m.branch(ctx)
	if err != nil {
		return err
	}
	if branch != m.Branch {
		if branch == "" {
			branch = "no branch"
		}
		return keepf("%s is checked out in it, and not %s", branch, m.Branch)
	}
	tracked, err := m.index(ctx)
	if err != nil {
		return err
	}
	if _, err := m.walk(ctx, tracked); err != nil { // a repository within it would be committed as a link to nowhere
		return err
	}
	here := m.here()
	if _, err := here.run(ctx, "add", "--all"); err != nil {
		return err
	}
	if _, err := here.run(ctx, "diff", "--cached", "--quiet", "--ignore-submodules=none"); err == nil {
		return nil
	} else if failed, ok := errors.AsType[*gitError](err); !ok || failed.code != 1 {
		return err
	}
	args := []string{"commit", "--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace", "--file=-"}
	if o.Author != "" {
		args = append(args, "--author="+o.Author)
	}
	_, err = here.with(m.identity(ctx)...).feed(ctx, strings.NewReader(o.Message), args...)
	return err
}

// identity is who commits where git is not configured to say.
func (m *maker) identity(ctx context.Context) []string {
	var env []string
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		if _, err := m.here().run(ctx, "-c", "user.useConfigOnly=true", "var", "GIT_"+who+"_IDENT"); err != nil {
			env = append(env, "GIT_"+who+"_NAME=orchestrator", "GIT_"+who+"_EMAIL=orchestrator@localhost")
		}
	}
	return env
}

// Changes compares two trees.
type Changes struct{ Files, Insertions, Deletions int }

// Diff compares what a worktree holds, committed or not, with a commit. Ignored
// files do not count, and of binary files no lines. Where the worktree is gone it
// is its branch that is compared.
func (w *Worktrees) Diff(ctx context.Context, t Tree, base string) (Changes, error) {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return Changes{}, err
	}
	var text string
	err = m.again(ctx, func() error {
		text, err = m.numbers(ctx, base)
		return err
	})
	if err != nil {
		return Changes{}, told("compare the worktree "+m.Dir+" with where it began", err)
	}
	var c Changes
	for entry := range strings.SplitSeq(text, "\x00") {
		fields := strings.SplitN(entry, "\t", 3)
		if len(fields) != 3 {
			continue
		}
		c.Files++
		if added, err := strconv.Atoi(fields[0]); err == nil { // "-" of a binary file
			c.Insertions += added
		}
		if removed, err := strconv.Atoi(fields[1]); err == nil {
			c.Deletions += removed
		}
	}
	return c, nil
}

func (m *maker) numbers(ctx context.Context, base string) (string, error) {
	args := []string{"diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"}
	if !exists(m.Dir) {
		return m.git.run(ctx, append(args, base, "refs/heads/"+m.Branch, "--")...)
	}
	gitDir, err := m.gitDir(ctx)
	if err != nil {
		return "", err
	}
	copied, remove, err := copyIndex(gitDir)
	if err != nil {
		return "", err
	}
	defer remove()
	here := m.here().with("GIT_INDEX_FILE=" + copied)
	if _, err := here.run(ctx, "-c", "advice.addEmbeddedRepo=false", "add", "--all", "--ignore-errors"); err != nil && ctx.Err() != nil {
		return "", err // else what it could add is compared
	}
	return here.run(ctx, append(args, "--cached", base, "--")...)
}

// Patch writes the commits of a branch since base into a file, as git
// format-patch does. It is written whole or not at all; empty says that there was no commit.
func (w *Worktrees) Patch(ctx context.Context, t Tree, base, file string) (empty bool, err error) {
	return writeResult(ctx, t, base, file, func(m *maker, temporary string) error {
		_, err := m.git.run(ctx, "format-patch", "--quiet", "--no-signature", "--output="+temporary, base+"..refs/heads/"+m.Branch)
		return err
	})
}

// Bundle writes the commits of a branch since base into a file, as git bundle does.
func (w *Worktrees) Bundle(ctx context.Context, t Tree, base, file string) (empty bool, err error) {
	return writeResult(ctx, t, base, file, func(m *maker, temporary string) error {
		_, err := m.git.run(ctx, "bundle", "create", "--quiet", temporary, "refs/heads/"+m.Branch, "^"+base)
		return err
	})
}

func writeResult(ctx context.Context, t Tree, base, file string, write func(m *maker, temporary string) error) (empty bool, err error) {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return false, err
	}
	n, err := m.git.run(ctx, "rev-list", "--count", base+"..refs/heads/"+m.Branch)
	if err != nil || n == "0" {
		return err == nil, told("count the commits of "+m.Branch, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, fmt.Errorf("make the directory of %s: %w", file, err)
	}
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return false, fmt.Errorf("write %s: it is there and is no regular file", file)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return false, fmt.Errorf("write %s: %w", file, err)
	}
	return false, finishFile(f, file, m.again(ctx, func() error { return write(m, f.Name()) }))
}
