package main

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escapeSequence matches what terminals take for commands: CSI, OSC, and the short ones.
var escapeSequence = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]`)

// printable makes text safe to show: agents and servers say what they like,
// and must not move the cursor or colour the terminal. Lines and tabs are kept.
func printable(text string) string {
	if !strings.ContainsFunc(text, hidden) {
		return strings.ToValidUTF8(text, "�")
	}
	text = escapeSequence.ReplaceAllLiteralString(text, "")
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if hidden(r) {
			return -1
		}
		return r
	}, text), "�")
}

// hidden says that a character commands a terminal instead of being shown, or
// changes the direction of what stands around it.
func hidden(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}

// oneLine puts text on one line of at most width characters.
func oneLine(text string, width int) string {
	return cut(strings.Join(strings.Fields(printable(text)), " "), width)
}

// cut keeps at most width characters, the last of which then says that there were more.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(width-1, 0)]) + "…"
}

// maxExcerptLine bounds a line of an excerpt, in characters.
const maxExcerptLine = 500

// excerpt keeps the first lines of a text and cuts those that are very long;
// left says how many lines were left out. With 0 lines it keeps everything.
func excerpt(text string, lines int) (kept []string, left int) {
	all := strings.Split(strings.TrimRight(printable(text), "\n"), "\n")
	if lines <= 0 {
		return all, 0
	}
	kept = all[:min(lines, len(all))]
	for i, line := range kept {
		if n := utf8.RuneCountInString(line); n > maxExcerptLine {
			kept[i] = cut(line, maxExcerptLine) + " (" + formatCount(int64(n-maxExcerptLine+1)) + " more characters)"
		}
	}
	return kept, len(all) - len(kept)
}

// pad fills s with spaces up to width characters.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

// padLeft fills s with leading spaces up to width characters.
func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0)) + s
}
