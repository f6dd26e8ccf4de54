package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrChanged says that something was written in a worktree since it was saved:
// save it again.
var ErrChanged = errors.New("something was written in the worktree since it was saved")

// A worktree is moved aside before it is looked at for the last time, and again
// before its files are deleted, so that a call which was cut off leaves either
// all of it or what was certainly saved.
const (
	checking = ".checking"
	deleting = ".deleting"
)

// settle brings in order what an earlier call has left: what was moved aside
// comes back, and what was being deleted goes.
func (m *maker) settle() error {
	if exists(m.Dir + deleting) {
		if err := removeAll(m.Dir + deleting); err != nil {
			return err
		}
	}
	if exists(m.Dir+checking) && !exists(m.Dir) {
		if err := os.Rename(m.Dir+checking, m.Dir); err != nil {
			return fmt.Errorf("put the worktree back: %w", err)
		}
	}
	return nil
}

// Remove removes a worktree of which everything is saved: saved is what Save has
// returned, with the same options. It may be called again. Errors: ErrChanged,
// *Error, those of git, the cause of the end of ctx.
func (w *Worktrees) Remove(ctx context.Context, t Tree, o SaveOptions, saved Saved) error {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return err
	}
	if saved.Kept != "" {
		return fmt.Errorf("remove the worktree %s: not all of it is saved: %s", m.Dir, saved.Kept)
	}
	return told("remove the worktree "+m.Dir, m.again(ctx, func() error { return m.remove(ctx, w, o, saved) }))
}

func (m *maker) remove(ctx context.Context, w *Worktrees, o SaveOptions, saved Saved) error {
	if err := m.settle(); err != nil {
		return err
	}
	if exists(m.Dir) {
		if err := m.moveAside(ctx, o, saved); err != nil {
			return err
		}
		if err := removeAll(m.Dir + deleting); err != nil {
			return err
		}
	}
	release, err := w.take(ctx, m.common)
	if err != nil {
		return err
	}
	defer release()
	list, err := m.git.list(ctx)
	if err != nil {
		return err
	}
	for _, other := range list {
		if other.path == m.Dir {
			_, err = m.git.run(ctx, "worktree", "remove", "--force", "--force", m.Dir)
		}
	}
	return err
}

// moveAside compares the worktree with what was saved, out of the reach of all
// who know it by its path, and then gives it the name of what is deleted.
func (m *maker) moveAside(ctx context.Context, o SaveOptions, saved Saved) error {
	aside := *m
	aside.Dir = m.Dir + checking
	if err := os.Rename(m.Dir, aside.Dir); err != nil {
		return fmt.Errorf("move it aside: %w", err)
	}
	now, err := aside.save(ctx, o)
	if _, unsaved := errors.AsType[*keep](err); unsaved || err == nil && (now.Ref != saved.Ref || now.Head != saved.Head) {
		err = ErrChanged
	}
	if err != nil {
		return errors.Join(err, os.Rename(aside.Dir, m.Dir))
	}
	if err := os.Rename(aside.Dir, m.Dir+deleting); err != nil {
		return fmt.Errorf("move it aside: %w", err)
	}
	return nil
}

// removeAll is os.RemoveAll that also removes what is in directories which may not be written.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	walkErr := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // a directory that is about to be deleted
		}
		return err
	})
	return errors.Join(walkErr, os.RemoveAll(dir))
}

// Discard removes a worktree that was never whole, so that nobody can have worked
// in it. One that is whole is left as it is.
func (w *Worktrees) Discard(ctx context.Context, t Tree) error {
	m, err := open(ctx, Options{Tree: t})
	if err != nil {
		return err
	}
	return told("remove the worktree "+m.Dir, m.again(ctx, func() error {
		state, err := m.look(ctx)
		if _, foreign := errors.AsType[*Error](err); foreign || err == nil && state != halfMade {
			return nil
		}
		if err != nil {
			return err
		}
		release, err := w.take(ctx, m.common)
		if err != nil {
			return err
		}
		defer release()
		_, err = m.git.run(ctx, "worktree", "remove", "--force", "--force", m.Dir)
		return err
	}))
}
