package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ErrDirectoryBusy means that another task works in the directory, or in one
// within or around it. The error is a *DirectoryError.
var ErrDirectoryBusy = errors.New("another task works in the directory")

// DirectoryError names the task that works in a directory.
type DirectoryError struct {
	// Directory is what was wanted, and Held what Task works in.
	Directory, Held string
	Task            string
}

// Error implements error.
func (e *DirectoryError) Error() string {
	return fmt.Sprintf("task %s works in %s", e.Task, e.Held)
}

// Is makes errors.Is(err, ErrDirectoryBusy) true.
func (e *DirectoryError) Is(target error) bool { return target == ErrDirectoryBusy }

// OpenPlaces returns the tasks that have ended and whose workspace is still to be
// finished, the oldest first. Errors: ErrStorage.
func (s *Store) OpenPlaces(ctx context.Context) ([]string, error) {
	return query(ctx, s, "look for workspaces to finish", scanString, "SELECT id FROM tasks WHERE place_open = 1 ORDER BY created, id")
}

// DirectoryTaken reports whether a task other than one works in a directory, or
// within it. Errors: ErrStorage.
func (s *Store) DirectoryTaken(ctx context.Context, directory, but string) (bool, error) {
	var taken bool
	err := s.reads.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM workspace_locks WHERE task <> ?2 AND substr(directory || '/', 1, length(?1) + 1) = ?1 || '/')`, directory, but).Scan(&taken)
	return taken, s.fail(ctx, "look who works in the directory", err)
}

// family is the task that a person submitted, of which this one is a part.
func family(task string) string {
	top, _, _ := strings.Cut(task, ".")
	return top
}

// markDirectories keeps tasks out of each other's directories.
func (s *Store) markDirectories(ctx context.Context, tx *sql.Tx, state *workflow.State, event workflow.Event) error {
	if state.Status.Terminal() {
		_, err := s.exec(ctx, tx, "DELETE FROM workspace_locks WHERE task = ?", state.Task)
		return s.fail(ctx, "give the directory back", err)
	}
	body, ok := event.Body.(workflow.WorkspaceReady)
	if !ok || body.Lock == workflow.LockNone {
		return nil
	}
	const op = "take the directory"
	busy := &DirectoryError{Directory: body.Directory}
	// Who wants it alone minds all others; who shares it minds those alone who do not.
	others := "lock = ?2 AND ?3 <> ?2"
	if body.Lock == workflow.LockExclusive {
		others = "?3 = ?2"
	}
	// One is within the other where it begins with it and a slash.
	err := tx.QueryRowContext(ctx,
		`SELECT task, directory FROM workspace_locks
		 WHERE family <> ?1 AND `+others+`
		   AND (substr(rtrim(directory, '/') || '/', 1, length(rtrim(?4, '/')) + 1) = rtrim(?4, '/') || '/'
		     OR substr(rtrim(?4, '/') || '/', 1, length(rtrim(directory, '/')) + 1) = rtrim(directory, '/') || '/')
		 ORDER BY rowid LIMIT 1`,
		family(state.Task), string(workflow.LockExclusive), string(body.Lock), body.Directory).Scan(&busy.Task, &busy.Held)
	if err == nil {
		return busy
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return s.fail(ctx, op, err)
	}
	_, err = s.exec(ctx, tx, "INSERT OR REPLACE INTO workspace_locks (task, directory, lock, family) VALUES (?, ?, ?, ?)",
		state.Task, body.Directory, string(body.Lock), family(state.Task))
	return s.fail(ctx, op, err)
}

// shareDirectory lets a new task keep others out of the workspace that it shares,
// also after the end of the one whose it is.
func (s *Store) shareDirectory(ctx context.Context, tx *sql.Tx, state workflow.State) error {
	if state.WorkspaceOf == "" {
		return nil
	}
	_, err := s.exec(ctx, tx,
		"INSERT INTO workspace_locks (task, directory, lock, family) SELECT ?, directory, lock, family FROM workspace_locks WHERE task = ?",
		state.Task, state.WorkspaceOf)
	return s.fail(ctx, "share the directory", err)
}

// verifyDirectory compares the directory that is marked as taken by a task with its state.
func (s *Store) verifyDirectory(ctx context.Context, tx *sql.Tx, state workflow.State) error {
	var directory string
	err := tx.QueryRowContext(ctx, "SELECT directory FROM workspace_locks WHERE task = ?", state.Task).Scan(&directory)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s.fail(ctx, "verify the directory", err)
	}
	wants := ""
	if !state.Status.Terminal() && state.Place.Lock != workflow.LockNone {
		wants = state.Workspace
	}
	if directory != wants && (state.WorkspaceOf == "" || state.Status.Terminal()) {
		return &workflow.HistoryError{Task: state.Task, Seq: state.Version, Detail: fmt.Sprintf("the directory marked as taken is %q, and the state says %q", directory, wants)}
	}
	return nil
}
