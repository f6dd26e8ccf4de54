package main

import (
	"image/color"
	"io"
	"os"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// palette colours what is printed. The zero palette leaves text as it is.
type palette struct{ on bool }

func (p palette) good(s string) string { return p.paint(s, lipgloss.Green) }
func (p palette) bad(s string) string  { return p.paint(s, lipgloss.Red) }
func (p palette) name(s string) string { return p.paint(s, lipgloss.Cyan) }

func (p palette) dim(s string) string {
	if !p.on {
		return s
	}
	return lipgloss.NewStyle().Faint(true).Render(s)
}

func (p palette) bold(s string) string {
	if !p.on {
		return s
	}
	return lipgloss.NewStyle().Bold(true).Render(s)
}

// isTerminal reports whether w is a terminal that can be redrawn.
func isTerminal(w io.Writer) bool {
	f := fileOf(w)
	return f != nil && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// paletteFor colours terminals only, and obeys NO_COLOR.
func paletteFor(w io.Writer) palette {
	return palette{on: isTerminal(w) && os.Getenv("NO_COLOR") == ""}
}

func (p palette) paint(s string, c color.Color) string {
	if !p.on {
		return s
	}
	return lipgloss.NewStyle().Foreground(c).Render(s)
}
