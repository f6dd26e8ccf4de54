package appserver

import (
	"bytes"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

const (
	maxLine   = 4 << 10 // bytes of one line that are kept
	tailLines = 20      // last lines that are kept for errors
)

// output takes what the server prints on both streams, for as long as it runs:
// every line goes to the debug log, the last ones are kept for errors, and the
// line that tells the address is looked for. The token is blotted out.
type output struct {
	log   zerolog.Logger
	token string
	url   chan string // takes one

	mu   sync.Mutex
	tail []string
}

// stream is one of the two streams; lines are put together in it.
type stream struct {
	to   *output
	name string

	mu   sync.Mutex
	line bytes.Buffer
}

func newOutput(log zerolog.Logger, token string) *output {
	return &output{log: log, token: token, url: make(chan string, 1)}
}

func (o *output) stream(name string) *stream { return &stream{to: o, name: name} }

// Write never fails, so that the server is never blocked by its own output.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := p
	for {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - s.line.Len(); room > 0 {
			s.line.Write(line[:min(room, len(line))])
		}
		if !ended {
			return len(p), nil
		}
		s.flush()
		rest = after
	}
}

// end takes what stands behind the last line break.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
}

func (s *stream) flush() {
	text := strings.TrimRight(s.line.String(), " \t\r")
	s.line.Reset()
	if text == "" {
		return
	}
	if s.to.token != "" {
		text = strings.ReplaceAll(text, s.to.token, "[redacted]")
	}
	s.to.log.Debug().Str("stream", s.name).Msg(text)
	s.to.take(text)
}

func (o *output) take(line string) {
	if url, ok := listeningURL(line); ok {
		select {
		case o.url <- url:
		default: // the first one counts
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, line)
	if len(o.tail) > tailLines {
		o.tail = append(o.tail[:0], o.tail[len(o.tail)-tailLines:]...)
	}
}

// last returns the lines that were printed last.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.tail, "\n")
}

// listeningURL reads "Listening on ws://127.0.0.1:4500".
func listeningURL(line string) (string, bool) {
	_, after, ok := strings.Cut(line, "Listening on ")
	if !ok {
		return "", false
	}
	fields := strings.Fields(after)
	if len(fields) == 0 || !strings.HasPrefix(fields[0], "ws://") {
		return "", false
	}
	return strings.TrimRight(fields[0], ".,"), true
}

// quoteOutput puts what a command printed behind an error.
func quoteOutput(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return "; it printed:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}
