package store

import (
	"context"
	"database/sql"
)

const (
	// checkpointAfter is how many writes come between two checkpoints.
	checkpointAfter = 256
	// mostLogPages is how long the write-ahead log may become, in pages, before
	// SQLite itself makes a checkpoint in the middle of a commit.
	mostLogPages = 16_000
)

// checkpointer copies what is in the write-ahead log into the file. SQLite would
// do so in a commit, about every hundredth, which then takes several times as long.
type checkpointer struct {
	db     *sql.DB // a connection of its own
	writes int     // since the last one; guarded by Store.writing
	wanted chan struct{}
	stop   chan struct{}
	done   chan struct{}
}

func (s *Store) startCheckpoints() error {
	db, err := openDB(s.file(), "rwc", 1)
	if err != nil {
		return err
	}
	c := &checkpointer{db: db, wanted: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	s.checkpoints = c
	go func() {
		defer close(c.done)
		for {
			select {
			case <-c.stop:
				return
			case <-c.wanted:
				s.checkpoint()
			}
		}
	}()
	return nil
}

// wrote counts writes. s.writing is held.
func (c *checkpointer) wrote(n int) {
	if c.writes += n; c.writes < checkpointAfter {
		return
	}
	c.writes = 0
	select {
	case c.wanted <- struct{}{}:
	default: // one is being made
	}
}

// checkpoint copies the log while others go on writing, and then the little that
// they have written meanwhile, so that the next one who writes can begin at the
// start of the log again. A checkpoint that fails changes nothing, and the next
// one does its work: what is committed is in the log until then.
func (s *Store) checkpoint() {
	if copyLog(s.checkpoints.db) != nil {
		return
	}
	select {
	case s.writing <- struct{}{}:
		_ = copyLog(s.writes)
		<-s.writing
	case <-s.checkpoints.stop:
	}
}

func copyLog(db *sql.DB) error {
	var busy, pages, copied int
	return db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &copied)
}

func (c *checkpointer) close() error {
	if c == nil {
		return nil
	}
	close(c.stop)
	<-c.done
	return c.db.Close()
}
