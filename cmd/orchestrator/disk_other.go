//go:build !linux && !darwin && !freebsd

package main

// freeDisk is not known here.
func freeDisk(string) (free uint64, known bool, err error) { return 0, false, nil }
