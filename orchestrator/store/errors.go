package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

var (
	// ErrLocked means that another process has the data directory open. The error is a *LockedError.
	ErrLocked = errors.New("the data directory is in use")
	// ErrSchema means that the store was written by another version of the program. The error is a *SchemaError.
	ErrSchema = errors.New("the store has a schema of another version")
	// ErrNoStore is returned by OpenReader for a directory that holds no store.
	ErrNoStore = errors.New("there is no store in the directory")
	// ErrStorage means that SQLite or the disk failed; nothing of the operation was kept. The error is a *StorageError.
	ErrStorage = errors.New("the store failed")
	// ErrUnavailable means that the store failed and may work again by itself or
	// when a person has freed space or mended rights. It is an ErrStorage. What was
	// to be written may be on the disk all the same: read before writing it again.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrDamaged means that the file is damaged. It is an ErrStorage.
	ErrDamaged = errors.New("the store is damaged")
	// ErrMissingFile means that the file of a long output is not there.
	ErrMissingFile = errors.New("the file of a long output is missing")
	// ErrConflict means that the task has changed since its state was read.
	ErrConflict = errors.New("the task has changed in the meantime")
	// ErrNotFound means that no task, or no revision, has this name.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous means that the name fits more than one task. The error is an *AmbiguousError.
	ErrAmbiguous = errors.New("more than one task fits")
	// ErrConversationBusy means that another turn holds the conversation. The error is a *BusyError.
	ErrConversationBusy = errors.New("the conversation is busy")
	// ErrUnreadable means that one stored task or event cannot be decoded, most likely
	// because a newer version wrote it. Others can be read all the same.
	ErrUnreadable = errors.New("stored data cannot be decoded")
	// ErrReadOnly means that the store was opened with OpenReader.
	ErrReadOnly = errors.New("the store is open for reading only")
	// ErrClosed means that the store has been closed.
	ErrClosed = errors.New("the store is closed")
)

// LockedError names the process that holds a data directory.
type LockedError struct {
	Dir string
	// PID and Command are zero when the holder has not written them yet.
	PID     int
	Command string
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("the data directory %s is in use by another process: stop it, or choose another directory", e.Dir)
	}
	return fmt.Sprintf("the data directory %s is in use by %s (process %d): stop it, or choose another directory", e.Dir, e.Command, e.PID)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// SchemaError says that the store and the program do not fit together.
type SchemaError struct {
	File string
	// Found is the schema of the file; Known is the newest one that this program knows.
	Found, Known int64
}

// Error implements error.
func (e *SchemaError) Error() string {
	if e.Found > e.Known {
		return fmt.Sprintf("%s was written by a newer version of this program (its schema is %d, this program knows %d): use that version, or another data directory",
			e.File, e.Found, e.Known)
	}
	return fmt.Sprintf("%s was written by an older version of this program (its schema is %d, this program reads %d): run a task on it once, which brings it up to date",
		e.File, e.Found, e.Known)
}

// Is makes errors.Is(err, ErrSchema) true.
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }

// AmbiguousError lists tasks, or batches, that an abbreviated name fits.
type AmbiguousError struct {
	Name string
	// Kind is "batch" for batches; empty for tasks.
	Kind string
	// Matches holds at most ten of them; More says that there are others.
	Matches []string
	More    bool
}

// Error implements error.
func (e *AmbiguousError) Error() string {
	more := ""
	if e.More {
		more = ", …"
	}
	kind := cmp.Or(e.Kind, "task")
	return fmt.Sprintf("%s %q fits more than one %s: %s%s: give more of its characters", kind, e.Name, kind, strings.Join(e.Matches, ", "), more)
}

// Is makes errors.Is(err, ErrAmbiguous) true.
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// BusyError names the turn that holds a conversation.
type BusyError struct {
	Runtime workflow.Runtime
	// Holder is zero where the turn came with another conversation than the
	// shared one, Runtime, which perhaps nobody holds.
	Holder ActiveTurn
}

// Error implements error.
func (e *BusyError) Error() string {
	if e.Holder == (ActiveTurn{}) {
		return fmt.Sprintf("agent %s has its shared conversation %s by now", e.Runtime.AgentID, e.Runtime.ConversationID)
	}
	return fmt.Sprintf("conversation %s of agent %s is busy: turn %d (attempt %d) of task %s has not ended",
		e.Runtime.ConversationID, e.Runtime.AgentID, e.Holder.Turn, e.Holder.Attempt, e.Holder.Task)
}

// Is makes errors.Is(err, ErrConversationBusy) true.
func (e *BusyError) Is(target error) bool { return target == ErrConversationBusy }

// StorageError says that SQLite or the disk failed.
type StorageError struct {
	// Op is what was being done, e.g. "append event".
	Op  string
	Dir string
	Err error
}

// Error implements error.
func (e *StorageError) Error() string {
	text := fmt.Sprintf("%s in %s: %v", e.Op, e.Dir, e.Err)
	if todo := e.Remedy(); todo != "" {
		text += ": " + todo
	}
	return text
}

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// Is makes errors.Is true for ErrStorage and, by the cause, for ErrUnavailable or ErrDamaged.
func (e *StorageError) Is(target error) bool {
	switch target {
	case ErrStorage:
		return true
	case ErrUnavailable:
		return kindOf(e.Err).unavailable()
	case ErrDamaged:
		return kindOf(e.Err) == kindDamaged
	}
	return false
}

// fail turns an error of the driver into one of this package. The end of ctx
// stays what it is, because the caller asked for it.
func (s *Store) fail(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	case errors.Is(err, ErrUnreadable):
		return err
	case s.closed.Load() || errors.Is(err, sql.ErrConnDone):
		return fmt.Errorf("%s: %w", op, ErrClosed)
	default:
		return &StorageError{Op: op, Dir: s.dir, Err: err}
	}
}
