package workspace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// DefaultMaxSave bounds what is put into the repository when a worktree is
// saved, in bytes. A worktree with more is kept.
const DefaultMaxSave = 256 << 20

// maxLost bounds the commits without a branch that one save names.
const maxLost = 1000

// SaveOptions say what is saved.
type SaveOptions struct {
	// MaxBytes bounds what is put into the repository; zero means DefaultMaxSave.
	MaxBytes int64
	// DropIgnored leaves out what git ignores.
	DropIgnored bool
}

// Saved says what a worktree held, and where it is now.
type Saved struct {
	// Head is the commit that it had checked out; empty where there is none.
	Head string
	// Ref is the name of what no branch holds; empty when there was nothing.
	Ref string
	// What says what that is, for people.
	What string
	// Kept says, in a sentence, what could not be saved, so that the worktree
	// must stay; empty when everything is.
	Kept string
	// Gone says that the worktree was not there any more.
	Gone bool
}

// RefPrefix is how the names of what is saved for a task begin.
func RefPrefix(task string) string { return "refs/orchestrator/" + task + "/" }

// Save puts everything in a worktree that no branch holds into the repository,
// under a name of its own: changes, files that git does not know or ignores,
// what is staged, modes, empty directories, and commits that no branch reaches.
// The worktree stays as it is. The same content gives the same name, so that it
// may be called again. Errors: *Error, those of git that pass, the cause of the end of ctx.
func (w *Worktrees) Save(ctx context.Context, t Tree, o SaveOptions) (Saved, error) {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return Saved{}, err
	}
	if err := m.settle(); err != nil {
		return Saved{}, told("save the worktree "+m.Dir, err)
	}
	var saved Saved
	err = m.again(ctx, func() error {
		if !exists(m.Dir) {
			saved, err = m.saveGone(ctx)
		} else {
			saved, err = m.save(ctx, o)
		}
		return err
	})
	if why, ok := errors.AsType[*keep](err); ok {
		saved.Kept, err = why.why, nil
		saved.Head, _, err = m.here().resolve(ctx, "HEAD")
		if ctx.Err() == nil {
			err = nil // nothing more is known, and nothing is lost
		}
	}
	return saved, told("save the worktree "+m.Dir, err)
}

// snapshot is what is saved of a worktree.
type snapshot struct {
	gitDir, head, branch string
	indexTree, headTree  string
	tree                 *tree
	diff                 difference
	manifest             manifest
	lost                 []string
}

func (m *maker) save(ctx context.Context, o SaveOptions) (Saved, error) {
	s, err := m.snapshot(ctx, o)
	if err != nil {
		return Saved{}, err
	}
	saved := Saved{Head: s.head}
	if len(s.tree.special) > 0 {
		saved.What = fmt.Sprintf("%s and others that hold no bytes are not saved", s.tree.special[0])
	}
	if s.nothing(m.Branch) {
		return saved, nil
	}
	if saved.Ref, err = m.store(ctx, s); err != nil {
		return Saved{}, err
	}
	saved.What = s.describe(m.Branch)
	return saved, nil
}

