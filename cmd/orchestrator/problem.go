package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// explain says what happened, where, and what to do next.
func explain(err error) string {
	if ps, ok := errors.AsType[workflow.Problems](err); ok {
		return ps.Error() + "\n" + plural(len(ps), "error")
	}
	what, todo := diagnose(err)
	text := "error: " + what
	if todo != "" {
		text += "\n  what to do: " + todo
	}
	return printable(text)
}

// diagnose knows the errors that people meet. Texts of this project's own
// typed errors are complete already and are printed as they are.
func diagnose(err error) (what, todo string) {
	for _, known := range []func(error) (string, string, bool){diagnoseDaemon, diagnoseStore, diagnoseServer, diagnoseFile} {
		if w, t, ok := known(err); ok {
			return w, t
		}
	}
	switch {
	case errors.Is(err, errInterrupted):
		return err.Error(), ""
	case errors.Is(err, context.Canceled):
		return "interrupted", ""
	}
	if se, ok := errors.AsType[*statusError](err); ok && se.status == exitUsage {
		return se.cause.Error(), ""
	}
	return err.Error(), ""
}

// diagnoseFile knows what goes wrong with files and directories that people name.
func diagnoseFile(err error) (what, todo string, ok bool) {
	pe, isPath := errors.AsType[*fs.PathError](err)
	worktree, isWorktree := errors.AsType[*orchestrator.WorktreeError](err)
	switch {
	case isWorktree:
		return worktree.Detail, worktree.Fix, true
	case errors.Is(err, orchestrator.ErrWorkspace) && isPath && errors.Is(err, fs.ErrNotExist):
		return "there is no directory " + pe.Path + " for the agents to work in", "make it, or name another one with --workspace", true
	case errors.Is(err, orchestrator.ErrWorkspace):
		return firstSentence(err), "name a directory with --workspace", true
	case errors.Is(err, syscall.EADDRINUSE):
		return "another process listens at " + address(err), "choose another address, or port 0 for a free one", true
	case !isPath:
		return "", "", false
	case errors.Is(err, fs.ErrNotExist) && pe.Op == "mkdir":
		return "the directory " + pe.Path + " cannot be made", "choose another one with --data-dir", true
	case errors.Is(err, fs.ErrNotExist):
		return "there is no file " + pe.Path, "check the path; it is relative to the current directory", true
	case errors.Is(err, syscall.EISDIR):
		return pe.Path + " is a directory, and a file is wanted", "name a file in it", true
	case errors.Is(err, syscall.ENOTDIR):
		return pe.Path + " is a file, or lies below one, and a directory is wanted", "name a directory", true
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("no permission for %s (%s)", pe.Path, pe.Op), "check who owns it, or choose another one", true
	case errors.Is(err, syscall.ENOSPC):
		return "no space is left for " + pe.Path, "free disk space, or choose another directory; what was committed is kept", true
	}
	return "", "", false
}

func diagnoseStore(err error) (what, todo string, ok bool) {
	if e, is := errors.AsType[*store.LockedError](err); is {
		holder := "another process"
		if e.PID != 0 {
			holder = fmt.Sprintf("%s (process %d)", e.Command, e.PID)
		}
		return fmt.Sprintf("the data directory %s is in use by %s", e.Dir, holder), "wait for it to end, or stop it: Ctrl-C in its terminal keeps its task. What a run asks is answered in its terminal. --data-dir chooses another directory", true
	}
	if e, is := errors.AsType[*store.AmbiguousError](err); is {
		return e.Error(), "", true
	}
	if e, is := errors.AsType[*store.SchemaError](err); is {
		return e.Error(), "", true
	}
	if e, is := errors.AsType[*store.StorageError](err); is {
		what, todo = diagnoseStorage(e)
		return what, todo, true
	}
	if e, is := errors.AsType[*schedule.UnknownError](err); is {
		return e.Error(), "", true
	}
	switch {
	case errors.Is(err, store.ErrNoStore):
		dir, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "open "), ": "+store.ErrNoStore.Error())
		return "there is no store in " + dir, "run a task first, or name another data directory with --data-dir", true
	case errors.Is(err, engine.ErrKeyTaken):
		taken, _ := errors.AsType[*engine.KeyError](err)
		return fmt.Sprintf("the key %q belongs to task %s (%s), which was submitted with another %s", taken.Key, taken.Task, taken.State, strings.Join(taken.Differs, " and another ")),
			"take another key for another task, or submit the same again; its story: orchestrator show " + taken.Task, true
	case errors.Is(err, transcript.ErrNone):
		return firstSentence(err), "a transcript begins when the turn is sent, and goes with its time (retention.transcripts); orchestrator show lists the turns", true
	case errors.Is(err, store.ErrNotFound):
		return err.Error(), "orchestrator list shows the tasks; --data-dir chooses another data directory", true
	}
	return "", "", false
}

// SQLite's primary result codes that say what a person can do.
const (
	sqliteReadOnly = 8
	sqliteFull     = 13
	sqliteCantOpen = 14
)

// restoreHint is what to do about a file that is damaged.
const restoreHint = "keep the directory as it is and put a backup in its place (orchestrator backup --help), or choose another one with --data-dir; orchestrator verify says more"

