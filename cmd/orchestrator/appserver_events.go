package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func newEvents(a *app) *cobra.Command {
	var connect connectFlags
	var agent, conversation string
	var forTime time.Duration
	var count int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print every frame that the App Server sends",
		Long: `Prints each incoming frame as one JSON line with the channel that it came on,
until interrupted. With --agent and --conversation it subscribes to that
conversation first, without changing its directory or mode.`,
		Example: `  orchestrator appserver events --url ws://127.0.0.1:4500 --for 5s
  orchestrator appserver events --url ws://127.0.0.1:4500 --agent AGENT --conversation CONVERSATION --count 10`,
		Args: func(cmd *cobra.Command, args []string) error {
			if (agent == "") != (conversation == "") {
				return errors.New("--agent and --conversation go together")
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			client, err := connect.dial(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, client.Close()) }()
			frames := client.Frames()
			defer frames.Close()
			if agent != "" {
				// sync carries a runtime, and whoever names one in a command is subscribed to it.
				if err := sendJSON(ctx, client, map[string]any{
					"type": "sync", "request_id": "events-sync", "force_device_status": true,
					"runtime": appclient.Runtime{AgentID: agent, ConversationID: conversation},
				}); err != nil {
					return err
				}
			}
			if forTime > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, forTime, io.EOF)
				defer cancel()
			}
			return printFrames(ctx, a.stdout, frames, func(n int, _ appclient.Frame) bool { return count > 0 && n >= count })
		},
	}
	flags := cmd.Flags()
	connect.register(flags)
	flags.StringVar(&agent, "agent", "", "subscribe to a conversation of this agent")
	flags.StringVar(&conversation, "conversation", "", "the conversation to subscribe to")
	flags.DurationVar(&forTime, "for", 0, "stop after this time")
	flags.IntVar(&count, "count", 0, "stop after so many frames")
	return cmd
}

func sendJSON(ctx context.Context, client *appclient.Client, command any) error {
	raw, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("encode the command: %w", err)
	}
	return client.Send(ctx, raw)
}

// printedFrame is one line of `events` and `send`.
type printedFrame struct {
	Channel appclient.Channel `json:"channel"`
	At      time.Time         `json:"at"`
	Frame   json.RawMessage   `json:"frame"`
}

// printFrames prints frames until done says so or ctx ends, which is no error.
func printFrames(ctx context.Context, out io.Writer, frames *appclient.Subscription, done func(n int, f appclient.Frame) bool) error {
	for n := 1; ; n++ {
		f, err := frames.Next(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is how this ends
		}
		if err != nil {
			return fmt.Errorf("read frames: %w", err)
		}
		raw := f.Raw
		if !json.Valid(raw) {
			if raw, err = json.Marshal(string(f.Raw)); err != nil {
				return fmt.Errorf("encode a frame: %w", err)
			}
		}
		writeJSONLine(out, printedFrame{f.Channel, f.ReceivedAt, raw})
		if done(n, f) {
			return nil
		}
	}
}
