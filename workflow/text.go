package workflow

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// excerpt puts s on one line of at most n characters.
func excerpt(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// cut keeps at most n bytes of s, at a character boundary, and says so.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s\n… (%d more bytes)", s[:n], len(s)-n)
}
