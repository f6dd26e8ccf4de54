//go:build !faults

package store

import (
	"context"
	"database/sql"
)

// faults is where tests kill the process around a commit. It does nothing
// here: what kills is compiled only with the build tag faults.
type faults struct{}

func newFaults(string) (*faults, error) { return &faults{}, nil }

func (*faults) before()      {}
func (*faults) middle()      {}
func (*faults) after()       {}
func (*faults) step()        {}
func (*faults) close() error { return nil }

func (*faults) migrating(context.Context, *sql.DB) (func(), error) { return func() {}, nil }
