package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// defaultDaemonLevel is what a daemon logs: people read it afterwards.
const defaultDaemonLevel = "info"

// daemonLog is a log whose level, form and file a reload changes, and whose file
// is opened anew then, as log rotation needs it.
type daemonLog struct {
	app   *app
	flags *pflag.FlagSet

	// secrets are taken out of every line.
	secrets *redact.Redactor

	mu    sync.Mutex
	level zerolog.Level
	out   io.Writer
	file  *os.File // nil where the log goes to the standard error
}

// logger logs as the latest apply says.
func (l *daemonLog) logger() zerolog.Logger {
	return zerolog.New(l).With().Timestamp().Logger()
}

// Write implements io.Writer; it is not used for levels.
func (l *daemonLog) Write(p []byte) (int, error) { return l.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel implements zerolog.LevelWriter.
func (l *daemonLog) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level < l.level || l.out == nil {
		return len(p), nil
	}
	return l.secrets.Writer(l.out).Write(p)
}

// apply makes the log what the flags of the root, else the configuration say.
// Where that cannot be, it stays what it was.
func (l *daemonLog) apply(c config.Logging) error {
	name, form := cmp.Or(c.Level, defaultDaemonLevel), c.Format
	if l.flags.Changed("log-level") {
		name = l.app.logLevel
	}
	if l.flags.Changed("log-format") {
		form = l.app.logFormat
	}
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		return fmt.Errorf("the level of the log: %w", err)
	}
	var file *os.File
	var out io.Writer = &l.app.logStream
	colour := paletteFor(l.app.stderr).on
	if c.File != "" {
		if file, err = os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("open the log: %w", err)
		}
		out, colour, form = file, false, cmp.Or(form, "json")
	}
	if form != "json" {
		out = zerolog.ConsoleWriter{Out: out, NoColor: !colour, TimeFormat: "2006-01-02 15:04:05"}
	}
	l.mu.Lock()
	old := l.file
	l.level, l.out, l.file = level, out, file
	l.mu.Unlock()
	if old != nil {
		if err := old.Close(); err != nil {
			return fmt.Errorf("close the old log: %w", err)
		}
	}
	return nil
}

// close gives the file back.
func (l *daemonLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	file := l.file
	l.out, l.file = nil, nil
	if file == nil {
		return nil
	}
	if err := file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close the log: %w", err)
	}
	return nil
}
