package check

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// allEnded reports whether every member of a process group has ended, also
// where nobody has asked for its exit status: the first process of a container
// often never does, and such a member is still in the group.
func allEnded(group int) bool {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has gone
		}
		// pid (name) state ppid pgrp …; the name may hold anything.
		fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(fields) < 3 || string(fields[2]) != strconv.Itoa(group) {
			continue
		}
		if state := fields[0][0]; state != 'Z' && state != 'X' {
			return false
		}
	}
	return true
}
