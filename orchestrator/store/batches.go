package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrBatchNotFound means that no batch has this name.
var ErrBatchNotFound = errors.New("there is no such batch")

// Batch is a batch as it is stored. Package batch gives it its meaning.
type Batch struct {
	ID string
	// Key is the idempotency key; empty is none.
	Key string
	// Digest is equal for batches of the same team and items.
	Digest string
	Name   string
	Team   string
	// Revision is the team that its tasks pin; it must have been saved.
	Revision string
	Status   string
	// Open says that something is still to be done for it.
	Open bool
	// Version is what CommitBatch compares.
	Version int64
	// State is the JSON of batch.State.
	State   []byte
	Created time.Time
	Updated time.Time
}

const batchColumns = `id, COALESCE(idempotency_key, ''), digest, name, team, revision, status, open, version, state, created, updated`

func scanBatch(rows *sql.Rows) (Batch, error) {
	var b Batch
	var created, updated int64
	err := rows.Scan(&b.ID, &b.Key, &b.Digest, &b.Name, &b.Team, &b.Revision, &b.Status, &b.Open, &b.Version, &b.State, &created, &updated)
	b.Created, b.Updated = fromMicros(created), fromMicros(updated)
	return b, err
}

// CreateBatch stores a batch with its items, all or nothing. Where there is one
// with the same key or, with goOn, one that is open and has the same digest,
// nothing is stored and that one is returned with created false. Errors: ErrStorage.
func (s *Store) CreateBatch(ctx context.Context, b Batch, items []BatchItem, goOn bool) (_ Batch, created bool, err error) {
	const op = "create the batch"
	err = s.write(ctx, op, func(tx *sql.Tx) error {
		before, err := queryIn(ctx, s, tx, op, scanBatch,
			"SELECT "+batchColumns+" FROM batches WHERE (idempotency_key = ?1 AND ?1 <> '') OR (?2 AND open AND digest = ?3) ORDER BY idempotency_key = ?1 DESC, created DESC LIMIT 1",
			b.Key, goOn && b.Key == "", b.Digest)
		if err != nil {
			return err
		}
		if len(before) > 0 {
			b, created = before[0], false
			return nil
		}
		created = true
		if _, err := tx.ExecContext(ctx,
			`INSERT INTO batches (id, idempotency_key, digest, name, team, revision, status, open, version, state, created, updated)
			 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			b.ID, optional(b.Key), b.Digest, b.Name, b.Team, b.Revision, b.Status, b.Open, b.Version, string(b.State), micros(b.Created), micros(b.Updated)); err != nil {
			return s.fail(ctx, op, err)
		}
		return s.insertItems(ctx, tx, b.ID, items)
	})
	if err != nil {
		return Batch{}, false, err
	}
	return b, created, nil
}

// insertItems numbers the items from 1 in their order.
func (s *Store) insertItems(ctx context.Context, tx *sql.Tx, batch string, items []BatchItem) (err error) {
	const op = "store the items of the batch"
	insert, err := tx.PrepareContext(ctx, "INSERT INTO batch_items (batch, number, key, label, origin, input, state) VALUES (?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return s.fail(ctx, op, err)
	}
	defer func() {
		if closing := insert.Close(); err == nil {
			err = s.fail(ctx, op, closing)
		}
	}()
	for i, item := range items {
		if _, err := insert.ExecContext(ctx, batch, i+1, item.Key, item.Label, item.Origin, string(item.Input), item.State); err != nil {
			return s.fail(ctx, op, err)
		}
	}
	return nil
}

// CommitBatch replaces a batch where its version is still prev, and some of its
// items, and tells people of it, in one transaction. Errors: ErrConflict, ErrStorage.
func (s *Store) CommitBatch(ctx context.Context, prev int64, b Batch, items []BatchItem, notices []Notice) error {
	const op = "commit the batch"
	return s.write(ctx, op, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE batches SET status = ?, open = ?, version = ?, state = ?, updated = ? WHERE id = ? AND version = ?",
			b.Status, b.Open, b.Version, string(b.State), micros(b.Updated), b.ID, prev)
		if err != nil {
			return s.fail(ctx, op, err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return s.fail(ctx, op, err)
		} else if n == 0 {
			return fmt.Errorf("commit batch %s at version %d: %w", b.ID, prev, ErrConflict)
		}
		if err := s.updateItems(ctx, tx, b.ID, items); err != nil {
			return err
		}
		return s.notice(ctx, tx, notices)
	})
}

// Batch returns the batch with this ID or, where no ID is equal, the one whose
// ID begins or ends with it, or whose name or key it is. Errors:
// ErrBatchNotFound, ErrAmbiguous, ErrStorage.
func (s *Store) Batch(ctx context.Context, id string) (Batch, error) {
	const op = "look up the batch"
	found, err := query(ctx, s, op, scanBatch, "SELECT "+batchColumns+" FROM batches WHERE id = ?", id)
	if err != nil {
		return Batch{}, err
	}
	if len(found) == 0 && id != "" {
		pattern := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(id)
		if found, err = query(ctx, s, op, scanBatch,
			"SELECT "+batchColumns+` FROM batches WHERE id LIKE ?1 || '%' ESCAPE '\' OR id LIKE '%' || ?1 ESCAPE '\' OR name = ?2 OR idempotency_key = ?2
			 ORDER BY created DESC, id DESC LIMIT ?3`, pattern, id, maxMatches+1); err != nil {
			return Batch{}, err
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return Batch{}, fmt.Errorf("batch %q: %w", id, ErrBatchNotFound)
	}
	ambiguous := &AmbiguousError{Name: id, Kind: "batch", More: len(found) > maxMatches}
	for _, b := range found[:min(len(found), maxMatches)] {
		ambiguous.Matches = append(ambiguous.Matches, b.ID)
	}
	return Batch{}, ambiguous
}

// BatchFilter selects batches. The zero BatchFilter selects the newest hundred.
type BatchFilter struct {
	// Status selects batches in any of these; empty means all.
	Status []string
	Team   string
	// Open selects those for which something is still to be done.
	Open bool
	// Limit is the most to return; 0 means 100.
	Limit int
	// After is the ID of the last batch of the page before.
	After string
}

// Batches returns batches, the newest first. Errors: ErrStorage.
func (s *Store) Batches(ctx context.Context, f BatchFilter) ([]Batch, error) {
	where, args := []string{"TRUE"}, []any{}
	if len(f.Status) > 0 {
		where, args = append(where, "status IN (SELECT value FROM json_each(?))"), append(args, jsonList(f.Status))
	}
	if f.Team != "" {
		where, args = append(where, "team = ?"), append(args, f.Team)
	}
	if f.Open {
		where = append(where, "open")
	}
	if f.After != "" {
		where, args = append(where, "(created, id) < (SELECT created, id FROM batches WHERE id = ?)"), append(args, f.After)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	return query(ctx, s, "list the batches", scanBatch,
		"SELECT "+batchColumns+" FROM batches WHERE "+strings.Join(where, " AND ")+" ORDER BY created DESC, id DESC LIMIT ?", append(args, limit)...)
}
