package redact

import "io"

// Stream redacts a text that comes in pieces. It is not safe for concurrent use.
type Stream struct {
	r    *Redactor
	held string
}

// Stream begins a text. It may be called on nil.
func (r *Redactor) Stream() *Stream { return &Stream{r: r} }

// Next returns what can be passed on after a piece: without secrets, and without
// an end that may be the beginning of one.
func (s *Stream) Next(piece string) string {
	if s.r == nil {
		return piece
	}
	var done string
	done, s.held = s.r.known.Load().redact(s.held+piece, true)
	return done
}

// NextBytes is Next. Where there are no secrets to be found it returns piece itself.
func (s *Stream) NextBytes(piece []byte) []byte {
	if s.r == nil {
		return piece
	}
	return []byte(s.Next(string(piece)))
}

// End returns the rest.
func (s *Stream) End() string {
	held := s.held
	s.held = ""
	return s.r.String(held)
}

// Writer passes on what is written to it without secrets. Every Write must be
// whole, as a line of a log is. w's error is returned as it is.
func (r *Redactor) Writer(w io.Writer) io.Writer {
	if r == nil {
		return w
	}
	return &writer{r, w}
}

type writer struct {
	r *Redactor
	w io.Writer
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, w.r.String(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
