//go:build unix

package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command runs git as a person would.
func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=P", "-c", "user.email=p@example.org"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil { //nolint:gosec // some are hooks
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// repository has two commits on main, a branch, and a change that is not committed.
func repository(t *testing.T) string {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "init", "--quiet", "--initial-branch=main")
	write(t, filepath.Join(dir, "file"), "one\n")
	command(t, dir, "add", "file")
	command(t, dir, "commit", "--quiet", "-m", "one")
	command(t, dir, "branch", "old")
	write(t, filepath.Join(dir, "file"), "two\n")
	command(t, dir, "commit", "--quiet", "-am", "two")
	write(t, filepath.Join(dir, "file"), "not committed\n")
	return dir
}

// options are for a worktree of a task, in a directory that does not exist yet.
func options(t *testing.T, repo string) Options {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return Options{Tree: Tree{Task: "T1", Repo: repo, Branch: "team/T1", Dir: filepath.Join(dir, "worktrees", "T1")}}
}

func makeWorktree(t *testing.T, o Options) string {
	t.Helper()
	made, err := new(Worktrees).Make(t.Context(), o)
	path := made.Dir
	if err != nil {
		t.Fatal(err)
	}
	if path != o.Dir {
		t.Errorf("it is in %s, want %s", path, o.Dir)
	}
	return path
}

func TestMake(t *testing.T) {
	repo := repository(t)
	write(t, filepath.Join(repo, ".git", "hooks", "post-checkout"), "#!/bin/sh\necho ran >'"+repo+"/hook-ran'\n")
	files := []string{".git/config", ".git/HEAD", ".git/index", "file"}
	var before []string
	for _, file := range files {
		before = append(before, read(t, filepath.Join(repo, file)))
	}
	// Where git has started us, its variables would lead to another repository.
	t.Setenv("GIT_DIR", filepath.Join(repo, "nowhere"))
	o := options(t, repo)
	made, err := new(Worktrees).Make(t.Context(), o)
	path := made.Dir
	if err != nil || path != o.Dir {
		t.Fatalf("got %s, %v", path, err)
	}
	if err := os.Unsetenv("GIT_DIR"); err != nil {
		t.Fatal(err)
	}
	if got := command(t, path, "symbolic-ref", "HEAD"); got != "refs/heads/team/T1" {
		t.Errorf("it is on %s", got)
	}
	if got := read(t, filepath.Join(path, "file")); got != "two\n" {
		t.Errorf("it holds %q", got)
	}
	if got := command(t, path, "status", "--porcelain"); got != "" {
		t.Errorf("it is not clean: %s", got)
	}
	for i, file := range files {
		if got := read(t, filepath.Join(repo, file)); got != before[i] {
			t.Errorf("%s of the repository was changed to %q", file, got)
		}
	}
	if _, err := os.Stat(filepath.Join(repo, "hook-ran")); err == nil {
		t.Error("a hook was run")
	}
}

func TestMakeBeginsAtTheBase(t *testing.T) {
	repo := repository(t)
	command(t, repo, "tag", "-a", "-m", "first", "v1", "old")
	remote := filepath.Join(t.TempDir(), "clone")
	command(t, repo, "clone", "--quiet", "--branch", "main", repo, remote)
	command(t, repo, "clone", "--quiet", "--bare", repo, remote+".git")
	if err := os.Mkdir(filepath.Join(repo, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, repo, base, want string }{
		{"a branch", repo, "old", "one\n"},
		{"a tag", repo, "v1", "one\n"},
		{"a commit", repo, command(t, repo, "rev-parse", "old"), "one\n"},
		{"an expression", repo, "main~1", "one\n"},
		{"a branch of a remote repository", remote, "origin/old", "one\n"},
		{"nothing", repo, "", "two\n"},
		{"a bare repository", remote + ".git", "", "two\n"},
		{"a folder of the repository", filepath.Join(repo, "sub"), "", "two\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, test.repo)
			o.Base, o.Branch = test.base, "team/"+strings.ReplaceAll(test.name, " ", "-")
			path := makeWorktree(t, o)
			if got := read(t, filepath.Join(path, "file")); got != test.want {
				t.Errorf("got %q", got)
			}
			// What is tracked would be written into the configuration of the repository.
			if config := command(t, test.repo, "config", "--list"); strings.Contains(config, "branch.team/") {
				t.Errorf("the configuration is now\n%s", config)
			}
		})
	}
}

