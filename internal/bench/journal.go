package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"runtime"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// journal makes the bare loop durable with the least that there is to do: a line
// in SQLite with synchronous=FULL before each step that is not to be done twice,
// and one commit for all lines that wait. What the daemon does beside that (states,
// rules, indexes, usage, transcripts) it does not do: it shows how near to the bare
// loop anything can come, on the machine, that keeps what it does.
type journal struct {
	db     *sql.DB
	insert *sql.Stmt
	wake   chan struct{}
	done   chan struct{}

	mu    sync.Mutex
	lines []line
}

type line struct {
	task string
	step int
	err  chan error
}

// lineSize is about that of a short event with its effects.
const lineSize = 300

func openJournal(ctx context.Context, file string) (*journal, error) {
	query := url.Values{"mode": {"rwc"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"}}
	name := url.URL{Scheme: "file", Path: file, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	j := &journal{db: sql.OpenDB(connector), wake: make(chan struct{}, 1), done: make(chan struct{})}
	j.db.SetMaxOpenConns(1)
	if _, err = j.db.ExecContext(ctx, "CREATE TABLE lines (task TEXT, step INTEGER, line TEXT)"); err == nil {
		j.insert, err = j.db.PrepareContext(ctx, "INSERT INTO lines VALUES (?, ?, ?)")
	}
	if err != nil {
		return nil, errors.Join(err, j.db.Close())
	}
	go j.run() //nolint:contextcheck // it ends with the journal
	return j, nil
}

// run commits what waits until the journal is closed.
func (j *journal) run() {
	defer close(j.done)
	for range j.wake {
		for {
			runtime.Gosched() // as the daemon does: who has got an answer may write the next line
			j.mu.Lock()
			lines := j.lines
			j.lines = nil
			j.mu.Unlock()
			if len(lines) == 0 {
				break
			}
			err := j.commit(lines)
			for _, l := range lines {
				l.err <- err
			}
		}
	}
}

func (j *journal) commit(lines []line) error {
	ctx := context.Background()
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	insert := tx.StmtContext(ctx, j.insert) //nolint:sqlclosecheck // it ends with the transaction
	for _, l := range lines {
		if _, err := insert.ExecContext(ctx, l.task, l.step, strings.Repeat(".", lineSize)); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// write returns when the line is durable. A nil journal keeps nothing.
func (j *journal) write(task string, step int) error {
	if j == nil {
		return nil
	}
	l := line{task: task, step: step, err: make(chan error, 1)}
	j.mu.Lock()
	j.lines = append(j.lines, l)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default: // it will look anyway
	}
	return <-l.err
}

// close ends a journal to which nobody writes any more.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	close(j.wake)
	<-j.done
	return errors.Join(j.insert.Close(), j.db.Close())
}
