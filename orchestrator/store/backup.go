package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/gofrs/flock"
)

// ErrBackupExists means that the name of a backup is taken. Nothing was changed.
var ErrBackupExists = errors.New("there is something with that name already")

// BackupOptions say what a backup holds besides the store.
type BackupOptions struct {
	// Workspaces copies those that the orchestrator made, as they are found:
	// agents may write in them meanwhile.
	Workspaces bool
	// Transcripts copies the transcripts of turns, as they are found.
	Transcripts bool
}

// BackupResult says what a backup holds.
type BackupResult struct {
	Tasks, Events int64
	// Files of long outputs.
	Files int
	// Workspaces are those in the data directory, whether they were copied or not.
	Workspaces int
	// Transcripts are the tasks that have any, whether they were copied or not.
	Transcripts int
}

// The parts of a data directory besides the store; see orchestrator.New.
const (
	workspacesName = "workspaces"
	// transcriptsName and transcriptSuffix are as in package transcript.
	transcriptsName  = "transcripts"
	transcriptSuffix = ".jsonl.zst"
	pricesName       = "prices.yaml"
)

// Backup copies the data directory dir to a new directory, which becomes a data
// directory itself. Another process may write dir meanwhile: the store is copied
// as it is at one instant, and the files that its journals name are there before
// it. The copy is checked, made durable, and only then gets its name. A store of an
// earlier version is copied as it is. Errors: ErrNoStore, ErrBackupExists, ErrStorage.
func Backup(ctx context.Context, dir, to string, o BackupOptions) (_ BackupResult, err error) {
	s, err := openForBackup(dir)
	if err != nil {
		return BackupResult{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.faults, err = newFaults(s.dir); err != nil {
		return BackupResult{}, err
	}
	if _, err := os.Lstat(to); err == nil {
		return BackupResult{}, fmt.Errorf("make the backup %s: %w: choose another name", to, ErrBackupExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return BackupResult{}, fmt.Errorf("make the backup: %w", err)
	}
	parent := filepath.Dir(to)
	part, done, err := beginPart(to)
	if err != nil {
		return BackupResult{}, fmt.Errorf("make the backup: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	s.faults.step()
	result, err := s.copyTo(ctx, part, o)
	if err != nil {
		return BackupResult{}, err
	}
	s.faults.step()
	if err := syncTree(part); err != nil {
		return BackupResult{}, fmt.Errorf("make the backup: %w", err)
	}
	s.faults.step()
	if err := errors.Join(os.Rename(part, to), syncDir(parent)); err != nil {
		return BackupResult{}, fmt.Errorf("make the backup: %w", err)
	}
	s.faults.step()
	return result, nil
}

// partLock marks the part of a backup that somebody still writes.
const partLock = ".lock"

// beginPart makes the directory that a backup is written to, beside its place, so
// that it can be renamed, with mode 0700. It removes those that earlier backups of
// that name have left when they were killed. done ends the use of it: what has not
// been renamed is removed.
func beginPart(to string) (part string, done func() error, err error) {
	begin := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".part-")
	left, err := filepath.Glob(globbed(begin) + "*")
	if err != nil {
		return "", nil, err
	}
	for _, old := range left {
		if err := removePart(old); err != nil {
			return "", nil, err
		}
	}
	if part, err = os.MkdirTemp(filepath.Dir(to), filepath.Base(begin)+"*"); err != nil {
		return "", nil, err
	}
	held := flock.New(filepath.Join(part, partLock), flock.SetPermissions(0o600))
	done = func() error {
		err := held.Unlock()
		if gone := os.Remove(filepath.Join(to, partLock)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return errors.Join(err, os.RemoveAll(part)) // which is not there any more where it was renamed
	}
	if locked, err := held.TryLock(); err != nil || !locked {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", part, err), os.RemoveAll(part))
	}
	return part, done, nil
}

// removePart removes what a killed backup has left, unless somebody writes it.
func removePart(old string) error {
	if err := os.Remove(old); err == nil {
		return nil // it was empty
	}
	held := flock.New(filepath.Join(old, partLock), flock.SetPermissions(0o600))
	locked, err := held.TryLock()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !locked {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(held.Unlock(), os.RemoveAll(old))
}

// globbed is a pattern that matches a path as it is.
func globbed(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

func openForBackup(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the data directory %s: %w", dir, err)
	}
	s := &Store{dir: dir}
	if _, err := os.Stat(s.file()); err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", dir, ErrNoStore, err)
	}
	s.reads, err = openDB(s.file(), "ro", 1)
	return s, err
}

// copyTo makes the copy and checks it.
func (s *Store) copyTo(ctx context.Context, to string, o BackupOptions) (BackupResult, error) {
	const op = "copy the store"
	file := filepath.Join(to, FileName)
	least, err := s.rows(ctx)
	if err != nil {
		return BackupResult{}, err
	}
	// One statement is one snapshot, whoever writes meanwhile. It only reads s.
	if _, err := s.reads.ExecContext(ctx, "PRAGMA query_only = off"); err != nil {
		return BackupResult{}, s.fail(ctx, op, err)
	}
	s.faults.before()
	s.faults.middle()
	if _, err := s.reads.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		return BackupResult{}, s.fail(ctx, op, err)
	}
	s.faults.after()
	if err := os.Chmod(file, 0o600); err != nil {
		return BackupResult{}, s.fail(ctx, op, err)
	}
	most, err := s.rows(ctx)
	if err != nil {
		return BackupResult{}, err
	}
	have, err := verifyCopy(ctx, to)
	if err != nil {
		return BackupResult{}, err
	}
	for _, table := range slices.Sorted(maps.Keys(least)) {
		// No row of these is ever removed.
		if grows := table == "tasks" || table == "events" || table == "revisions" || table == "runtimes"; grows && (have[table] < least[table] || have[table] > most[table]) {
			return BackupResult{}, s.fail(ctx, op, fmt.Errorf("the copy has %d rows in %s, and there were %d to %d", have[table], table, least[table], most[table]))
		}
	}
	result := BackupResult{Tasks: have["tasks"], Events: have["events"]}
	// After the store: a file is there before the commit that names it.
	if result.Files, err = copyTree(ctx, filepath.Join(s.dir, OutputsName), filepath.Join(to, OutputsName)); err != nil {
		return BackupResult{}, err
	}
	if err := copyFile(filepath.Join(s.dir, pricesName), filepath.Join(to, pricesName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return BackupResult{}, err
	}
	if result.Transcripts, err = countTranscribed(filepath.Join(s.dir, transcriptsName)); err != nil {
		return BackupResult{}, err
	}
	if o.Transcripts {
		if _, err := copyTree(ctx, filepath.Join(s.dir, transcriptsName), filepath.Join(to, transcriptsName)); err != nil {
			return BackupResult{}, err
		}
	}
	own, err := os.ReadDir(filepath.Join(s.dir, workspacesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return BackupResult{}, fmt.Errorf("look for workspaces: %w", err)
	}
	result.Workspaces = len(own)
	if o.Workspaces {
		if _, err := copyTree(ctx, filepath.Join(s.dir, workspacesName), filepath.Join(to, workspacesName)); err != nil {
			return BackupResult{}, err
		}
	}
	return result, nil
}

// countTranscribed counts the tasks that have transcripts: in a file, or, from
// earlier versions, in a directory.
func countTranscribed(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("look for transcripts: %w", err)
	}
	tasks := map[string]bool{}
	for _, entry := range entries {
		tasks[strings.TrimSuffix(entry.Name(), transcriptSuffix)] = true
	}
	return len(tasks), nil
}

// verifyCopy checks a copied store and counts its rows.
func verifyCopy(ctx context.Context, dir string) (rows map[string]int64, err error) {
	copied, err := openForBackup(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if err := copied.CheckFile(ctx); err != nil {
		return nil, fmt.Errorf("check the backup: %w", err)
	}
	return copied.rows(ctx)
}

// rows counts the rows of every table of ours.
func (s *Store) rows(ctx context.Context) (map[string]int64, error) {
	const op = "count what is stored"
	tables, err := query(ctx, s, op, scanString, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, table := range tables {
		var n int64
		if err := s.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM "`+strings.ReplaceAll(table, `"`, `""`)+`"`).Scan(&n); err != nil {
			return nil, s.fail(ctx, op, err)
		}
		counts[table] = n
	}
	if _, ok := counts["tasks"]; !ok {
		return nil, fmt.Errorf("open %s: %w", s.dir, ErrNoStore)
	}
	return counts, nil
}

// copyTree copies directories, files and symbolic links; a tree that is not there
// is an empty one. It returns how many files it copied. What vanishes meanwhile
// is left out, and so is what is being written under a temporary name.
func copyTree(ctx context.Context, from, to string) (files int, err error) {
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case strings.HasPrefix(entry.Name(), ".new-"):
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !entry.Type().IsRegular():
			return nil // sockets and pipes mean nothing in a copy
		}
		if err := copyFile(path, target); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		files++
		return nil
	})
	if err != nil {
		return files, fmt.Errorf("copy %s: %w", from, err)
	}
	return files, nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Close())
}

// syncTree makes files and names durable.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return syncDir(path)
		case entry.Type().IsRegular():
			return syncPath(path)
		}
		return nil
	})
}

// syncDir makes the names in a directory durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return syncPath(dir)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, fs.ErrPermission) && runtime.GOOS == "windows" {
		err = nil // it wants a file that is open for writing
	}
	return errors.Join(err, f.Close())
}
