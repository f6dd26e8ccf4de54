package appclient

import (
	"strconv"
	"strings"
)

// atLeast says whether a version such as "0.30.28" is at least the given one.
// A version that cannot be read is not.
func atLeast(version string, want ...int) bool {
	core, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(core, ".")
	for i, w := range want {
		if i >= len(parts) {
			return false
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < w {
			return false
		}
		if n > w {
			return true
		}
	}
	return true
}
