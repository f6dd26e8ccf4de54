package check

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// clean makes bytes text that can be stored and shown: valid UTF-8 without NUL.
// A run of what cannot be shown becomes one replacement character.
func clean(p []byte) string {
	text := strings.ReplaceAll(string(p), "\x00", "\xff")
	return strings.ToValidUTF8(text, string(utf8.RuneError))
}

// excerpt puts a beginning, a note and an end together so that all is at most
// limit bytes. The end gets more room, since commands say there how it went.
// It is cut between lines where lines are not too long.
func excerpt(head, tail, note string, limit int) string {
	note = "\n[… " + note + " …]\n"
	room := limit - len(note)
	if room <= 0 {
		return cutHead(note, limit)
	}
	first := cutHead(head, room/4)
	if i := strings.LastIndexByte(first, '\n'); i >= len(first)/2 {
		first = first[:i]
	}
	last := cutTail(tail, room-room/4)
	if i := strings.IndexByte(last, '\n'); i >= 0 && i < len(last)/2 {
		last = last[i+1:]
	}
	return first + note + last
}

// cutHead keeps at most n bytes from the beginning, in whole characters.
func cutHead(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cutTail keeps at most n bytes from the end, in whole characters.
func cutTail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	i := len(s) - n
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
