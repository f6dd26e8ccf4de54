package workflow

import (
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// source is the text of a team file, for messages that show where they mean.
type source struct {
	file  string
	lines []string
}

func newSource(file string, text []byte) *source {
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return &source{file: file, lines: lines}
}

// line returns a line of the file, counted from 1.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// problem makes a problem that shows width characters at pos.
func (s *source) problem(pos Position, width int, message, fix string) Problem {
	snippet := s.line(pos.Line)
	if room := utf8.RuneCountInString(snippet) - pos.Column + 1; width > room {
		width = room
	}
	return Problem{
		File: s.file, Line: pos.Line, Column: pos.Column, Message: message, Fix: fix,
		Snippet: snippet, Width: max(width, 1),
	}
}

func position(n *yaml.Node) Position { return Position{Line: n.Line, Column: n.Column} }

// width is how many characters of its first line a node takes up; 1 for
// whatever has no text of its own.
func (s *source) width(n *yaml.Node) int {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return 1
	}
	start, end := position(n), s.within(n, len(n.Value))
	if end.Line != start.Line {
		return utf8.RuneCountInString(strings.TrimRight(s.line(start.Line), " ")) - start.Column + 1
	}
	width := end.Column - start.Column
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		width++ // the closing quote
	}
	return max(width, 1)
}

// within finds the place in the file of a byte offset within the value of a
// scalar. Where it cannot be found, the place is that of the scalar itself.
func (s *source) within(n *yaml.Node, offset int) Position {
	if n.Kind != yaml.ScalarNode || offset < 0 || offset > len(n.Value) {
		return position(n)
	}
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return s.withinLiteral(n, offset)
	case n.Style&yaml.FoldedStyle != 0:
		return position(n)
	}
	w := walker{source: s, quote: 0, line: n.Line, column: n.Column - 1}
	w.text = []rune(s.line(n.Line))
	if n.Style&yaml.DoubleQuotedStyle != 0 {
		w.quote = '"'
	} else if n.Style&yaml.SingleQuotedStyle != 0 {
		w.quote = '\''
	}
	if w.quote != 0 {
		if w.peek(0) != w.quote {
			return position(n) // an anchor or a tag stands before the value
		}
		w.column++
	}
	for i, r := range n.Value {
		if i >= offset {
			break
		}
		if got, ok := w.next(); !ok || got != r {
			return position(n)
		}
	}
	return w.position()
}

// withinLiteral is within for block scalars that keep their line breaks.
func (s *source) withinLiteral(n *yaml.Node, offset int) Position {
	before := n.Value[:offset]
	number := n.Line + 1 + strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	text := n.Value[start:]
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	line := s.line(number)
	if !strings.HasSuffix(line, text) {
		return position(n)
	}
	indent := utf8.RuneCountInString(line) - utf8.RuneCountInString(text)
	return Position{Line: number, Column: indent + utf8.RuneCountInString(before[start:]) + 1}
}

// walker reads the value of a plain or quoted scalar out of the source, one
// character after the other, and knows where it is.
type walker struct {
	source       *source
	quote        rune // 0 for a plain scalar
	line, column int  // column counts from 0
	text         []rune
	breaks       int // line breaks still to be handed out
}

func (w *walker) position() Position { return Position{Line: w.line, Column: w.column + 1} }

func (w *walker) peek(ahead int) rune {
	if w.column+ahead >= len(w.text) {
		return 0
	}
	return w.text[w.column+ahead]
}

// next returns the next character of the value.
func (w *walker) next() (rune, bool) {
	if w.breaks > 0 {
		w.breaks--
		return '\n', true
	}
	if w.atLineEnd() {
		return w.fold()
	}
	r := w.peek(0)
	switch {
	case w.quote == '\'' && r == '\'':
		if w.peek(1) != '\'' {
			return 0, false
		}
		w.column += 2
		return '\'', true
	case w.quote == '"' && r == '"':
		return 0, false
	case w.quote == '"' && r == '\\':
		return w.escape()
	}
	w.column++
	return r, true
}

// atLineEnd reports whether only blanks follow on this line.
func (w *walker) atLineEnd() bool {
	for i := w.column; i < len(w.text); i++ {
		if w.text[i] != ' ' && w.text[i] != '\t' {
			return false
		}
	}
	return true
}

// fold goes to the next line that has text: one break reads as a space, more
// of them as one line break less.
func (w *walker) fold() (rune, bool) {
	empty := 0
	for w.line < len(w.source.lines) {
		w.line++
		w.text, w.column = []rune(w.source.line(w.line)), 0
		if w.atLineEnd() {
			empty++
			continue
		}
		for w.peek(0) == ' ' || w.peek(0) == '\t' {
			w.column++
		}
		if empty == 0 {
			return ' ', true
		}
		w.breaks = empty - 1
		return '\n', true
	}
	return 0, false
}

// escape reads one escape sequence of a double-quoted scalar.
func (w *walker) escape() (rune, bool) {
	simple := map[rune]rune{
		'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
		' ': ' ', '"': '"', '/': '/', '\\': '\\', 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
	}
	kind := w.peek(1)
	if r, ok := simple[kind]; ok {
		w.column += 2
		return r, true
	}
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[kind]
	if digits == 0 {
		return 0, false
	}
	var r rune
	for i := range digits {
		d := strings.IndexRune("0123456789abcdef", w.peek(2+i)|0x20)
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	w.column += 2 + digits
	return r, true
}
