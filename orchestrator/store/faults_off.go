//go:build !faults

package store

// faults is where tests kill the process around a commit. It does nothing
// here: what kills is compiled only with the build tag faults.
type faults struct{}

func newFaults(string) (*faults, error) { return &faults{}, nil }

func (*faults) before()      {}
func (*faults) middle()      {}
func (*faults) after()       {}
func (*faults) close() error { return nil }
