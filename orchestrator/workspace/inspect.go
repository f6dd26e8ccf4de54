package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keep says why a worktree cannot be saved whole, and so must stay, in a
// sentence for people.
type keep struct {
	why string
	// commits says that its changes can be committed all the same.
	commits bool
}

func (k *keep) Error() string { return k.why }

func keepf(format string, args ...any) error { return &keep{why: fmt.Sprintf(format, args...)} }

// halfDone are files in the git directory of a worktree while something goes on
// that is neither in the index nor in a commit.
func halfDone() map[string]string {
	return map[string]string{
		"MERGE_HEAD": "a merge", "CHERRY_PICK_HEAD": "a cherry-pick", "REVERT_HEAD": "a revert", "sequencer": "a cherry-pick or a revert",
		"rebase-merge": "a rebase", "rebase-apply": "a rebase", "BISECT_LOG": "a bisection",
	}
}

// usable finds out whether git can work in the worktree. Errors: *keep, and those of git.
func (m *maker) usable(ctx context.Context) (gitDir string, err error) {
	link, err := os.Lstat(filepath.Join(m.Dir, ".git"))
	if err != nil || !link.Mode().IsRegular() {
		return "", keepf("git does not know the directory any more: its file .git is gone or is another")
	}
	common, err := m.here().commonDir(ctx)
	if failed, ok := errors.AsType[*gitError](err); ok {
		return "", keepf("git cannot work in it: %s", oneLine(failed.stderr))
	}
	if err != nil {
		return "", err
	}
	if common != m.common {
		return "", keepf("it belongs to another repository now: %s", common)
	}
	if gitDir, err = m.gitDir(ctx); err != nil {
		return "", err
	}
	if gitDir == m.common {
		return "", keepf("it is the checkout of the repository itself")
	}
	for _, name := range sortedKeys(halfDone()) {
		if exists(filepath.Join(gitDir, name)) {
			return "", keepf("%s is half done in it", halfDone()[name])
		}
	}
	if exists(filepath.Join(gitDir, "index.lock")) {
		return "", keepf("another git works in it, or was killed: %s is there", filepath.Join(gitDir, "index.lock"))
	}
	return gitDir, nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// indexed is a path in the index.
type indexed struct {
	mode string
	// hidden: git does not look whether the file has changed.
	hidden bool
}

const modeGitlink = "160000"

// index reads what git tracks. Errors: *keep for a merge that is not done.
func (m *maker) index(ctx context.Context) (map[string]indexed, error) {
	text, err := m.here().run(ctx, "ls-files", "-z", "--stage", "-v")
	if err != nil {
		return nil, err
	}
	out := map[string]indexed{}
	for entry := range strings.SplitSeq(text, "\x00") {
		head, path, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(head) // tag mode hash stage
		if !ok || len(fields) != 4 {
			continue
		}
		if fields[3] != "0" {
			return nil, keepf("a merge is half done in it: %s is not resolved", path)
		}
		out[path] = indexed{mode: fields[1], hidden: fields[0] != "H"}
	}
	return out, nil
}

// found is a file on the disk.
type found struct {
	mode fs.FileMode
	size int64
}

// tree is what a worktree holds.
type tree struct {
	files map[string]found // regular files and symbolic links
	// dirs are the directories, with their modes, and empty those with nothing in them.
	dirs  map[string]fs.FileMode
	empty []string
	// special are sockets, pipes and devices, which hold no bytes.
	special []string
}

// walk reads the disk. Errors: *keep for what cannot be read or saved.
func (m *maker) walk(ctx context.Context, tracked map[string]indexed) (*tree, error) {
	t := &tree{files: map[string]found{}, dirs: map[string]fs.FileMode{}}
	children := map[string]int{}
	err := filepath.WalkDir(m.Dir, func(path string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name, relErr := filepath.Rel(m.Dir, path)
		if err == nil {
			err = relErr
		}
		if err != nil {
			return keepf("%s cannot be read: %v", path, err)
		}
		name = filepath.ToSlash(name)
		if name == "." {
			return nil
		}
		children[parent(name)]++
		if filepath.Base(name) == ".git" {
			if name != ".git" {
				return keepf("there is a git repository within it: %s", parent(name))
			}
			children["."]--
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return keepf("%s cannot be read: %v", name, err)
		}
		switch {
		case entry.IsDir() && tracked[name].mode == modeGitlink:
			t.dirs[name] = info.Mode()
			children[name]++ // it is made empty by git itself
		case entry.IsDir():
			t.dirs[name] = info.Mode()
		case info.Mode().IsRegular(), info.Mode().Type() == fs.ModeSymlink:
			t.files[name] = found{mode: info.Mode(), size: info.Size()}
		default:
			t.special = append(t.special, name)
		}
		return nil
	})
	for dir := range t.dirs {
		if children[dir] == 0 {
			t.empty = append(t.empty, dir)
		}
	}
	slices.Sort(t.empty)
	return t, err
}

func parent(name string) string { return filepath.ToSlash(filepath.Dir(filepath.FromSlash(name))) }

// difference is what a worktree holds beyond its index.
type difference struct {
	// raw are the files whose bytes are on the disk alone; gone those of the
	// index that are not on the disk.
	raw, gone []string
	bytes     int64
	ignored   int // of raw
}

// compare finds what no checkout of the index would give back.
func (m *maker) compare(ctx context.Context, tracked map[string]indexed, t *tree, dropIgnored bool) (difference, error) {
	changed, err := m.names(ctx, "diff-files", "--name-only", "-z", "--ignore-submodules=all")
	if err != nil {
		return difference{}, err
	}
	ignored, err := m.names(ctx, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
	if err != nil {
		return difference{}, err
	}
	var d difference
	for name, entry := range tracked {
		_, there := t.files[name]
		if !there && entry.mode != modeGitlink {
			d.gone = append(d.gone, name)
		}
	}
	for name, file := range t.files {
		entry, known := tracked[name]
		if known && !entry.hidden && !changed[name] {
			continue
		}
		if !known && ignored[name] {
			if dropIgnored {
				continue
			}
			d.ignored++
		}
		d.raw = append(d.raw, name)
		d.bytes += file.size
	}
	slices.Sort(d.raw)
	slices.Sort(d.gone)
	return d, nil
}

// names runs a command that prints paths.
func (m *maker) names(ctx context.Context, args ...string) (map[string]bool, error) {
	text, err := m.here().run(ctx, args...)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for name := range strings.SplitSeq(text, "\x00") {
		if name != "" {
			out[name] = true
		}
	}
	return out, nil
}
