package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Schedule is the state of a schedule.
type Schedule struct {
	Name string
	// Spec is the schedule as JSON, and Hash tells whether it is another one.
	Spec json.RawMessage
	Hash string
	// Source is the file that has it, for people.
	Source string
	// Enabled says that it fires; Removed that no file has it any more, so that it does not.
	Enabled, Removed bool
	// Created is when it was first seen.
	Created time.Time
	// Considered is up to when its fires are planned.
	Considered time.Time
	// Updated is when it was last changed by a file or a person.
	Updated time.Time

	file  bool // enabled as the file says
	times string
}

// ScheduleSpec is a schedule to be kept; see Schedule.
type ScheduleSpec struct {
	Name string
	Spec json.RawMessage
	Hash string
	// Times changes when the times do.
	Times   string
	Source  string
	Enabled bool
}

// FireState is what became of a fire.
type FireState string

// The states of a fire. Due and queued ones are open; the others are ends.
const (
	// FireDue waits for its time, or to be submitted.
	FireDue FireState = "due"
	// FireQueued waits until a task of the same schedule has ended.
	FireQueued FireState = "queued"
	// FireSubmitted has a task.
	FireSubmitted FireState = "submitted"
	// FireSkipped was left out, for the reason that is given.
	FireSkipped FireState = "skipped"
	// FireMissed was not carried out because nothing ran at its time. It may stand for several.
	FireMissed FireState = "missed"
	// FireFailed could not be submitted.
	FireFailed FireState = "failed"
)

// Fire is one time at which a schedule fired, or a person made it.
type Fire struct {
	// Key is unique, and the idempotency key of Task.
	Key, Schedule string
	// Scheduled is the time of the schedule; Due is when it is carried out.
	Scheduled, Due time.Time
	State          FireState
	// Reason says in a few words why, for people.
	Reason string
	// Task is set when submitted.
	Task string
	// By is who asked for it; empty for what the schedule did.
	By string
	// Decided is when State was last changed; zero while it is due.
	Decided time.Time
}

// SetSchedules makes these the schedules that there are. A new one begins now. One
// that is known keeps its history, its time of creation and whether it is enabled,
// unless its file says otherwise than it did before. One whose times are others
// fires by them from now on. One that is not among them is marked as removed and kept. One that comes
// back begins again now. Errors: ErrStorage.
func (s *Store) SetSchedules(ctx context.Context, specs []ScheduleSpec, at time.Time) error {
	return s.write(ctx, "set the schedules", func(tx *sql.Tx) error {
		known, err := queryIn(ctx, s, tx, "read the schedules", scanSchedule, selectSchedules)
		if err != nil {
			return err
		}
		before := map[string]Schedule{}
		for _, k := range known {
			before[k.Name] = k
		}
		for _, spec := range specs {
			old, found := before[spec.Name]
			delete(before, spec.Name)
			enabled, considered := spec.Enabled, at
			if found && !old.Removed {
				if old.file == spec.Enabled {
					enabled = old.Enabled
				}
				if (old.Enabled || !enabled) && old.times == spec.Times {
					considered = old.Considered
				}
				if old.Hash == spec.Hash && old.Source == spec.Source && old.Enabled == enabled && old.file == spec.Enabled {
					continue
				}
			}
			_, err := tx.ExecContext(ctx,
				`INSERT INTO schedules (name, spec, hash, times, source, enabled, file_enabled, removed, created, considered, updated)
				 VALUES (?1, ?2, ?3, ?9, ?4, ?5, ?6, FALSE, ?7, ?8, ?7)
				 ON CONFLICT DO UPDATE SET spec = ?2, hash = ?3, times = ?9, source = ?4, enabled = ?5, file_enabled = ?6, removed = FALSE, considered = ?8, updated = ?7`,
				spec.Name, string(spec.Spec), spec.Hash, spec.Source, enabled, spec.Enabled, micros(at), micros(considered), spec.Times)
			if err != nil {
				return s.fail(ctx, "write a schedule", err)
			}
		}
		for name, gone := range before {
			if gone.Removed {
				continue
			}
			if _, err := tx.ExecContext(ctx, "UPDATE schedules SET removed = TRUE, updated = ? WHERE name = ?", micros(at), name); err != nil {
				return s.fail(ctx, "remove a schedule", err)
			}
		}
		return nil
	})
}

// EnableSchedule lets a schedule fire from now on, or no more. The time for which
// it was disabled is not made up for. Errors: ErrNotFound, ErrStorage.
func (s *Store) EnableSchedule(ctx context.Context, name string, enabled bool, at time.Time) (Schedule, error) {
	var out Schedule
	err := s.write(ctx, "change the schedule", func(tx *sql.Tx) error {
		old, err := s.scheduleIn(ctx, tx, name)
		if err != nil {
			return err
		}
		if out = old; old.Enabled == enabled {
			return nil
		}
		out.Enabled, out.Updated = enabled, at
		if enabled {
			out.Considered = at
		}
		_, err = tx.ExecContext(ctx, "UPDATE schedules SET enabled = ?, considered = ?, updated = ? WHERE name = ?",
			enabled, micros(out.Considered), micros(at), name)
		return s.fail(ctx, "change the schedule", err)
	})
	return out, err
}

// Schedules returns all schedules in the order of their names, also those that are removed.
func (s *Store) Schedules(ctx context.Context) ([]Schedule, error) {
	return query(ctx, s, "list the schedules", scanSchedule, selectSchedules+" ORDER BY name")
}

// Schedule returns one of them. Errors: ErrNotFound, ErrStorage.
func (s *Store) Schedule(ctx context.Context, name string) (Schedule, error) {
	return s.scheduleIn(ctx, s.reads, name)
}