func (m *maker) snapshot(ctx context.Context, o SaveOptions) (*snapshot, error) {
	s := &snapshot{}
	var err error
	if s.gitDir, err = m.usable(ctx); err != nil {
		return nil, err
	}
	var found bool
	if s.head, found, err = m.here().resolve(ctx, "HEAD"); err == nil && !found {
		err = keepf("its branch has no commit")
	}
	if err != nil {
		return nil, err
	}
	if s.branch, err = m.branch(ctx); err != nil {
		return nil, err
	}
	if sparse, _ := m.here().run(ctx, "config", "--type=bool", "core.sparseCheckout"); sparse == "true" {
		return nil, keepf("only a part of the files is checked out in it (core.sparseCheckout)")
	}
	tracked, err := m.index(ctx)
	if err != nil {
		return nil, err
	}
	if s.tree, err = m.walk(ctx, tracked); err != nil {
		return nil, err
	}
	if s.diff, err = m.compare(ctx, tracked, s.tree, o.DropIgnored); err != nil {
		return nil, err
	}
	limit := o.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxSave
	}
	if s.diff.bytes > limit {
		return nil, &keep{commits: true, why: fmt.Sprintf("%d files that git does not know as they are hold %d MiB, and at most %d MiB are saved in the repository",
			len(s.diff.raw), s.diff.bytes>>20, limit>>20)}
	}
	if s.indexTree, err = m.writeTree(ctx, s.gitDir); err != nil {
		return nil, err
	}
	if s.headTree, err = m.here().run(ctx, "rev-parse", "--verify", s.head+"^{tree}"); err != nil {
		return nil, err
	}
	s.manifest = m.describe(s, tracked)
	s.lost, err = m.lost(ctx, s.gitDir)
	return s, err
}

// branch is the branch that is checked out; empty for none.
func (m *maker) branch(ctx context.Context) (string, error) {
	name, err := m.here().run(ctx, "symbolic-ref", "--quiet", "HEAD")
	if _, detached := errors.AsType[*gitError](err); detached {
		return "", nil
	}
	return strings.TrimPrefix(name, "refs/heads/"), err
}

// writeTree makes a tree of what is staged, without taking the lock of the index.
func (m *maker) writeTree(ctx context.Context, gitDir string) (string, error) {
	copied, remove, err := copyIndex(gitDir)
	if err != nil {
		return "", err
	}
	defer remove()
	tree, err := m.here().with("GIT_INDEX_FILE="+copied).run(ctx, "write-tree")
	if failed, ok := errors.AsType[*gitError](err); ok && !isBusy(err) {
		return "", keepf("what is staged in it cannot be saved: %s", oneLine(failed.stderr))
	}
	return tree, err
}

// copyIndex gives git an index that it may change.
func copyIndex(gitDir string) (path string, remove func(), err error) {
	data, err := os.ReadFile(filepath.Join(gitDir, "index"))
	if err != nil {
		return "", nil, keepf("its index cannot be read: %v", err)
	}
	f, err := os.CreateTemp(gitDir, "orchestrator-index.*")
	if err != nil {
		return "", nil, fmt.Errorf("copy the index: %w", err)
	}
	remove = func() {
		_ = os.Remove(f.Name()) // what stays is small and goes with the worktree
		_ = os.Remove(f.Name() + ".lock")
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		remove()
		return "", nil, fmt.Errorf("copy the index: %w", err)
	}
	return f.Name(), remove, nil
}

// manifest is what a commit cannot say of a worktree.
type manifest struct {
	Version int `json:"version"`
	// Branch was checked out; empty for none.
	Branch string `json:"branch,omitempty"`
	// Raw are the files whose bytes are as they were on the disk, without the
	// filters of git; all others are what a checkout of the index gives.
	Raw []string `json:"raw,omitempty"`
	// Gone are the files of the index that were not on the disk.
	Gone []string `json:"gone,omitempty"`
	// Empty are directories with nothing in them.
	Empty []string `json:"empty,omitempty"`
	// Modes are the permissions that a checkout would not give, by path.
	Modes map[string]uint32 `json:"modes,omitempty"`
}

// describe notes what a commit cannot hold. Names of any bytes are kept by quoting them.
func (m *maker) describe(s *snapshot, tracked map[string]indexed) manifest {
	out := manifest{Version: 1, Branch: s.branch, Raw: quoted(s.diff.raw), Gone: quoted(s.diff.gone), Empty: quoted(s.tree.empty), Modes: map[string]uint32{}}
	raw := map[string]bool{}
	for _, name := range s.diff.raw {
		raw[name] = true
	}
	for name, file := range s.tree.files {
		_, known := tracked[name]
		if file.mode.Type() == fs.ModeSymlink || !known && !raw[name] {
			continue
		}
		usual := uint32(0o644)
		if file.mode&0o100 != 0 {
			usual = 0o755
		}
		if permissions(file.mode) != usual {
			out.Modes[strconv.Quote(name)] = permissions(file.mode)
		}
	}
	for name, mode := range s.tree.dirs {
		if permissions(mode) != 0o755 {
			out.Modes[strconv.Quote(name)] = permissions(mode)
		}
	}
	return out
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strconv.Quote(name)
	}
	return out
}

