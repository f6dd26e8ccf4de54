package workflow

import (
	"fmt"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong with a team file, or with the input of a
// task.
type Problem struct {
	// File is the name the source was read under; empty for a problem that is in no file.
	File string `json:"file,omitempty"`
	// Line and Column count from 1; 0 means unknown. Columns count characters.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Fix says how to mend it; it may be empty.
	Fix string `json:"fix,omitempty"`
	// Snippet is the source line in question; empty when there is none to show.
	Snippet string `json:"snippet,omitempty"`
	// Width is how many characters of Snippet, from Column, are meant.
	Width int `json:"width,omitempty"`
}

// String renders the problem as people see it: the place and the message on
// the first line, then the source line with a caret under what is meant, then
// how to mend it. It has no final newline.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", p.Line, max(p.Column, 1))
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(p.Message)
	if p.Snippet == "" {
		if p.Fix != "" {
			b.WriteString("\n      " + strings.ReplaceAll(p.Fix, "\n", "\n      "))
		}
		return b.String()
	}
	snippet, column, width := p.window()
	fmt.Fprintf(&b, "\n%5d | %s\n      | %s%s", p.Line, snippet, strings.Repeat(" ", column), strings.Repeat("^", width))
	if p.Fix != "" {
		if first, rest, many := strings.Cut(p.Fix, "\n"); many {
			b.WriteString(" " + first + "\n      " + strings.ReplaceAll(rest, "\n", "\n      "))
		} else {
			b.WriteString(" " + p.Fix)
		}
	}
	return b.String()
}

// maxSnippet bounds how much of a source line is shown, in characters.
const maxSnippet = 140

// window returns the part of the snippet that is shown, the offset of what is
// meant in it and its width, in characters.
func (p Problem) window() (text string, offset, width int) {
	line := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' ' // a tab or a control character would move the caret
	}, p.Snippet))
	offset, width = max(p.Column-1, 0), max(p.Width, 1)
	if len(line) <= maxSnippet {
		return string(line), offset, width
	}
	first := max(0, min(offset-maxSnippet/2, len(line)-maxSnippet))
	line = line[first : first+maxSnippet]
	offset = min(offset-first, maxSnippet)
	width = max(1, min(width, maxSnippet-offset))
	if first > 0 {
		line[0] = '…'
	}
	return string(line), offset, width
}

// Problems is the error that Parse and BindInput return: everything that is
// wrong, not only the first thing. Use errors.As to get at the single ones.
//
//nolint:errname // it is a list of Problem, which is a value and no error by itself
type Problems []Problem

// Error renders all problems, one after the other.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
