package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
)

// setUpLog makes the logger that the flags of the root ask for: people's part
// on the standard error, and everything, unknown frames included, in the debug log.
func (a *app) setUpLog() error {
	level, err := zerolog.ParseLevel(a.logLevel)
	if err != nil || a.logLevel == "" {
		return usage(fmt.Errorf("--log-level %q is none of trace, debug, info, warn, error, disabled", a.logLevel))
	}
	secrets := orchestrator.Secrets(nil, nil)
	a.logStream.to(a.stderr)
	var people io.Writer
	switch a.logFormat {
	case "json":
		people = &a.logStream
	case "console":
		people = zerolog.ConsoleWriter{Out: &a.logStream, NoColor: !paletteFor(a.stderr).on, TimeFormat: "15:04:05"}
	default:
		return usage(fmt.Errorf("--log-format %q is none of console, json", a.logFormat))
	}
	var writer zerolog.LevelWriter = &zerolog.FilteredLevelWriter{Writer: zerolog.LevelWriterAdapter{Writer: secrets.Writer(people)}, Level: level}
	least := level
	if a.debugLog != "" {
		f, err := os.OpenFile(a.debugLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return usage(fmt.Errorf("open the debug log: %w", err))
		}
		a.closers = append(a.closers, f.Close)
		writer = zerolog.MultiLevelWriter(writer, secrets.Writer(f))
		least = zerolog.TraceLevel
	}
	a.log = zerolog.New(writer).Level(least).With().Timestamp().Logger()
	return nil
}

// redirect is a stream whose target can be changed: while a live view has the
// terminal, lines of the log go through it, else they would destroy it.
type redirect struct {
	mu     sync.Mutex
	target io.Writer
}

// Write implements io.Writer.
func (r *redirect) Write(p []byte) (int, error) {
	r.mu.Lock()
	target := r.target
	r.mu.Unlock()
	return target.Write(p)
}

// to changes the target.
func (r *redirect) to(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = w
}

// lineWriter hands over what is written, line by line.
type lineWriter func(lines ...string)

// Write implements io.Writer.
func (w lineWriter) Write(p []byte) (int, error) {
	w(strings.Split(strings.TrimRight(string(p), "\n"), "\n")...)
	return len(p), nil
}