// permissions are the bits that chmod takes.
func permissions(mode fs.FileMode) uint32 {
	out := uint32(mode.Perm())
	for bit, mask := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			out |= mask
		}
	}
	return out
}

// lost are commits that were made or checked out in the worktree, and stashes of
// its branch, that no branch and no tag reaches. The worktree's own log goes with it.
func (m *maker) lost(ctx context.Context, gitDir string) ([]string, error) {
	candidates := map[string]bool{}
	log, err := os.ReadFile(filepath.Join(gitDir, "logs", "HEAD"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the log of the worktree: %w", err)
	}
	for line := range strings.Lines(string(log)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.Trim(fields[1], "0") != "" {
			candidates[fields[1]] = true
		}
	}
	stashes, err := m.here().run(ctx, "log", "--walk-reflogs", "--format=%H %gs", "refs/stash", "--")
	if err == nil {
		for line := range strings.Lines(stashes) {
			hash, subject, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(subject, "WIP on "+m.Branch+":") || strings.HasPrefix(subject, "On "+m.Branch+":") {
				candidates[hash] = true
			}
		}
	} else if ctx.Err() != nil {
		return nil, err
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	return m.unreached(ctx, sortedKeys(candidates))
}

// unreached are those of some commits that no branch, no tag and no other of
// them reaches.
func (m *maker) unreached(ctx context.Context, commits []string) ([]string, error) {
	var there []string
	for _, commit := range commits {
		if _, found, err := m.here().resolve(ctx, commit); err != nil {
			return nil, err
		} else if found { // git may have forgotten it already
			there = append(there, commit)
		}
	}
	if len(there) == 0 {
		return nil, nil
	}
	input := strings.Join(there, "\n") + "\n--not\n--branches\n--tags\n--remotes\n"
	text, err := m.here().feed(ctx, strings.NewReader(input), "rev-list", "--parents", "--stdin")
	if _, failed := errors.AsType[*gitError](err); failed {
		// Older versions take no options there.
		text, err = m.here().feed(ctx, strings.NewReader(strings.Join(there, "\n")+"\n"), "rev-list", "--parents", "--stdin", "--not", "--branches", "--tags", "--remotes")
	}
	if err != nil {
		return nil, err
	}
	unreached, inner := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		unreached[fields[0]] = true
		for _, parent := range fields[1:] {
			inner[parent] = true
		}
	}
	var out []string
	for _, commit := range there {
		if unreached[commit] && !inner[commit] {
			out = append(out, commit)
		}
	}
	if len(out) > maxLost {
		return nil, keepf("it has %d commits that no branch holds, and at most %d are saved", len(out), maxLost)
	}
	return out, nil
}

// nothing reports whether the branch of the task holds everything.
func (s *snapshot) nothing(branch string) bool {
	return len(s.diff.raw) == 0 && len(s.diff.gone) == 0 && s.indexTree == s.headTree && len(s.tree.empty) == 0 && len(s.manifest.Modes) == 0 &&
		len(s.lost) == 0 && s.branch == branch
}

// describe says what was saved.
func (s *snapshot) describe(branch string) string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(len(s.diff.raw)-s.diff.ignored, "changed or unknown files")
	add(s.diff.ignored, "ignored files")
	add(len(s.diff.gone), "removed files")
	if s.indexTree != s.headTree {
		parts = append(parts, "what was staged")
	}
	add(len(s.lost), "commits without a branch")
	if s.branch != branch {
		if s.branch == "" {
			parts = append(parts, "the commit that was checked out without a branch")
		} else {
			parts = append(parts, "that the branch "+s.branch+" was checked out")
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "modes and empty directories")
	}
	if n := len(s.tree.special); n > 0 {
		parts = append(parts, fmt.Sprintf("and not %d sockets, pipes or devices, which hold no bytes", n))
	}
	return strings.Join(parts, ", ")
}

