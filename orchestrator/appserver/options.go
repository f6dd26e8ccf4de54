package appserver

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// ErrNotInstalled says that there is no App Server to start.
var ErrNotInstalled = errors.New("the Letta App Server is not installed")

// Options say which App Server to run, and how. The zero value runs the
// installed one with the user's own home directory.
type Options struct {
	// Name is the server's name in records; "managed" when empty. It should be
	// the same whenever the same Home is used, since conversations live there.
	Name string
	// Command is the letta executable, a path or a name in PATH; "letta" when empty.
	Command string
	// Home replaces HOME for the server, so that it has its own agents and
	// settings; the user's when empty. It is made when it does not exist.
	Home string
	// Dir is a directory of the server's own: its token, and the empty directory
	// that it runs in. Where it is given, a server that a killed orchestrator left
	// running there is ended before another one starts; nobody else may use it.
	// A temporary directory when empty. It is removed at the end.
	Dir string
	// Backend is where agents are stored; "local" when empty.
	Backend string
	// ProviderTimeout bounds a model request that stays silent; 120 s when zero.
	// The server alone would wait 300 s, and an aborted turn waits as long.
	ProviderTimeout time.Duration
	// Env is added to the environment of this process and wins over everything
	// that is set here. Entries are KEY=value.
	Env []string
	Log zerolog.Logger
	// StartTimeout bounds one start until the server is ready; 60 s when zero.
	StartTimeout time.Duration
	// StopGrace is how long the server may take to exit before it is killed; 5 s when zero.
	StopGrace time.Duration
	// HangTimeout is how long a server that runs may not answer before it is
	// killed and started again; 60 s when zero.
	HangTimeout time.Duration
	// RestartDelay is the pause before the first restart, 500 ms when zero; it
	// doubles up to MaxRestartDelay, 30 s when zero, and starts anew after a minute up.
	RestartDelay    time.Duration
	MaxRestartDelay time.Duration
}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "managed")
	o.Command = cmp.Or(o.Command, "letta")
	o.Backend = cmp.Or(o.Backend, "local")
	o.ProviderTimeout = cmp.Or(o.ProviderTimeout, 120*time.Second)
	o.StartTimeout = cmp.Or(o.StartTimeout, time.Minute)
	o.StopGrace = cmp.Or(o.StopGrace, 5*time.Second)
	o.HangTimeout = cmp.Or(o.HangTimeout, time.Minute)
	o.RestartDelay = cmp.Or(o.RestartDelay, 500*time.Millisecond)
	o.MaxRestartDelay = cmp.Or(o.MaxRestartDelay, 30*time.Second)
	return o
}

// find returns the absolute path of the command.
func (o Options) find() (string, error) {
	file, err := exec.LookPath(o.Command)
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w; install it with `npm install -g @letta-ai/letta-code`, or name an App Server that runs already", ErrNotInstalled, err)
	}
	return file, nil
}

// environment is what the server is started with. What the user has set stays,
// except for HOME, which is an option of its own.
func (o Options) environment(own []string) []string {
	set := make(map[string]bool)
	for _, entry := range slices.Concat(own, o.Env) {
		name, _, _ := strings.Cut(entry, "=")
		set[name] = true
	}
	env := slices.Clone(own)
	for _, d := range [][2]string{
		{"DISABLE_AUTOUPDATER", "1"},
		{"LETTA_CODE_TELEM", "0"},
		{"LETTA_CODE_LOCAL_PROVIDER_TIMEOUT_MS", strconv.FormatInt(o.ProviderTimeout.Milliseconds(), 10)},
	} {
		if !set[d[0]] {
			env = append(env, d[0]+"="+d[1])
		}
	}
	if o.Home != "" {
		env = append(env, "HOME="+o.Home)
	}
	return append(env, o.Env...) // of equal names the last one counts
}

// makeHome makes the server's home directory and returns it as an absolute path.
func makeHome(home string) (string, error) {
	if home == "" {
		return "", nil
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return "", fmt.Errorf("find the App Server's home: %w", err)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", fmt.Errorf("make the App Server's home: %w", err)
	}
	return home, nil
}