func TestMakeAgainKeepsWhatWasDone(t *testing.T) {
	o := options(t, repository(t))
	path := makeWorktree(t, o)
	write(t, filepath.Join(path, "file"), "work\n")
	command(t, path, "commit", "--quiet", "-am", "work")
	write(t, filepath.Join(path, "new"), "more\n")
	command(t, path, "switch", "--quiet", "-c", "of-the-agent")
	tip := command(t, path, "rev-parse", "HEAD")
	makeWorktree(t, o)
	if read(t, filepath.Join(path, "new")) != "more\n" || command(t, path, "rev-parse", "HEAD") != tip ||
		command(t, path, "symbolic-ref", "HEAD") != "refs/heads/of-the-agent" {
		t.Error("what an agent did is gone")
	}
	// Where the directory is gone, the commits are not.
	command(t, path, "switch", "--quiet", o.Branch)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	makeWorktree(t, o)
	if command(t, path, "rev-parse", "HEAD") != tip || read(t, filepath.Join(path, "file")) != "work\n" {
		t.Error("a commit of an agent is gone")
	}
}

// TestMakeAfterACrash: wherever the call before was cut off, the next one gives a whole worktree.
func TestMakeAfterACrash(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(t *testing.T, o Options)
	}{
		{"after the branch", func(t *testing.T, o Options) { command(t, o.Repo, "branch", o.Branch) }},
		{"after the directory", func(t *testing.T, o Options) {
			if err := os.MkdirAll(o.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"while the files are written", killInCheckout},
		{"and the directory was removed", func(t *testing.T, o Options) {
			killInCheckout(t, o)
			if err := os.RemoveAll(o.Dir); err != nil {
				t.Fatal(err)
			}
		}},
		{"and the directory was emptied", func(t *testing.T, o Options) {
			killInCheckout(t, o)
			if err := errors.Join(os.RemoveAll(o.Dir), os.Mkdir(o.Dir, 0o700)); err != nil {
				t.Fatal(err)
			}
		}},
		{"at the end", func(t *testing.T, o Options) { makeWorktree(t, o) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, repository(t))
			test.leave(t, o)
			path := makeWorktree(t, o)
			if command(t, path, "symbolic-ref", "HEAD") != "refs/heads/team/T1" || command(t, path, "status", "--porcelain") != "" ||
				read(t, filepath.Join(path, "file")) != "two\n" {
				t.Error("it is not whole")
			}
			if list := command(t, o.Repo, "worktree", "list", "--porcelain"); strings.Count(list, "worktree ") != 2 || !strings.Contains(list, "locked in use by task T1") {
				t.Errorf("git knows of\n%s", list)
			}
		})
	}
}

// slow makes git wait in the middle of a checkout. The pipe that is returned
// ends when it has come there.
func slow(t *testing.T, repo string) (started *os.File, end func()) {
	t.Helper()
	reached, reach, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "reached")
	if out, err := exec.Command("mkfifo", mark).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	command(t, repo, "config", "filter.slow.smudge", "sh -c 'echo >"+mark+"; exec sleep 1000'")
	write(t, filepath.Join(repo, ".git", "info", "attributes"), "file filter=slow\n")
	var running sync.WaitGroup
	running.Go(func() {
		if data, err := os.ReadFile(mark); err != nil || len(data) == 0 {
			t.Errorf("wait for the checkout: %v", err)
		}
		if err := reach.Close(); err != nil {
			t.Error(err)
		}
	})
	return reached, func() {
		running.Wait()
		if err := reached.Close(); err != nil {
			t.Error(err)
		}
		command(t, repo, "config", "--unset", "filter.slow.smudge")
		if err := os.Remove(filepath.Join(repo, ".git", "info", "attributes")); err != nil {
			t.Error(err)
		}
	}
}

// killInCheckout leaves what git leaves when the machine loses its power.
func killInCheckout(t *testing.T, o Options) {
	t.Helper()
	reached, end := slow(t, o.Repo)
	if err := os.MkdirAll(filepath.Dir(o.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "-C", o.Repo, "worktree", "add", "--no-track", "-b", o.Branch, o.Dir, "main")
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := reached.Read(make([]byte, 1)); err == nil {
		t.Error("something was written")
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("git was not killed")
	}
	end()
}

func TestMakeIsCancelled(t *testing.T) {
	o := options(t, repository(t))
	reached, end := slow(t, o.Repo)
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_, _ = reached.Read(make([]byte, 1)) // it ends when the checkout has begun
		cancel(gone)
	})
	begun := time.Now()
	_, err := new(Worktrees).Make(ctx, o)
	running.Wait()
	if took := time.Since(begun); !errors.Is(err, gone) || took >= endGit {
		t.Errorf("got %v after %s", err, took)
	}
	end()
	makeWorktree(t, o)
}

