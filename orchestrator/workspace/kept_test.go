//go:build unix

package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestSaveKeeps: what cannot be saved whole is not removed, and it is said why.
func TestSaveKeeps(t *testing.T) {
	for _, test := range []struct {
		name, why string
		do        func(t *testing.T, dir string)
	}{
		{"a repository within it", "a git repository within it: vendor", func(t *testing.T, dir string) { command(t, dir, "init", "--quiet", "vendor") }},
		{"a merge half done", "a merge is half done", func(t *testing.T, dir string) {
			command(t, dir, "checkout", "--quiet", "-b", "other", "old")
			write(t, filepath.Join(dir, "file"), "other\n")
			command(t, dir, "commit", "--quiet", "-am", "other")
			command(t, dir, "checkout", "--quiet", "team/T1")
			if _, err := (git{program: "git", dir: dir}).run(t.Context(), "-c", "user.name=P", "-c", "user.email=p@example.org", "merge", "other"); err == nil {
				t.Error("the merge is done")
			}
		}},
		{"a lock left behind", "index.lock is there", func(t *testing.T, dir string) { write(t, command(t, dir, "rev-parse", "--git-path", "index.lock"), "") }},
		{"no .git", "its file .git is gone", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, ".git"))) }},
		{"too much", "at most 0 MiB are saved", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "big"), strings.Repeat("x", 5000)) }},
		{"no commit", "its branch has no commit", func(t *testing.T, dir string) { command(t, dir, "checkout", "--quiet", "--orphan", "new") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, repository(t))
			var w Worktrees
			test.do(t, makeWorktree(t, o))
			save := SaveOptions{MaxBytes: 4096}
			saved, err := w.Save(t.Context(), o.Tree, save)
			if err != nil || !strings.Contains(saved.Kept, test.why) {
				t.Fatalf("%+v, %v", saved, err)
			}
			if err := w.Remove(t.Context(), o.Tree, save, saved); err == nil || !exists(filepath.Join(o.Dir, "file")) {
				t.Errorf("it is removed: %v", err)
			}
		})
	}
}

// TestRemoveOfWhatHasChanged: what was written after it was saved is not lost.
func TestRemoveOfWhatHasChanged(t *testing.T) {
	o := options(t, repository(t))
	var w Worktrees
	dir := makeWorktree(t, o)
	saved, err := w.Save(t.Context(), o.Tree, SaveOptions{})
	must(t, err)
	write(t, filepath.Join(dir, "late"), "late\n")
	if err := w.Remove(t.Context(), o.Tree, SaveOptions{}, saved); !errors.Is(err, ErrChanged) || read(t, filepath.Join(dir, "late")) != "late\n" {
		t.Errorf("got %v", err)
	}
	must(t, w.Verify(t.Context(), o.Tree))
}

// TestRemoveAfterACrash: what was moved aside comes back, and what was being deleted goes.
func TestRemoveAfterACrash(t *testing.T) {
	for _, at := range []string{checking, deleting} {
		o := options(t, repository(t))
		var w Worktrees
		dir := makeWorktree(t, o)
		write(t, filepath.Join(dir, "kept"), "kept\n")
		saved, err := w.Save(t.Context(), o.Tree, SaveOptions{})
		must(t, err, os.Rename(dir, dir+at))
		if at == deleting {
			must(t, os.Remove(filepath.Join(dir+at, "kept"))) // half of it is gone
		}
		again, err := w.Save(t.Context(), o.Tree, SaveOptions{})
		if err != nil || at == checking && again != saved {
			t.Errorf("%s: %+v and %+v, %v", at, saved, again, err)
		}
		must(t, w.Remove(t.Context(), o.Tree, SaveOptions{}, saved), w.Restore(t.Context(), o.Tree, RestoreOptions{Ref: saved.Ref, Head: saved.Head}))
		if read(t, filepath.Join(dir, "kept")) != "kept\n" {
			t.Errorf("%s: it is lost", at)
		}
	}
}

