package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// turnFlags are the flags of `appserver turn`.
type turnFlags struct {
	connect      connectFlags
	agent        string
	conversation string
	model        string
	cwd          string
	mode         string
	approve      bool
	timeout      time.Duration
	quiet        bool
}

func newTurn(a *app) *cobra.Command {
	var f turnFlags
	cmd := &cobra.Command{
		Use:   "turn MESSAGE",
		Short: "Run one turn and stream the answer",
		Long: `Runs one turn on an existing agent, or on a new one, and prints the answer as it
comes. Stop reason, usage and the ids to go on with are printed to the standard
error. The exit status is 0 only when the turn ended with end_turn.

When the App Server asks whether a tool may be used: --approve allows it, on a
terminal you are asked, and otherwise it is denied.`,
		Example: `  orchestrator appserver turn --url ws://127.0.0.1:4500 "Say hello"
  orchestrator appserver turn --url ws://127.0.0.1:4500 --agent AGENT --conversation CONVERSATION "And now?"`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return fmt.Errorf("%s takes one message: put its words in quotes\n  example: %s", cmd.CommandPath(), firstExample(cmd))
			case len(args) == 1 && strings.TrimSpace(args[0]) == "":
				return errors.New("the message is empty")
			}
			return oneArgument("a message")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.turn(cmd.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	f.connect.register(flags)
	flags.StringVar(&f.agent, "agent", "", "an existing agent; a new one is made when left out")
	flags.StringVar(&f.conversation, "conversation", "", "an existing conversation of that agent, or default; a new one is made when left out")
	flags.StringVar(&f.model, "model", "", "model handle of a new agent, e.g. anthropic/claude-sonnet-4-5")
	flags.StringVar(&f.cwd, "cwd", ".", "directory in which tools run, on the machine of the App Server")
	flags.StringVar(&f.mode, "mode", "standard", "permission mode: standard, acceptEdits, unrestricted or strict")
	flags.BoolVar(&f.approve, "approve", false, "allow every tool call that the App Server asks about")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Minute, "abort the turn after this time")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print the answer only")
	return cmd
}

func (f *turnFlags) start() (appclient.RuntimeStart, error) {
	start := appclient.RuntimeStart{AgentID: f.agent, ConversationID: f.conversation, Mode: appclient.Mode(f.mode)}
	cwd, err := filepath.Abs(f.cwd)
	if err != nil {
		return start, err
	}
	if start.CWD = cwd; f.connectsLocally() {
		if start.CWD, err = filepath.EvalSymlinks(cwd); err != nil {
			return start, usage(fmt.Errorf("--cwd: %w", err))
		}
	}
	if f.agent != "" {
		if f.model != "" {
			return start, usage(errors.New("--model is for a new agent: leave it out with --agent"))
		}
		return start, nil
	}
	if f.conversation != "" {
		return start, usage(errors.New("--conversation needs the --agent that it belongs to"))
	}
	start.CreateAgent = &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{
		Name: "orchestrator appserver turn", Model: f.model, Tags: []string{"orchestrator"}, // so that "agents remove" finds it
	}}
	return start, nil
}

// connectsLocally says whether the App Server most likely shares this file system.
func (f *turnFlags) connectsLocally() bool {
	return strings.Contains(f.connect.url, "127.0.0.1") || strings.Contains(f.connect.url, "localhost")
}

func (a *app) turn(ctx context.Context, f turnFlags, message string) (err error) {
	start, err := f.start()
	if err != nil {
		return err
	}
	client, err := f.connect.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }() //nolint:contextcheck // it bounds itself, and must work when ctx has ended
	session, err := client.StartRuntime(ctx, start)
	if err != nil {
		return turnStartError(err)
	}
	if !f.quiet {
		rt := session.Runtime()
		fmt.Fprintf(a.stderr, "agent %s · conversation %s\n", rt.AgentID, rt.ConversationID)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, errTurnTimeout)
	defer cancel()
	printer := &turnPrinter{app: a, quiet: f.quiet}
	result, err := session.RunTurn(ctx, appclient.Turn{
		Text: message, Approve: a.approver(f.approve), OnEvent: printer.event, ExcludeInteractiveTools: true,
	})
	printer.finish(result)
	switch {
	case errors.Is(context.Cause(ctx), errTurnTimeout) && err != nil:
		return &statusError{exitTaskFailed, fmt.Errorf("the turn took longer than --timeout %s and was aborted", f.timeout)}
	case err != nil:
		return err
	case !result.OK():
		return quietExit(exitTaskFailed)
	}
	return nil
}

// errTurnTimeout is the cause of a context that --timeout ended.
var errTurnTimeout = errors.New("--timeout")

// turnStartError marks what the user named wrongly.
func turnStartError(err error) error {
	var invalid *appclient.ValidationError
	if errors.As(err, &invalid) || errors.Is(err, appclient.ErrNotFound) {
		return usage(err)
	}
	return err
}
