//go:build faults

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"modernc.org/sqlite"
)

// FaultVariable names the environment variable that says where the process
// kills itself: "NUMBER:PLACE", counting from 1 the transactions of an open store,
// those of a migration and the steps of a backup, or "count", which writes how many there were to the file FaultCount in the
// data directory when the store is closed. The places are
//
//   - before: nothing has been written yet
//   - middle: all statements of the transaction have run
//   - during:MICROSECONDS: so long after the commit began, or at its end where
//     that comes first
//   - after: the transaction is committed, and nobody knows it yet
//
// It exists with the build tag faults alone.
const FaultVariable = "ORCHESTRATOR_FAULT"

// FaultCount is the file that "count" writes.
const FaultCount = "commits"

var errFault = errors.New(FaultVariable + " is neither count nor NUMBER:before|middle|after|during:MICROSECONDS")

// faults kills the process around a commit.
type faults struct {
	number atomic.Int64
	at     int64
	place  string
	wait   time.Duration
	count  string // file; empty is none
}

func newFaults(dir string) (*faults, error) {
	value := os.Getenv(FaultVariable)
	switch value {
	case "":
		return &faults{}, nil
	case "count":
		return &faults{count: filepath.Join(dir, FaultCount)}, nil
	}
	number, place, _ := strings.Cut(value, ":")
	place, micros, _ := strings.Cut(place, ":")
	f := &faults{place: place}
	var err error
	if f.at, err = strconv.ParseInt(number, 10, 64); err != nil || f.at < 1 {
		return nil, fmt.Errorf("%q: %w", value, errFault)
	}
	switch place {
	case "before", "middle", "after":
	case "during":
		n, err := strconv.Atoi(micros)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", value, errFault)
		}
		f.wait = time.Duration(n) * time.Microsecond
	default:
		return nil, fmt.Errorf("%q: %w", value, errFault)
	}
	return f, nil
}

func (f *faults) before() {
	f.number.Add(1)
	f.die("before")
}

func (f *faults) middle() {
	f.die("middle")
	if f.place == "during" && f.number.Load() == f.at {
		go func() { // ends with the process
			<-time.After(f.wait)
			kill()
		}()
	}
}

func (f *faults) after() {
	f.die("after")
	f.die("during")
}

func (f *faults) die(place string) {
	if f.place == place && f.number.Load() == f.at {
		kill()
	}
}

// step is a point between two steps of a backup.
func (f *faults) step() {
	f.before()
	f.middle()
	f.after()
}

// migrating counts the transactions of a migration until its end is called. The
// commits are those of the migrator, so that the database says when they come: "after" is
// the moment before the next one, or the end.
func (f *faults) migrating(ctx context.Context, db *sql.DB) (end func(), err error) {
	pending := false
	after := func() {
		if pending {
			f.after()
		}
		pending = false
	}
	hook := func(fn func() int32) error {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // it goes back to the pool, which has one
		return conn.Raw(func(driver any) error {
			driver.(sqlite.HookRegisterer).RegisterCommitHook(fn)
			return nil
		})
	}
	err = hook(func() int32 {
		after()
		f.before()
		f.middle()
		pending = true
		return 0
	})
	return func() {
		after()
		_ = hook(nil) // where it fails there is no connection either
	}, err
}

func (f *faults) close() error {
	if f.count == "" {
		return nil
	}
	return os.WriteFile(f.count, []byte(strconv.FormatInt(f.number.Load(), 10)), 0o600)
}

// kill ends the process as SIGKILL from outside does: nothing runs any more.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