// TestSaveOfWhatNoBranchHolds: commits that were reset away, and stashes, are reached by the ref.
func TestSaveOfWhatNoBranchHolds(t *testing.T) {
	o := options(t, repository(t))
	var w Worktrees
	dir := makeWorktree(t, o)
	write(t, filepath.Join(dir, "file"), "reset away\n")
	command(t, dir, "commit", "--quiet", "-am", "lost")
	lost := command(t, dir, "rev-parse", "HEAD")
	command(t, dir, "reset", "--quiet", "--hard", "HEAD~1")
	write(t, filepath.Join(dir, "file"), "stashed\n")
	command(t, dir, "stash", "--quiet")
	stash := command(t, dir, "rev-parse", "stash")
	saved, err := w.Save(t.Context(), o.Tree, SaveOptions{})
	must(t, err)
	for _, commit := range []string{lost, stash} {
		command(t, o.Repo, "merge-base", "--is-ancestor", commit, saved.Ref)
	}
}

// TestRestoreWhereTheBranchHasMovedOn leaves the branch alone.
func TestRestoreWhereTheBranchHasMovedOn(t *testing.T) {
	o := options(t, repository(t))
	var w Worktrees
	dir := makeWorktree(t, o)
	write(t, filepath.Join(dir, "new"), "new\n")
	saved, err := w.Save(t.Context(), o.Tree, SaveOptions{})
	must(t, err, w.Remove(t.Context(), o.Tree, SaveOptions{}, saved))
	command(t, o.Repo, "branch", "--force", o.Branch, "old")
	restore := RestoreOptions{Ref: saved.Ref, Head: saved.Head}
	if err := w.Restore(t.Context(), o.Tree, restore); !errors.Is(err, ErrMoved) || exists(dir) {
		t.Errorf("got %v", err)
	}
	fork := o.Tree
	fork.Task, fork.Branch, fork.Dir, restore.Fork = "T2", "team/T2", dir+"2", true
	must(t, w.Restore(t.Context(), fork, restore), w.Verify(t.Context(), fork))
	if read(t, filepath.Join(fork.Dir, "new")) != "new\n" || command(t, fork.Dir, "symbolic-ref", "--short", "HEAD") != "team/T2" {
		t.Error("the fork does not have what was saved")
	}
}

// TestManyAtOnce: 40 tasks on one repository, from the worktree to its end.
func TestManyAtOnce(t *testing.T) {
	repo := repository(t)
	first := options(t, repo)
	var w Worktrees
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range 40 {
		o := first
		o.Task = fmt.Sprintf("T%d", i)
		o.Branch, o.Dir = "team/"+o.Task, filepath.Join(filepath.Dir(first.Dir), o.Task)
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			_, err := w.Make(t.Context(), o)
			if err == nil {
				err = os.WriteFile(filepath.Join(o.Dir, "own"), []byte(o.Task), 0o600)
			}
			why, commitErr := w.Commit(t.Context(), o.Tree, CommitOptions{Message: o.Task})
			if err = errors.Join(err, commitErr); err != nil || why != "" {
				t.Errorf("%s: %v, %q", o.Task, err, why)
				return
			}
			saved, err := w.Save(t.Context(), o.Tree, SaveOptions{})
			if err == nil {
				err = w.Remove(t.Context(), o.Tree, SaveOptions{}, saved)
			}
			if err != nil {
				t.Errorf("%s: %v", o.Task, err)
			}
		})
	}
	all.Wait()
	if list := command(t, repo, "worktree", "list"); strings.Count(list, "\n") != 0 {
		t.Errorf("left:\n%s", list)
	}
	for i := range 40 {
		if got := command(t, repo, "show", fmt.Sprintf("team/T%d:own", i)); got != fmt.Sprintf("T%d", i) {
			t.Errorf("team/T%d has %q", i, got)
		}
	}
	command(t, repo, "fsck", "--no-dangling")
}
