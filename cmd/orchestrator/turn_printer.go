package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// turnPrinter streams the answer to the standard output and everything else to
// the standard error.
type turnPrinter struct {
	app   *app
	quiet bool

	run     string // whose text was printed last
	midLine bool
}

func (p *turnPrinter) event(e appclient.Event) {
	if e.Delta == nil || e.Frame.SubagentID != "" {
		return
	}
	switch d := e.Delta; d.MessageType {
	case appclient.DeltaAssistant:
		if p.run != "" && p.run != d.RunID {
			p.endLine() // a new model request begins its text anew
		}
		p.run = d.RunID
		p.text(d.Text)
	case appclient.DeltaToolStart:
		p.remark("tool: " + oneLine(d.ToolName+" "+d.ToolArgs, 160))
	case appclient.DeltaToolEnd:
		if d.Status != "success" {
			p.remark("tool: " + d.Status)
		}
	case appclient.DeltaRetry, appclient.DeltaLoopError, appclient.DeltaStatus:
		p.remark(d.MessageType + ": " + oneLine(d.Text, 200))
	}
}

func (p *turnPrinter) text(text string) {
	if text == "" {
		return
	}
	if isTerminal(p.app.stdout) {
		text = printable(text)
	}
	fmt.Fprint(p.app.stdout, text)
	p.midLine = !strings.HasSuffix(text, "\n")
}

func (p *turnPrinter) endLine() {
	if p.midLine {
		fmt.Fprintln(p.app.stdout)
		p.midLine = false
	}
}

func (p *turnPrinter) remark(text string) {
	if p.quiet {
		return
	}
	p.endLine()
	fmt.Fprintln(p.app.stderr, text)
}

// finish prints how the turn ended. result may be nil.
func (p *turnPrinter) finish(result *appclient.TurnResult) {
	p.endLine()
	if result == nil {
		return
	}
	stop := string(result.StopReason)
	if stop == "" {
		stop = "unknown: the end was not seen"
	}
	if p.quiet && result.OK() {
		return
	}
	u := result.Usage
	fmt.Fprintf(p.app.stderr, "stop reason: %s · %d tokens (%d in, %d out) · %s\n", stop, u.TotalTokens, u.PromptTokens, u.CompletionTokens,
		plural(len(result.ToolCalls), "tool call"))
	if result.Error != "" {
		fmt.Fprintln(p.app.stderr, "error:", oneLine(result.Error, 400))
	}
}

// approver decides about tool calls: as the flag says, else by asking on a
// terminal, else by denying.
func (a *app) approver(allow bool) appclient.ApproveFunc {
	in, isFile := a.stdin.(*os.File)
	asks := isFile && term.IsTerminal(int(in.Fd()))
	return func(_ context.Context, r appclient.ApprovalRequest) (appclient.Decision, error) {
		what := oneLine(r.ToolName+" "+string(r.Input), 200)
		switch {
		case allow:
			fmt.Fprintln(a.stderr, "allowed:", what)
			return appclient.Allow(), nil
		case !asks:
			fmt.Fprintf(a.stderr, "denied: %s (--approve allows it)\n", what)
			return appclient.Deny("The user did not allow this tool call. Go on without it, or say what is missing."), nil
		}
		return a.ask(what)
	}
}

func (a *app) ask(what string) (appclient.Decision, error) {
	fmt.Fprintf(a.stderr, "allow %s? [y/N] ", what)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return appclient.Decision{}, fmt.Errorf("read the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return appclient.Allow(), nil
	}
	return appclient.Deny("The user denied this tool call."), nil
}
