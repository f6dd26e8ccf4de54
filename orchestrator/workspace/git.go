package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// endGit is how long git has to remove its lock files when ctx has ended.
const endGit = 5 * time.Second

// git runs git in one directory.
type git struct {
	program, dir string
	// env are variables beside those of the process.
	env []string
}

// gitError is a git command that failed.
type gitError struct {
	command string // e.g. "worktree add"
	code    int
	stderr  string
}

func (e *gitError) Error() string {
	if e.stderr == "" {
		return fmt.Sprintf("git %s failed with exit status %d", e.command, e.code)
	}
	return fmt.Sprintf("git %s failed: %s", e.command, strings.ReplaceAll(e.stderr, "\n", "; "))
}

// run returns what git prints, without the last line break. Errors: *gitError, the cause of the end of ctx.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	return g.feed(ctx, nil, args...)
}

// at is git in another directory.
func (g git) at(dir string) git { return git{program: g.program, dir: dir, env: g.env} }

// with is git with more variables.
func (g git) with(env ...string) git {
	return git{program: g.program, dir: g.dir, env: slices.Concat(g.env, env)}
}

// feed is run with something to read.
func (g git) feed(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	// Hooks are for the people who wrote them; a file system monitor would be a process that stays.
	settings := []string{"-C", g.dir, "-c", "core.hooksPath=" + os.DevNull, "-c", "core.fsmonitor=false"}
	cmd := exec.CommandContext(ctx, g.program, slices.Concat(settings, args)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = stdin, &stdout, &stderr, append(environment(os.Environ()), g.env...)
	// A git that is killed leaves its locks behind, which then stop every other one.
	ownGroup(cmd)
	cmd.Cancel = func() error { return terminate(cmd) }
	cmd.WaitDelay = endGit
	err := cmd.Run()
	text := strings.TrimSuffix(stdout.String(), "\n")
	name := strings.Join(args[:min(2, len(args))], " ")
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return text, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("git %s: %w", name, context.Cause(ctx))
	case exited:
		return text, &gitError{command: name, code: exit.ExitCode(), stderr: strings.TrimSpace(stderr.String())}
	}
	return "", fmt.Errorf("run git %s: %w", name, err)
}

// environment makes git speak English, ask for nothing, and forget about the
// repository of a git that perhaps has started us.
func environment(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(repositoryVariables(), name)
	})
	return append(env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
}

// repositoryVariables is what `git rev-parse --local-env-vars` prints.
func repositoryVariables() []string {
	return []string{
		"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_OBJECT_DIRECTORY",
		"GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS",
		"GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE",
	}
}

// busyMessage is what git says when another git works on the repository: a
// lock is taken, or the entry of a worktree is only half written.
var busyMessage = regexp.MustCompile(`\.lock': File exists|could not lock|cannot lock ref|failed to read .*worktrees`)

func isBusy(err error) bool {
	failed, ok := errors.AsType[*gitError](err)
	return ok && busyMessage.MatchString(failed.stderr)
}

// fullMessage is what git says when there is no room.
var fullMessage = regexp.MustCompile(`No space left on device|Disk quota exceeded|[Oo]ut of memory|Cannot allocate memory|Too many open files`)

func isFull(err error) bool {
	failed, ok := errors.AsType[*gitError](err)
	return ok && fullMessage.MatchString(failed.stderr)
}

// IsTransient reports whether the same operation may work later: another git
// holds a lock, or there is no room on the disk.
func IsTransient(err error) bool {
	return isBusy(err) || isFull(err) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
