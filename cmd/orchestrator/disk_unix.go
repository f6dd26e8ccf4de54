//go:build linux || darwin || freebsd

package main

import (
	"fmt"
	"syscall"
)

// freeDisk is how many bytes this user may still write where a directory is.
func freeDisk(dir string) (free uint64, known bool, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true, nil //nolint:gosec,unconvert // the types differ between systems; neither is negative
}
