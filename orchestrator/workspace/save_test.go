//go:build unix

package workspace

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fataler is a test, or one try of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// picture is everything that a worktree holds, and what git says of it.
func picture(t fataler, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == ".git" {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			out[name] = info.Mode().String()
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			out[name] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(path)
			out[name] = info.Mode().String() + " " + string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ls-files", "-s", "-z"}, {"rev-parse", "HEAD"}, {"rev-parse", "--symbolic-full-name", "HEAD"}} {
		out["git "+args[0]+" "+args[1]] = git1(t, dir, args...)
	}
	return out
}

func git1(t fataler, dir string, args ...string) string {
	t.Helper()
	out, err := git{program: "git", dir: dir, env: []string{
		"GIT_AUTHOR_NAME=P", "GIT_AUTHOR_EMAIL=p@example.org", "GIT_COMMITTER_NAME=P", "GIT_COMMITTER_EMAIL=p@example.org",
	}}.run(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func must(t fataler, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// removeAndRestore saves and removes a worktree, and restores it.
func removeAndRestore(t fataler, o Options, save SaveOptions) Saved {
	t.Helper()
	var w Worktrees
	saved, err := w.Save(context.Background(), o.Tree, save)
	must(t, err)
	if saved.Kept != "" {
		t.Fatalf("kept: %s", saved.Kept)
	}
	again, err := w.Save(context.Background(), o.Tree, save)
	if err != nil || again != saved {
		t.Fatalf("saved again: %+v and %+v, %v", saved, again, err)
	}
	must(t, w.Remove(context.Background(), o.Tree, save, saved), w.Remove(context.Background(), o.Tree, save, saved))
	if exists(o.Dir) || strings.Contains(git1(t, o.Repo, "worktree", "list", "--porcelain"), o.Dir) {
		t.Fatal("it is still there")
	}
	restore := RestoreOptions{Ref: saved.Ref, Head: saved.Head}
	must(t, w.Restore(context.Background(), o.Tree, restore), w.Restore(context.Background(), o.Tree, restore), w.Verify(context.Background(), o.Tree))
	return saved
}

// TestSaveAndRestoreAnything: whatever is in a worktree is there again.
func TestSaveAndRestoreAnything(t *testing.T) {
	repo := repository(t)
	dir := t.TempDir()
	runs := 0
	// Every try starts some eighty processes.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		must(t, checks.Value.Set("20"))
		defer func() { must(t, checks.Value.Set(checks.DefValue)) }()
	}
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		id := fmt.Sprintf("T%d", runs)
		real, err := filepath.EvalSymlinks(dir)
		must(rt, err)
		o := Options{Tree: Tree{Task: id, Repo: repo, Branch: "team/" + id, Dir: filepath.Join(real, id)}, Base: "main"}
		made, err := new(Worktrees).Make(context.Background(), o)
		must(rt, err)
		names := []string{"a", "b", "d/x", "d/e/y", "file", "-dash", "with space", "new\nline", "quo\"te\\", "\xff\xfe", "ü", "x.ignored", "ignored/deep/z", ".gitignore2", "d"}
		write := func(name string) {
			path := filepath.Join(made.Dir, name)
			parent := filepath.Dir(path)
			for dir := parent; dir != made.Dir; dir = filepath.Dir(dir) {
				if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
					must(rt, os.Remove(dir))
				}
			}
			must(rt, os.MkdirAll(parent, 0o755))
			must(rt, os.RemoveAll(path))
			data := rapid.SampledFrom([]string{"", "one\n", "two\r\n", "\x00\xff", "no newline", strings.Repeat("long\n", 30)}).Draw(rt, "data")
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				must(rt, os.Symlink(rapid.SampledFrom([]string{"a", "/nowhere", "../..", "d"}).Draw(rt, "target"), path))
			case 1:
				must(rt, os.Mkdir(path, 0o755))
			case 2:
				must(rt, os.WriteFile(path, []byte(data), 0o600))
				must(rt, os.Chmod(path, fs.FileMode(rapid.SampledFrom([]uint32{0o600, 0o755, 0o444, 0o711}).Draw(rt, "mode"))))
			default:
				must(rt, os.WriteFile(path, []byte(data), 0o644))
			}
		}
		must(rt, os.WriteFile(filepath.Join(made.Dir, ".gitignore"), []byte("*.ignored\nignored/\n"), 0o644))
		must(rt, os.WriteFile(filepath.Join(made.Dir, ".gitattributes"), []byte("b text eol=crlf\nd/* text=auto\n"), 0o644))
		for range rapid.IntRange(0, 12).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "name")
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0, 1, 2, 3, 4:
				write(name)
			case 5:
				if err := os.RemoveAll(filepath.Join(made.Dir, name)); !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
					must(rt, err)
				}
			case 6:
				git1(rt, made.Dir, "add", "--all")
			case 7:
				git1(rt, made.Dir, "add", "--all")
				git1(rt, made.Dir, "commit", "--quiet", "--allow-empty", "-m", "step")
			case 8:
				git1(rt, made.Dir, "checkout", "--quiet", "--detach")
			case 9:
				if _, found, err := (git{program: "git", dir: made.Dir}).resolve(context.Background(), "HEAD~1"); err == nil && found {
					git1(rt, made.Dir, "reset", "--quiet", "--soft", "HEAD~1")
				}
			}
		}
		before := picture(rt, made.Dir)
		removeAndRestore(rt, o, SaveOptions{})
		if diff := cmp.Diff(before, picture(rt, made.Dir)); diff != "" {
			rt.Fatalf("it is not what it was (-before +after):\n%s", diff)
		}
	})
}
