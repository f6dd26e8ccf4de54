//go:build faults

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// FaultVariable names the environment variable that says where the process
// kills itself: "NUMBER:PLACE", counting the transactions of an open store from
// 1, or "count", which writes how many there were to the file FaultCount in the
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
