package appserver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// Version is the version of an App Server.
type Version struct{ Major, Minor, Patch int }

// String renders major.minor.patch.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

func (v Version) atLeast(w Version) bool {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)) >= 0
}

// listenArgs are the arguments that make this version listen. Until 0.28.11 the
// command was app-server, and the backend a setting that is made beforehand.
func (v Version) listenArgs(backend, tokenFile string) []string {
	args := []string{"app-server"}
	if v.atLeast(Version{0, 28, 12}) {
		args = []string{"server", "--backend", backend}
	}
	args = append(args, "--listen", "ws://127.0.0.1:0")
	if v.takesToken() {
		args = append(args, "--ws-auth", "capability-token", "--ws-token-file", tokenFile)
	}
	return args
}

// needsBackendSetting says whether the backend is chosen by a command of its own.
func (v Version) needsBackendSetting() bool { return !v.atLeast(Version{0, 28, 12}) }

// takesToken says whether the server can demand a token.
func (v Version) takesToken() bool { return v.atLeast(Version{0, 27, 13}) }

// supported says whether the version has an App Server at all.
func (v Version) supported() bool { return v.atLeast(Version{0, 27, 9}) }

func parseVersion(text string) (Version, error) {
	m := regexp.MustCompile(`(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q names no version", text)
	}
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(m[i+1]); err != nil {
			return Version{}, fmt.Errorf("read version %q: %w", m[0], err)
		}
	}
	return Version{n[0], n[1], n[2]}, nil
}

// commandTimeout bounds a command that is not the server itself, such as --version.
const commandTimeout = 30 * time.Second

// command runs letta with arguments to its end and returns what it printed on stdout.
func command(ctx context.Context, file, dir string, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("no end after %v", commandTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = env, dir, time.Second
	ownGroup(cmd)
	cmd.Cancel = func() error { return kill(cmd) }
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("run %s %v: %w%s", file, args, err, quoteOutput(stderr.String()))
	}
	return stdout.String(), nil
}
