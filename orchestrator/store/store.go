package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"modernc.org/sqlite"
)

// FileName is the name of the SQLite file in the data directory.
const FileName = "orchestrator.db"

const (
	busyTimeout      = 5 * time.Second
	readConns        = 4
	defaultCheckTime = 5 * time.Second
)

// Options say which data directory to open.
type Options struct {
	// Dir is the data directory. It is made (mode 0700) when it does not exist.
	Dir string
	// Command is shown to whoever finds the directory locked; default the name
	// of the program. It must hold no secret, so it is not the command line.
	Command string
	// CheckTime bounds the check of the file; default 5 s. What a longer one would
	// find is found by Store.CheckFile, or when it is read.
	CheckTime time.Duration
	// Removed is called after RemoveTask with what is gone; nil is not called.
	Removed func(gone []TaskCount)
}

// Store is an open data directory. Its methods may be called concurrently.
type Store struct {
	dir    string
	lock   *flock.Flock
	reads  *sql.DB
	writes *sql.DB // nil when open for reading only
	// writing is held by whoever uses writes, which has one connection.
	writing chan struct{}
	// stateOf reads the state of a task; it is what is read most.
	stateOf  *sql.Stmt
	queue    writeQueue
	prepared preparedStatements
	// position is the last that was given to an event, also to one that was not
	// committed; guarded by writing.
	position int64
	// writer, checkpoints and faults are nil when open for reading only.
	writer      *writer
	checkpoints *checkpointer
	closed      atomic.Bool
	faults      *faults
	// partly is set when the check at the start ran out of time.
	partly  bool
	removed func([]TaskCount) // Options.Removed
}

// Open opens the data directory for writing, checks its integrity and
// brings its schema up to date. Errors: ErrLocked, ErrSchema, ErrStorage.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the data directory %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	held, err := lock(dir, cmp.Or(o.Command, filepath.Base(os.Args[0])))
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: held, writing: make(chan struct{}, 1), removed: o.Removed}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.faults, err = newFaults(dir); err != nil {
		return nil, err
	}
	if err := makePrivate(s.file()); err != nil {
		return nil, s.fail(ctx, "make the store", err)
	}
	if s.writes, err = openDB(s.file(), "rwc", 1); err != nil {
		return nil, s.fail(ctx, "open the store", err)
	}
	if err := s.check(ctx, cmp.Or(o.CheckTime, defaultCheckTime)); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if s.reads, err = openDB(s.file(), "ro", readConns); err != nil {
		return nil, s.fail(ctx, "open the store", err)
	}
	if err := s.prepareReads(ctx); err != nil {
		return nil, err
	}
	if s.position, err = s.LastPosition(ctx); err != nil {
		return nil, err
	}
	s.startWriter()                                               //nolint:contextcheck // it is for all writes
	return s, s.fail(ctx, "open the store", s.startCheckpoints()) //nolint:contextcheck // they end with the store
}

func (s *Store) prepareReads(ctx context.Context) (err error) {
	s.stateOf, err = s.reads.PrepareContext(ctx, "SELECT state FROM tasks WHERE id = ?")
	return s.fail(ctx, "open the store", err)
}

// makePrivate makes an empty file that only its owner can read, where there is
// none: messages and outputs may hold what others must not see. SQLite gives
// its other files the same permissions. It must come before the first
// connection: closing a descriptor of the file drops SQLite's locks on it.
func makePrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// OpenReader opens the data directory for reading, without the lock, also
// while another process writes it. Errors: ErrNoStore, ErrSchema, ErrStorage.
func OpenReader(ctx context.Context, dir string) (_ *Store, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the data directory %s: %w", dir, err)
	}
	s := &Store{dir: dir}
	if _, err := os.Stat(s.file()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w: run a task first, or name another data directory", dir, ErrNoStore)
	} else if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.reads, err = openDB(s.file(), "ro", readConns); err != nil {
		return nil, s.fail(ctx, "open the store", err)
	}
	if err := s.checkSchema(ctx); err != nil {
		return nil, err
	}
	return s, s.prepareReads(ctx)
}

// openDB opens a pool. Mode is SQLite's: "rwc" makes the file, "ro" cannot write.
func openDB(file, mode string, conns int) (*sql.DB, error) {
	query := url.Values{
		"mode":          {mode},
		"_txlock":       {"immediate"},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_foreign_keys": {"on"},
		"_defensive":    {"true"},
	}
	if mode == "ro" {
		query.Set("_query_only", "on")
		query.Set("_txlock", "deferred")
	} else {
		query.Set("_journal_mode", "WAL")
		query.Set("_synchronous", "FULL")
		query.Set("_pragma", fmt.Sprintf("wal_autocheckpoint(%d)", mostLogPages))
	}
	name := url.URL{Scheme: "file", Path: file, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// CheckedInPart reports whether the check at the start ran out of time.
func (s *Store) CheckedInPart() bool { return s.partly }

// Dir is the absolute path of the data directory.
func (s *Store) Dir() string { return s.dir }

func (s *Store) file() string { return filepath.Join(s.dir, FileName) }

// Close ends all access and gives the lock back. It may be called again.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	s.writer.close()
	errs = append(errs, s.checkpoints.close(), s.prepared.close())
	if s.stateOf != nil {
		errs = append(errs, s.stateOf.Close())
	}
	for _, db := range []*sql.DB{s.reads, s.writes} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.faults != nil {
		errs = append(errs, s.faults.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Unlock())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the store in %s: %w", s.dir, err)
	}
	return nil
}

// check runs SQLite's quick_check, so that a damaged file is found at the
// start and not in the middle of a task. It reads the whole file: about a second
// per gigabyte from memory, and as long as the disk takes when it is not in memory.
func (s *Store) check(ctx context.Context, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var result string
	err := s.writes.QueryRowContext(limited, "PRAGMA quick_check(1)").Scan(&result)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		s.partly = true
		return nil
	}
	if err != nil {
		return s.fail(ctx, "check the store", err)
	}
	if result != "ok" {
		return s.fail(ctx, "check the store", &damageError{result})
	}
	return nil
}

// micros is how a time is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// wakeMicros rounds up: a task must not be due before the time in its state.
func wakeMicros(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return sql.NullInt64{Int64: us, Valid: true}
}
