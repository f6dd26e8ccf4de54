package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
)

// probeRoom is how much room there must be for the store to be taken up again:
// a checkpoint and some commits, so that it does not fail again at once.
const probeRoom = 1 << 20

// Probe finds out whether the store works: that there is some room, that it
// can be read, and that a transaction can be committed. It changes nothing.
// Errors: ErrStorage, ErrUnavailable.
func (s *Store) Probe(ctx context.Context) error {
	const op = "try the store"
	if err := s.room(); err != nil {
		return s.fail(ctx, op, err)
	}
	return s.write(ctx, op, func(tx *sql.Tx) error {
		// Writes the first page of the file, as it is. Nothing else uses the number.
		var version int64
		err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
		if err == nil {
			_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
		}
		return s.fail(ctx, op, err)
	})
}

// room writes a file of probeRoom bytes and removes it.
func (s *Store) room() (err error) {
	f, err := os.CreateTemp(s.dir, ".probe-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, probeRoom)); err != nil {
		return err
	}
	return f.Sync()
}