func (s *Store) scheduleIn(ctx context.Context, in querier, name string) (Schedule, error) {
	found, err := queryIn(ctx, s, in, "read the schedule", scanSchedule, selectSchedules+" WHERE name = ?", name)
	switch {
	case err != nil:
		return Schedule{}, err
	case len(found) == 0:
		return Schedule{}, fmt.Errorf("schedule %q: %w", name, ErrNotFound)
	}
	return found[0], nil
}

const selectSchedules = "SELECT name, spec, hash, times, source, enabled, file_enabled, removed, created, considered, updated FROM schedules"

func scanSchedule(rows *sql.Rows) (Schedule, error) {
	var out Schedule
	var spec []byte
	var created, considered, updated int64
	err := rows.Scan(&out.Name, &spec, &out.Hash, &out.times, &out.Source, &out.Enabled, &out.file, &out.Removed, &created, &considered, &updated)
	out.Spec, out.Created, out.Considered, out.Updated = spec, fromMicros(created), fromMicros(considered), fromMicros(updated)
	return out, err
}

// PlanFires writes fires and up to when a schedule is considered, in one
// transaction. A fire whose key there is already is left as it is. Where the
// schedule is not enabled any more nothing is done. All but the last keep fires
// that have been decided are forgotten, and none from after considered, which may
// come again when the clock is set back. Errors: ErrNotFound, ErrStorage.
func (s *Store) PlanFires(ctx context.Context, name string, fires []Fire, considered time.Time, keep int) error {
	return s.write(ctx, "plan the fires", func(tx *sql.Tx) error {
		old, err := s.scheduleIn(ctx, tx, name)
		if err != nil {
			return err
		}
		if !old.Enabled || old.Removed {
			return nil
		}
		for _, f := range fires {
			if _, err := s.insertFire(ctx, tx, f); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE schedules SET considered = ? WHERE name = ?", micros(considered), name); err != nil {
			return s.fail(ctx, "plan the fires", err)
		}
		if len(fires) == 0 {
			return nil
		}
		_, err = tx.ExecContext(ctx,
			`DELETE FROM fires WHERE schedule = ?1 AND state NOT IN ('due', 'queued') AND scheduled <= ?2 AND scheduled <
			   (SELECT scheduled FROM fires WHERE schedule = ?1 ORDER BY scheduled DESC LIMIT 1 OFFSET ?3)`, name, micros(considered), max(keep-1, 0))
		return s.fail(ctx, "forget old fires", err)
	})
}

// AddFire writes a fire that a person asked for. Where its key is taken, that fire
// is returned with added false. Errors: ErrNotFound, ErrStorage.
func (s *Store) AddFire(ctx context.Context, f Fire) (got Fire, added bool, err error) {
	err = s.write(ctx, "add a fire", func(tx *sql.Tx) error {
		if _, err := s.scheduleIn(ctx, tx, f.Schedule); err != nil {
			return err
		}
		if added, err = s.insertFire(ctx, tx, f); err != nil {
			return err
		}
		found, err := queryIn(ctx, s, tx, "read the fire", scanFire, selectFires+" WHERE key = ?", f.Key)
		if err == nil && len(found) == 1 {
			got = found[0]
		}
		return err
	})
	return got, added, err
}

func (s *Store) insertFire(ctx context.Context, tx *sql.Tx, f Fire) (bool, error) {
	result, err := tx.ExecContext(ctx,
		"INSERT INTO fires (key, schedule, scheduled, due, state, reason, task, by, decided) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		f.Key, f.Schedule, micros(f.Scheduled), wakeMicros(f.Due), string(f.State), f.Reason, optional(f.Task), optional(f.By), wakeMicros(f.Decided))
	if err != nil {
		return false, s.fail(ctx, "write a fire", err)
	}
	n, err := result.RowsAffected()
	return n > 0, s.fail(ctx, "write a fire", err)
}

// DecideFire says what became of a fire that is due or queued; one that is
// neither any more is left as it is. Errors: ErrStorage.
func (s *Store) DecideFire(ctx context.Context, f Fire) error {
	return s.write(ctx, "decide a fire", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE fires SET state = ?, reason = ?, task = ?, decided = ? WHERE key = ? AND state IN ('due', 'queued')",
			string(f.State), f.Reason, optional(f.Task), wakeMicros(f.Decided), f.Key)
		return s.fail(ctx, "decide a fire", err)
	})
}

// OpenFires returns the fires that are due or queued, in the order in which they are due.
func (s *Store) OpenFires(ctx context.Context) ([]Fire, error) {
	return query(ctx, s, "list the open fires", scanFire, selectFires+" WHERE state IN ('due', 'queued') ORDER BY due, scheduled, key")
}

// Fires returns what became of the last fires of a schedule, the newest first; 0 means 100.
func (s *Store) Fires(ctx context.Context, schedule string, limit int) ([]Fire, error) {
	if limit <= 0 {
		limit = 100
	}
	return query(ctx, s, "list the fires", scanFire, selectFires+" WHERE schedule = ? ORDER BY scheduled DESC, key DESC LIMIT ?", schedule, limit)
}

const selectFires = "SELECT key, schedule, scheduled, due, state, reason, task, by, decided FROM fires"

func scanFire(rows *sql.Rows) (Fire, error) {
	var f Fire
	var scheduled, due int64
	var task, by sql.NullString
	var decided sql.NullInt64
	err := rows.Scan(&f.Key, &f.Schedule, &scheduled, &due, &f.State, &f.Reason, &task, &by, &decided)
	f.Scheduled, f.Due, f.Task, f.By = fromMicros(scheduled), fromMicros(due), task.String, by.String
	if decided.Valid {
		f.Decided = fromMicros(decided.Int64)
	}
	return f, err
}
