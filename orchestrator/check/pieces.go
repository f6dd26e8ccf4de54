package check

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

const (
	// showEvery is the shortest time between two pieces that are shown.
	showEvery = 200 * time.Millisecond
	// maxPiece bounds a piece that is shown, in bytes.
	maxPiece = 400
)

// pieces shows the newest line of an output, not too often.
type pieces struct {
	show func(engine.Progress) // nil shows nothing
	line []byte                // the newest line, perhaps not ended yet
	// ended says that line has ended, so that what comes begins a new one.
	ended bool
	// fresh says that line has not been shown as it is.
	fresh bool
	last  time.Time
}

func newPieces(show func(engine.Progress)) *pieces { return &pieces{show: show} }

func (p *pieces) add(data []byte) {
	if p.show == nil {
		return
	}
	for len(data) > 0 {
		// A carriage return begins a line as well: progress bars are drawn with it.
		i := bytes.IndexAny(data, "\r\n")
		part := data
		if i >= 0 {
			part = data[:i]
		}
		if len(part) > 0 {
			if p.ended {
				p.line, p.ended = p.line[:0], false
			}
			p.line = append(p.line, part[:min(len(part), maxPiece-min(maxPiece, len(p.line)))]...)
			p.fresh = true
		}
		if i < 0 {
			return
		}
		p.ended = true
		data = data[i+1:]
	}
}

// due shows the newest line if it is time to; flush says that it is.
func (p *pieces) due(now time.Time, flush bool) {
	if !p.fresh || !flush && now.Sub(p.last) < showEvery {
		return
	}
	p.fresh, p.last = false, now
	if text := strings.TrimRight(cutHead(clean(p.line), maxPiece), " \t"); text != "" {
		p.show(engine.Progress{Kind: engine.ProgressOutput, Text: text})
	}
}

// readLines reads an output to its end, or until pipe is closed. Secrets are taken
// out of it before anything is done with it.
func readLines(pipe *os.File, secrets *redact.Stream, o *output, p *pieces, all func([]byte)) {
	take := func(data []byte) {
		o.write(data)
		p.add(data)
		if all != nil && len(data) > 0 {
			all(data)
		}
	}
	buffer := make([]byte, 64<<10)
	for {
		var wake time.Time
		if p.fresh {
			wake = p.last.Add(showEvery)
		}
		// A pipe that has no deadlines shows its last line late, and that is all.
		_ = pipe.SetReadDeadline(wake)
		n, err := pipe.Read(buffer)
		take(secrets.NextBytes(buffer[:n]))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			take([]byte(secrets.End()))
			p.due(time.Now(), true)
			return // io.EOF, or closed by us; a pipe has no other errors
		}
		p.due(time.Now(), false)
	}
}