// saveGone saves what git still knows of a worktree whose directory is gone.
func (m *maker) saveGone(ctx context.Context) (Saved, error) {
	saved := Saved{Gone: true}
	list, err := m.git.list(ctx)
	if err != nil {
		return saved, err
	}
	i := slices.IndexFunc(list, func(other worktree) bool { return other.path == m.Dir })
	if i < 0 || list[i].head == "" {
		tip, _, err := m.git.resolve(ctx, "refs/heads/"+m.Branch)
		saved.Head = tip
		return saved, err
	}
	saved.Head = list[i].head
	if list[i].branch != "" {
		return saved, nil
	}
	// No branch holds it.
	saved.What = "the commit that was checked out without a branch"
	saved.Ref, err = m.name(ctx, saved.Head)
	return saved, err
}

// store makes the commit that holds a snapshot and names it. Its tree is the
// project as it was on the disk; its parents are the commit that was checked
// out, what was staged, what a commit cannot say, and the commits that no branch
// reaches. It has no time of its own, so that the same content is the same commit.
func (m *maker) store(ctx context.Context, s *snapshot) (ref string, err error) {
	date, err := m.here().run(ctx, "log", "-1", "--format=%ct +0000", s.head)
	if err != nil {
		return "", err
	}
	who := "orchestrator <orchestrator@localhost> " + date
	staged, err := m.commitTree(ctx, who, s.indexTree, "What was staged in the worktree of task "+m.Task, s.head)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(s.manifest, "", " ")
	if err != nil {
		return "", fmt.Errorf("describe the worktree: %w", err)
	}
	blob, err := m.here().feed(ctx, bytes.NewReader(text), "hash-object", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	tree, err := m.here().feed(ctx, strings.NewReader("100644 blob "+blob+"\tmanifest.json\n"), "mktree")
	if err != nil {
		return "", err
	}
	said, err := m.commitTree(ctx, who, tree, "What a commit cannot say of the worktree of task "+m.Task)
	if err != nil {
		return "", err
	}
	commit, err := m.importFiles(ctx, s, who, append([]string{s.head, staged, said}, s.lost...))
	if err != nil {
		return "", err
	}
	return m.name(ctx, commit)
}

func (m *maker) commitTree(ctx context.Context, who, tree, message string, parents ...string) (string, error) {
	name, rest, _ := strings.Cut(who, " <")
	mail, date, _ := strings.Cut(rest, "> ")
	args := []string{"commit-tree", "--no-gpg-sign", "-m", message}
	for _, parent := range parents {
		args = append(args, "-p", parent)
	}
	return m.here().with("GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+mail, "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+mail, "GIT_COMMITTER_DATE="+date).run(ctx, append(args, tree)...)
}

// name gives a commit the next free name of the task, or returns the one that it has.
func (m *maker) name(ctx context.Context, commit string) (string, error) {
	text, err := m.git.run(ctx, "for-each-ref", "--format=%(objectname) %(refname)", RefPrefix(m.Task))
	if err != nil {
		return "", err
	}
	next := 1
	for line := range strings.Lines(text) {
		hash, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(strings.TrimPrefix(ref, RefPrefix(m.Task)))
		if err != nil {
			continue
		}
		if hash == commit {
			return ref, nil
		}
		next = max(next, n+1)
	}
	ref := RefPrefix(m.Task) + strconv.Itoa(next)
	_, err = m.git.run(ctx, "update-ref", "-m", "saved by the orchestrator", ref, commit, strings.Repeat("0", len(commit)))
	return ref, err
}
