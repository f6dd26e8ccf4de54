package workspace

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Why a worktree cannot be restored, as Error.Kind.
var (
	// ErrMoved: the branch holds other commits now than when the worktree was removed.
	ErrMoved = errors.New("the branch has moved on")
	// ErrNotSaved: the name in the repository is not there, or is not of ours.
	ErrNotSaved = errors.New("nothing is saved under that name")
)

// RestoreOptions say what a worktree is restored from.
type RestoreOptions struct {
	// Ref is what Save has returned; where it is empty, Head is the commit that was checked out.
	Ref, Head string
	// Base is the commit that the branch began at.
	Base string
	// Fork says that the worktree is for another task than the one that was
	// saved: it gets the branch of its Tree, which begins where that one was.
	Fork bool
}

// Restore makes the worktree of a task again as it was saved. A worktree that is
// there is left as it is. It may be called again after any failure. Errors: *Error
// (ErrMoved, ErrNotSaved and others), those of git, the cause of the end of ctx.
func (w *Worktrees) Restore(ctx context.Context, t Tree, o RestoreOptions) error {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return err
	}
	if err := m.settle(); err != nil {
		return told("restore the worktree "+m.Dir, err)
	}
	return told("restore the worktree "+m.Dir, m.again(ctx, func() error { return m.restore(ctx, w, o) }))
}

func (m *maker) restore(ctx context.Context, w *Worktrees, o RestoreOptions) error {
	state, err := m.look(ctx)
	if err != nil || state == complete {
		return err
	}
	saved, err := m.readSaved(ctx, o.Ref, o.Head)
	if err != nil {
		return err
	}
	saved.base = o.Base
	if o.Fork {
		saved.manifest.Branch = m.Branch
	}
	release, err := w.take(ctx, m.common)
	if err != nil {
		return err
	}
	if state == halfMade {
		_, err = m.git.run(ctx, "worktree", "remove", "--force", "--force", m.Dir)
	}
	if err == nil {
		err = m.addAgain(ctx, saved)
	}
	release()
	if err != nil {
		return err
	}
	return m.fill(ctx, saved)
}

// savedTree is what a name of ours in the repository holds.
type savedTree struct {
	head, index, files, base string
	manifest                 manifest
}

func (m *maker) readSaved(ctx context.Context, ref, head string) (*savedTree, error) {
	s := &savedTree{head: head, index: head, manifest: manifest{Branch: m.Branch}}
	if ref == "" {
		if _, found, err := m.git.resolve(ctx, head); err != nil || !found {
			return nil, errors.Join(err, m.notSaved("the commit "+head))
		}
		return s, nil
	}
	commit, found, err := m.git.resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, m.notSaved(ref)
	}
	text, err := m.git.run(ctx, "cat-file", "blob", commit+"^3:manifest.json")
	if _, failed := errors.AsType[*gitError](err); failed {
		if head == commit { // a commit that no branch held, and nothing else
			s.head, s.index, s.manifest.Branch = commit, commit, ""
			return s, nil
		}
		return nil, m.notSaved(ref)
	}
	if err != nil {
		return nil, err
	}
	s.manifest = manifest{}
	if err := json.Unmarshal([]byte(text), &s.manifest); err != nil {
		return nil, fmt.Errorf("read what is saved under %s: %w", ref, err)
	}
	if s.manifest.Version != 1 {
		return nil, fmt.Errorf("what is saved under %s was written by a newer version", ref)
	}
	for to, name := range map[*string]string{&s.head: "^1", &s.index: "^2", &s.files: "^0"} {
		if *to, err = m.git.run(ctx, "rev-parse", "--verify", commit+name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (m *maker) notSaved(name string) error {
	return &Error{ErrNotSaved, fmt.Sprintf("%s is not in the repository %s any more", name, m.Repo), "see what is there with `git for-each-ref " + RefPrefix(m.Task) + "`"}
}

// addAgain makes the worktree without its files.
func (m *maker) addAgain(ctx context.Context, s *savedTree) error {
	args := []string{"worktree", "add", "--quiet", "--no-checkout", "--force", "--force"}
	branch := s.manifest.Branch
	if branch == "" {
		_, err := m.git.run(ctx, append(args, "--detach", m.Dir, s.head)...)
		return err
	}
	others, err := m.git.list(ctx)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.branch == branch && other.path != m.Dir {
			return &Error{ErrBranchInUse, fmt.Sprintf("the branch %s is checked out in %s", branch, other.path), "check out another one there, and resume the task"}
		}
	}
	tip, there, err := m.git.resolve(ctx, "refs/heads/"+branch)
	switch {
	case err != nil:
		return err
	case !there:
		args = append(args, "-b", branch, m.Dir, s.head)
	case tip == s.head:
		args = append(args, m.Dir, branch)
	default:
		return &Error{
			ErrMoved, fmt.Sprintf("the branch %s holds other commits now than when the worktree of the task was removed (%.12s then)", branch, s.head),
			fmt.Sprintf("put it back with `git branch --force %s %.12s`, or submit a new task", branch, s.head),
		}
	}
	_, err = m.git.run(ctx, args...)
	return m.explain(err)
}

// fill writes the files, and the index last, by which it is known that all are there.
func (m *maker) fill(ctx context.Context, s *savedTree) (err error) {
	gitDir, err := m.gitDir(ctx)
	if err != nil {
		return err
	}
	if err := writeMarker(gitDir, marker{Task: m.Task, Base: s.base, Branch: m.Branch, Common: m.common}); err != nil {
		return err
	}
	temporary := filepath.Join(gitDir, "orchestrator-index.restored")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore the index: %w", err)
	}
	here := m.here().with("GIT_INDEX_FILE=" + temporary)
	if _, err := here.run(ctx, "read-tree", s.index); err != nil {
		return err
	}
	if _, err := here.run(ctx, "checkout-index", "--all", "--force", "--index", "--quiet"); err != nil {
		return err
	}
	root, err := os.OpenRoot(m.Dir)
	if err != nil {
		return fmt.Errorf("open the worktree: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if s.files != "" {
		if err := m.writeRaw(ctx, root, s); err != nil {
			return err
		}
	}
	if err := os.Rename(temporary, filepath.Join(gitDir, "index")); err != nil {
		return fmt.Errorf("restore the index: %w", err)
	}
	return nil
}

// writeRaw writes what a checkout of the index does not give.
func (m *maker) writeRaw(ctx context.Context, root *os.Root, s *savedTree) error {
	gone, err := unquoted(s.manifest.Gone)
	if err != nil {
		return err
	}
	for _, name := range gone {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("restore the worktree: %w", err)
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if root.Remove(dir) != nil {
				break // something is in it
			}
		}
	}
	if err := m.writeBlobs(ctx, root, s); err != nil {
		return err
	}
	empty, err := unquoted(s.manifest.Empty)
	if err != nil {
		return err
	}
	for _, name := range empty {
		if err := root.MkdirAll(name, 0o755); err != nil {
			return fmt.Errorf("restore the worktree: %w", err)
		}
	}
	// The deepest first: a directory may not let anybody in.
	names := sortedKeys(s.manifest.Modes)
	slices.Reverse(names)
	for _, quotedName := range names {
		name, err := strconv.Unquote(quotedName)
		if err != nil {
			return fmt.Errorf("read the name %s: %w", quotedName, err)
		}
		if err := root.Chmod(name, fileMode(s.manifest.Modes[quotedName])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("restore the worktree: %w", err)
		}
	}
	return nil
}

