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
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
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
	return text
}

// diagnose knows the errors that people meet. Texts of this project's own
// typed errors are complete already and are printed as they are.
func diagnose(err error) (what, todo string) {
	if w, t, ok := diagnoseStore(err); ok {
		return w, t
	}
	if w, t, ok := diagnoseServer(err); ok {
		return w, t
	}
	switch {
	case errors.Is(err, orchestrator.ErrWorkspace):
		return firstSentence(err), "make the directory, or name another one with --workspace"
	case errors.Is(err, fs.ErrNotExist):
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Sprintf("there is no file %s", pe.Path), "check the path; it is relative to the current directory"
		}
	case errors.Is(err, fs.ErrPermission):
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Sprintf("no permission to %s %s", pe.Op, pe.Path), "check who owns it"
		}
	case errors.Is(err, context.Canceled), errors.Is(err, errInterrupted):
		return "interrupted", ""
	}
	if se, ok := errors.AsType[*statusError](err); ok && se.status == exitUsage {
		return se.cause.Error(), ""
	}
	return err.Error(), ""
}

func diagnoseStore(err error) (what, todo string, ok bool) {
	if e, is := errors.AsType[*store.LockedError](err); is {
		return e.Error(), "wait for it to end, stop it, or use another directory with --data-dir", true
	}
	if e, is := errors.AsType[*store.AmbiguousError](err); is {
		return e.Error(), "", true
	}
	if e, is := errors.AsType[*store.SchemaError](err); is {
		return e.Error(), "", true
	}
	if e, is := errors.AsType[*store.StorageError](err); is {
		return e.Error(), "check the disk of " + e.Dir + "; everything that was committed is kept", true
	}
	switch {
	case errors.Is(err, store.ErrNoStore):
		return err.Error(), "", true
	case errors.Is(err, store.ErrNotFound):
		return err.Error(), "orchestrator list shows the tasks; --data-dir chooses another data directory", true
	}
	return "", "", false
}

func diagnoseServer(err error) (what, todo string, ok bool) {
	var command *appclient.CommandError
	switch {
	case errors.Is(err, orchestrator.ErrNotInstalled):
		return "the Letta App Server is not installed, or not where --letta says",
			"npm install -g @letta-ai/letta-code, or name an App Server that runs already: --app-server ws://HOST:PORT", true
	case errors.Is(err, appclient.ErrUnauthorized):
		return firstSentence(err), "give the file that holds the token of the App Server: --token-file (run: --app-server-token-file)", true
	case errors.Is(err, appclient.ErrForbidden):
		return firstSentence(err), "check the URL, and any proxy between here and the App Server", true
	case errors.Is(err, appclient.ErrServerBusy):
		return firstSentence(err), "close the other client, or use an App Server from version 0.29.7 on, which takes many", true
	case errors.Is(err, appclient.ErrSplitNotSupported):
		return firstSentence(err), "leave --transport out", true
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + address(err),
			"start an App Server (letta server --backend local --listen ws://127.0.0.1:4500), or let the orchestrator start it: orchestrator run --app-server managed", true
	case errors.As(err, new(*net.DNSError)):
		var dns *net.DNSError
		errors.As(err, &dns)
		return fmt.Sprintf("there is no host %q", dns.Name), "check the URL of the App Server", true
	case errors.Is(err, appclient.ErrRequestTimeout):
		return firstSentence(err), "look into the log of the App Server, or restart it", true
	case errors.Is(err, appclient.ErrConnectionLost):
		return firstSentence(err), "check that the App Server still runs: orchestrator appserver info --url URL", true
	case errors.As(err, &command):
		return fmt.Sprintf("the App Server refused %s: %s", command.Command, command.Message), "", true
	case errors.As(err, new(*appclient.ValidationError)):
		return firstSentence(err), "", true
	}
	return "", "", false
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

// firstSentence keeps the first line of an error's text, without the repeated
// prefixes that wrapping puts in front.
func firstSentence(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
