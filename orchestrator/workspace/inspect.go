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
	mode, hash string
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
		out[path] = indexed{mode: fields[1], hash: fields[2], hidden: fields[0] != "H"}
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
	converted, err := m.converted(ctx, tracked, t, d.raw)
	if err != nil {
		return difference{}, err
	}
	for _, name := range converted {
		d.raw = append(d.raw, name)
		d.bytes += t.files[name].size
	}
	slices.Sort(d.raw)
	slices.Sort(d.gone)
	return d, nil
}

// converted are files that git takes for unchanged, and that a checkout would
// write with other bytes: with other ends of lines, for instance.
func (m *maker) converted(ctx context.Context, tracked map[string]indexed, t *tree, raw []string) ([]string, error) {
	if !m.converts(ctx, t) {
		return nil, nil
	}
	var names, out []string
	for name := range tracked {
		file, there := t.files[name]
		if _, changed := slices.BinarySearch(raw, name); changed || !there || !file.mode.IsRegular() {
			continue
		}
		if strings.ContainsAny(name, "\n\r") || strings.HasPrefix(name, `"`) {
			out = append(out, name) // git reads no such name from a list
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return out, nil
	}
	slices.Sort(names)
	list := strings.Join(names, "\n") + "\n"
	text, err := m.here().feed(ctx, strings.NewReader(list), "hash-object", "--no-filters", "--stdin-paths")
	if err != nil {
		return nil, err
	}
	hashes := strings.Split(text, "\n")
	if len(hashes) != len(names) {
		return nil, keepf("git could not read what is in it")
	}
	suspect, err := m.filtered(ctx, names)
	if err != nil {
		return nil, err
	}
	asked := 0
	for i, name := range names {
		if hashes[i] == tracked[name].hash && !suspect[name] {
			continue
		}
		if asked++; asked > maxCompared {
			out = append(out, name) // to keep it as it is costs room, and asking costs a process
			continue
		}
		same, err := m.checksOutAs(ctx, name)
		if err != nil {
			return nil, err
		}
		if !same {
			out = append(out, name)
		}
	}
	return out, nil
}

// maxCompared bounds the files that are compared with what a checkout gives.
const maxCompared = 2000

// filtered are the files that a checkout may write with other bytes than are kept.
func (m *maker) filtered(ctx context.Context, names []string) (map[string]bool, error) {
	out := map[string]bool{}
	text, err := m.here().feed(ctx, strings.NewReader(strings.Join(names, "\x00")+"\x00"), "check-attr", "-z", "--stdin", "eol", "filter", "ident", "working-tree-encoding")
	if err != nil {
		return nil, err
	}
	for parts := strings.Split(text, "\x00"); len(parts) >= 3; parts = parts[3:] {
		if value := parts[2]; value != "unspecified" && value != "unset" && value != "lf" {
			out[parts[0]] = true
		}
	}
	for _, key := range []string{"core.autocrlf", "core.eol"} {
		if value, err := m.here().run(ctx, "config", key); err == nil && (value == "true" || value == "crlf") {
			for _, name := range names {
				out[name] = true
			}
		}
	}
	return out, nil
}

// converts reports whether git may write other bytes than it keeps.
func (m *maker) converts(ctx context.Context, t *tree) bool {
	for name := range t.files {
		if name == ".gitattributes" || strings.HasSuffix(name, "/.gitattributes") {
			return true
		}
	}
	if exists(filepath.Join(m.common, "info", "attributes")) {
		return true
	}
	for _, key := range []string{"core.autocrlf", "core.eol", "core.attributesFile"} {
		if value, err := m.here().run(ctx, "config", key); err == nil && value != "" && value != "false" {
			return true
		}
	}
	return false
}

// checksOutAs compares a file with what a checkout would write.
func (m *maker) checksOutAs(ctx context.Context, name string) (bool, error) {
	text, err := m.here().feed(ctx, nil, "cat-file", "--filters", ":"+name)
	if _, failed := errors.AsType[*gitError](err); failed {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := os.ReadFile(filepath.Join(m.Dir, filepath.FromSlash(name)))
	if err != nil {
		return false, keepf("%s cannot be read: %v", name, err)
	}
	// run leaves out one line break at the end.
	return string(data) == text || string(data) == text+"\n", nil
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