func TestMakeSaysWhatToMend(t *testing.T) {
	repo := repository(t)
	empty, plain := t.TempDir(), t.TempDir()
	command(t, empty, "init", "--quiet")
	full := filepath.Join(t.TempDir(), "full")
	if err := os.MkdirAll(filepath.Join(full, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(repo, "inner") // in a repository, but no worktree
	if err := os.MkdirAll(filepath.Join(inner, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := options(t, repository(t))
	makeWorktree(t, other)
	command(t, repo, "branch", "folder")
	for _, test := range []struct {
		name   string
		change func(o *Options)
		kind   error
		detail string
	}{
		{"no directory", func(o *Options) { o.Repo = filepath.Join(plain, "none") }, ErrNotRepository, "there is no directory " + plain},
		{"no repository", func(o *Options) { o.Repo = plain }, ErrNotRepository, plain + " is no git repository"},
		{"no commit", func(o *Options) { o.Repo = empty }, ErrEmptyRepository, "has no commit that a worktree could begin at"},
		{"no such base", func(o *Options) { o.Base = "trunk" }, ErrUnknownBase, `no commit "trunk"`},
		{"an option as base", func(o *Options) { o.Base = "--help" }, ErrUnknownBase, `no commit "--help"`},
		{"a file as base", func(o *Options) { o.Base = "main:file" }, ErrUnknownBase, "no commit"},
		{"no name for a branch", func(o *Options) { o.Branch = "a b" }, ErrBranchName, `"a b" cannot be the name`},
		{"an option as branch", func(o *Options) { o.Branch = "--force" }, ErrBranchName, "cannot be the name"},
		{"an empty branch", func(o *Options) { o.Branch = "" }, ErrBranchName, "cannot be the name"},
		{"HEAD as branch", func(o *Options) { o.Branch = "HEAD" }, ErrBranchName, "cannot be the name"},
		{"a branch as folder", func(o *Options) { o.Branch = "folder/x" }, ErrBranchName, "there cannot be a branch folder/x"},
		{"the branch of the operator", func(o *Options) { o.Branch = "main" }, ErrBranchInUse, "checked out in " + repo},
		{"a branch with commits", func(o *Options) { o.Branch = "old" }, ErrBranchExists, "holds other commits"},
		{"a full directory", func(o *Options) { o.Dir = full }, ErrOccupied, "it is no git worktree"},
		{"a folder of a repository", func(o *Options) { o.Dir = inner }, ErrOccupied, "it is no git worktree"},
		{"the repository itself", func(o *Options) { o.Dir = repo }, ErrOccupied, "it is no git worktree"},
		{"a worktree of another repository", func(o *Options) { o.Dir = other.Dir }, ErrOccupied, "it is no worktree of " + repo},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, repo)
			test.change(&o)
			_, err := new(Worktrees).Make(t.Context(), o)
			told, ok := errors.AsType[*Error](err)
			if !ok || !errors.Is(err, test.kind) || !strings.Contains(told.Detail, test.detail) || told.Fix == "" || !strings.Contains(err.Error(), told.Fix) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("no git", func(t *testing.T) {
		t.Setenv("PATH", plain)
		if _, err := new(Worktrees).Make(t.Context(), options(t, repo)); !errors.Is(err, ErrNoGit) {
			t.Errorf("got %v", err)
		}
	})
	if _, err := new(Worktrees).Make(t.Context(), Options{Tree: Tree{Repo: "relative", Dir: "/x", Branch: "b"}}); err == nil {
		t.Error("a relative path was taken")
	}
}

// TestMakeManyAtOnce: several orchestrators, each with several tasks, work on one repository.
func TestMakeManyAtOnce(t *testing.T) {
	o := options(t, repository(t))
	daemons := []*Worktrees{{}, {}, {}}
	var running sync.WaitGroup
	for i := range 12 {
		running.Go(func() {
			mine := o
			mine.Branch, mine.Dir = fmt.Sprintf("team/%d", i), filepath.Join(filepath.Dir(o.Dir), fmt.Sprint(i))
			for range 2 {
				if _, err := daemons[i%len(daemons)].Make(t.Context(), mine); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if list := command(t, o.Repo, "worktree", "list"); strings.Count(list, "[team/") != 12 {
		t.Errorf("got\n%s", list)
	}
}

// TestMakeWaitsForAnotherGit: a lock that is held is waited for.
func TestMakeWaitsForAnotherGit(t *testing.T) {
	o := options(t, repository(t))
	lock := filepath.Join(o.Repo, ".git", "refs", "heads", "team", "T1.lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, lock, "")
	m, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.make(t.Context(), new(Worktrees)); !isBusy(err) {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	makeWorktree(t, o)
}