func unquoted(names []string) ([]string, error) {
	out := make([]string, len(names))
	for i, name := range names {
		var err error
		if out[i], err = strconv.Unquote(name); err != nil {
			return nil, fmt.Errorf("read the name %s: %w", name, err)
		}
	}
	return out, nil
}

// fileMode is the reverse of permissions.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, mask := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if bits&mask != 0 {
			mode |= bit
		}
	}
	return mode
}

// blob is an entry of a tree.
type blob struct{ mode, hash string }

// writeBlobs writes the files whose bytes are kept as they were.
func (m *maker) writeBlobs(ctx context.Context, root *os.Root, s *savedTree) (err error) {
	names, err := unquoted(s.manifest.Raw)
	if err != nil || len(names) == 0 {
		return err
	}
	list, err := m.git.run(ctx, "ls-tree", "-r", "-z", "--full-tree", s.files)
	if err != nil {
		return err
	}
	blobs := map[string]blob{}
	for entry := range strings.SplitSeq(list, "\x00") {
		head, name, ok := strings.Cut(entry, "\t")
		if fields := strings.Fields(head); ok && len(fields) == 3 {
			blobs[name] = blob{mode: fields[0], hash: fields[2]}
		}
	}
	cmd := exec.CommandContext(ctx, m.git.program, "-C", m.git.dir, "cat-file", "--batch")
	cmd.Env = environment(os.Environ())
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("read what is saved: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("read what is saved: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("read what is saved: %w", err)
	}
	out := bufio.NewReaderSize(stdout, 64<<10)
	for _, name := range names {
		entry, known := blobs[name]
		if !known {
			err = fmt.Errorf("restore the worktree: %q is not in what was saved", name)
		} else if _, err = io.WriteString(stdin, entry.hash+"\n"); err == nil {
			err = writeBlob(root, out, name, entry)
		}
		if err != nil {
			break
		}
	}
	err = errors.Join(err, stdin.Close())
	if _, drainErr := io.Copy(io.Discard, out); err == nil {
		err = drainErr
	}
	if waitErr := cmd.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("read what is saved: %w", waitErr)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// writeBlob takes one object from cat-file and writes it as a file.
func writeBlob(root *os.Root, out *bufio.Reader, name string, entry blob) error {
	head, err := out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("read what is saved: %w", err)
	}
	fields := strings.Fields(head)
	if len(fields) != 3 {
		return fmt.Errorf("read what is saved: git says %q", strings.TrimSpace(head))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("read what is saved: git says %q", strings.TrimSpace(head))
	}
	// What a checkout has put there may be a link or a directory.
	if err := root.RemoveAll(name); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	data := io.LimitReader(out, size)
	if entry.mode == "120000" {
		target, err := io.ReadAll(data)
		if err == nil {
			err = root.Symlink(string(target), name)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	} else if err := writeRegular(root, name, entry.mode, data); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	_, err = out.Discard(1) // the line break after the object
	return err
}

func writeRegular(root *os.Root, name, mode string, data io.Reader) error {
	permissions := fs.FileMode(0o644)
	if mode == "100755" {
		permissions = 0o755
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, permissions)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	return errors.Join(err, f.Chmod(permissions), f.Close())
}