// diagnoseStorage tells a full disk from a directory that may not be written
// and from a disk that fails.
func diagnoseStorage(e *store.StorageError) (what, todo string) {
	kept := "; everything that was committed is kept"
	if errors.Is(e, store.ErrDamaged) {
		return fmt.Sprintf("the store in %s is damaged (%s: %s)", e.Dir, e.Op, firstSentence(e.Err)), restoreHint
	}
	if errors.Is(e.Err, syscall.ENOSPC) {
		return "the disk of " + e.Dir + " is full", "free disk space and go on" + kept
	}
	var coded interface {
		error
		Code() int
	}
	if errors.As(e.Err, &coded) {
		switch coded.Code() & 0xff {
		case sqliteFull:
			return "the disk of " + e.Dir + " is full", "free disk space and go on" + kept
		case sqliteReadOnly, sqliteCantOpen:
			return "no permission to write in " + e.Dir, "check who owns it and what is in it; reading needs that too while nobody else has it open"
		}
		return fmt.Sprintf("%s in %s: %s", e.Op, e.Dir, coded.Error()), "check the disk of " + e.Dir + ", and whether it is full" + kept
	}
	return fmt.Sprintf("%s in %s: %s", e.Op, e.Dir, firstSentence(e.Err)), "check the disk of " + e.Dir + kept
}

func diagnoseServer(err error) (what, todo string, ok bool) {
	var command *appclient.CommandError
	switch {
	case errors.Is(err, orchestrator.ErrNotInstalled):
		return "the Letta App Server is not installed, or not where --letta says",
			"npm install -g @letta-ai/letta-code, or name an App Server that runs already: --app-server ws://HOST:PORT", true
	case errors.Is(err, orchestrator.ErrNotStarted) && !errors.Is(err, context.Canceled):
		return oneLine(err.Error(), 500), "start it by hand to see more (letta server --backend local --listen ws://127.0.0.1:0); --letta names another program", true
	case errors.Is(err, appclient.ErrUnauthorized):
		return unauthorized(err)
	case errors.Is(err, appclient.ErrForbidden):
		return connectText(err), "check the URL, and any proxy between here and the App Server", true
	case errors.Is(err, appclient.ErrServerBusy):
		return connectText(err), "close the other client, or use an App Server from version 0.29.7 on, which takes many", true
	case errors.Is(err, appclient.ErrSplitNotSupported):
		return connectText(err), "leave --transport out", true
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + address(err),
			"start an App Server (letta server --backend local --listen ws://127.0.0.1:4500), or let the orchestrator start it: orchestrator run --app-server managed", true
	case errors.As(err, new(*net.DNSError)):
		var dns *net.DNSError
		errors.As(err, &dns)
		return fmt.Sprintf("there is no host %q", dns.Name), "check the URL of the App Server", true
	case errors.Is(err, appclient.ErrRequestTimeout):
		return connectText(err), "look into the log of the App Server, or restart it", true
	case errors.Is(err, appclient.ErrConnectionLost):
		return connectText(err), "check that the App Server still runs: orchestrator appserver info --url URL", true
	case errors.As(err, &command):
		return fmt.Sprintf("the App Server refused %s: %s", command.Command, command.Message), "", true
	case errors.As(err, new(*appclient.RuntimeStartError)):
		var start *appclient.RuntimeStartError
		errors.As(err, &start)
		return "the App Server refused to start the conversation: " + start.Message, "check the ids of agent and conversation, and the model", true
	case errors.As(err, new(*appclient.ValidationError)):
		var invalid *appclient.ValidationError
		errors.As(err, &invalid)
		return invalid.Error(), "", true
	case errors.As(err, new(*orchestrator.ConnectError)):
		return connectText(err), "check the address: it is that of an App Server, as ws://HOST:PORT", true
	}
	return "", "", false
}

// unauthorized tells a missing token from a wrong one.
func unauthorized(err error) (what, todo string, ok bool) {
	flag := "--app-server-token-file"
	if _, direct := errors.AsType[*directError](err); direct {
		flag = "--token-file"
	}
	if strings.Contains(err.Error(), "missing") {
		return "the App Server" + at(err) + " wants a token, and none was given", "name the file that holds it: " + flag + " FILE", true
	}
	return "the App Server" + at(err) + " refused the token", "check that the file given with " + flag + " holds the token of this App Server", true
}

// at says where a connection was tried, where that is known.
func at(err error) string {
	if e, ok := errors.AsType[*orchestrator.ConnectError](err); ok {
		return " at " + e.Address
	}
	return ""
}

// connectText is the address and the cause, without the steps between them.
func connectText(err error) string {
	e, ok := errors.AsType[*orchestrator.ConnectError](err)
	if !ok {
		return firstSentence(err)
	}
	text := firstSentence(e.Err)
	for _, step := range []string{"connect to the App Server: ", "open ws"} {
		if rest, found := strings.CutPrefix(text, step); found {
			text = rest
			if step == "open ws" { // what follows is the address once more
				_, text, _ = strings.Cut(text, ": ")
			}
		}
	}
	return "cannot connect to " + e.Address + ": " + text
}

// address finds where a connection was tried.
func address(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		return op.Addr.String()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.URL
	}
	return "the address of the App Server"
}

// firstSentence keeps the first line of an error's text.
func firstSentence(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
