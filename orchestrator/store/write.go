package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
)

// pendingWrite is a write that waits for its transaction.
type pendingWrite struct {
	ctx  context.Context //nolint:containedctx // it goes with the write to whoever carries it out
	op   string
	fn   func(tx *sql.Tx) error
	err  error
	done chan struct{} // closed when err is set
}

func (w *pendingWrite) end(err error) {
	w.err = err
	close(w.done)
}

// carryOut calls fn. A panic in it is the error of this write alone: the goroutine
// is that of all.
func (w *pendingWrite) carryOut(tx *sql.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", w.op, p, debug.Stack())
		}
	}()
	return w.fn(tx)
}

// ended reports whether the write was carried out.
func (w *pendingWrite) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// write runs fn in the transaction that may write, of which there is one at a
// time, and returns when it is committed. Everything that is written goes
// through here. Errors of fn are returned as they are.
//
// Writes that come while another transaction is being committed wait, and go
// into the next one together: one sync of the disk makes all of them durable.
// One that fails leaves nothing behind and does not touch the others: they are done
// again, and each has a savepoint then. Where more than a write fails (the disk, the file)
// all of them are done again, each in a transaction of its own. So fn may be
// called more than once, and what it has noted the last time counts.
func (s *Store) write(ctx context.Context, op string, fn func(tx *sql.Tx) error) error {
	if s.writes == nil {
		return fmt.Errorf("%s: %w", op, ErrReadOnly)
	}
	w := &pendingWrite{ctx: ctx, op: op, fn: fn, done: make(chan struct{})}
	s.queue.add(w)
	select {
	case s.writer.wake <- struct{}{}:
	default: // it will look anyway
	}
	var gone error
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		gone = ctx.Err()
	case <-s.writer.done:
		gone = sql.ErrConnDone
	}
	if s.queue.withdraw(w) {
		return s.fail(ctx, op, gone)
	}
	<-w.done // it is being committed
	return w.err
}

// commitTogether carries out writes in one transaction. s.writing is held.
func (s *Store) commitTogether(writes []*pendingWrite) {
	s.prepared.prepare(s.writes)
	s.checkpoints.wrote(len(writes))
	if len(writes) > 1 && (s.tryTogether(writes, false) || s.tryTogether(writes, true)) {
		return
	}
	for _, w := range writes {
		if !w.ended() {
			w.end(s.commitAlone(w))
		}
	}
}

// commitAlone carries out one write.
func (s *Store) commitAlone(w *pendingWrite) error {
	s.faults.before()
	tx, err := s.writes.BeginTx(w.ctx, nil)
	if err != nil {
		return s.fail(w.ctx, w.op, err)
	}
	if err := w.carryOut(tx); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			return errors.Join(err, s.fail(w.ctx, w.op, back))
		}
		return err
	}
	s.faults.middle()
	if err := tx.Commit(); err != nil {
		return s.fail(w.ctx, w.op, err)
	}
	s.faults.after()
	return nil
}

// tryTogether is false when nothing was written, and none of the writes has ended
// that could not be ended without the others. Without savepoints, which have SQLite
// keep what was before, none of them may fail.
func (s *Store) tryTogether(writes []*pendingWrite, savepoints bool) bool {
	s.faults.before()
	ctx := context.Background() // what has been begun for several is not given up for one
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return false
	}
	defer func() { _ = tx.Rollback() }() // unless it is committed
	results := make([]error, len(writes))
	wrote := 0
	for i, w := range writes {
		if savepoints {
			if _, err := s.exec(ctx, tx, "SAVEPOINT one"); err != nil {
				return false
			}
		}
		results[i] = w.carryOut(tx)
		switch {
		case results[i] == nil:
			wrote++
		case !savepoints, errors.Is(results[i], ErrStorage), w.ctx.Err() != nil:
			return false // SQLite may have given up the whole transaction
		default:
			if _, err := s.exec(ctx, tx, "ROLLBACK TO one"); err != nil {
				return false
			}
		}
		if savepoints {
			if _, err := s.exec(ctx, tx, "RELEASE one"); err != nil {
				return false
			}
		}
	}
	s.faults.middle()
	if err = tx.Commit(); err == nil && wrote > 0 {
		s.faults.after()
	}
	for i, w := range writes {
		if results[i] == nil && err != nil {
			results[i] = s.fail(w.ctx, w.op, err)
		}
		w.end(results[i])
	}
	return true
}
