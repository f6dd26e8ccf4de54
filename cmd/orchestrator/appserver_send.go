package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func newSend(a *app) *cobra.Command {
	var connect connectFlags
	var wait, timeout time.Duration
	cmd := &cobra.Command{
		Use:   "send [JSON]",
		Short: "Send a raw frame and print the answer",
		Long: `Sends one JSON frame as it is, from the argument or the standard input, and
prints the frames that come until the one with the same request_id. --wait
prints what comes for that long instead.

The App Server drops commands that it finds invalid without an answer.`,
		Example: `  orchestrator appserver send --url ws://127.0.0.1:4500 '{"type":"list_models","request_id":"1"}'
  echo '{"type":"agent_list","request_id":"2"}' | orchestrator appserver send --url ws://127.0.0.1:4500`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			raw, id, err := a.frameToSend(args)
			if err != nil {
				return usage(err)
			}
			if id == "" && wait == 0 {
				wait = time.Second // nothing would tell when the answer is complete
			}
			client, err := connect.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, client.Close()) }()
			return a.send(cmd.Context(), client, raw, id, wait, timeout)
		},
	}
	flags := cmd.Flags()
	connect.register(flags)
	flags.DurationVar(&wait, "wait", 0, "print frames for this time instead of waiting for the answer")
	flags.DurationVar(&timeout, "timeout", 30*time.Second, "give up after this time without an answer")
	return cmd
}

// frameToSend reads the frame and its request_id.
func (a *app) frameToSend(args []string) (raw []byte, id string, err error) {
	if len(args) == 1 {
		raw = []byte(args[0])
	} else if raw, err = io.ReadAll(a.stdin); err != nil {
		return nil, "", fmt.Errorf("read the frame: %w", err)
	}
	var frame struct {
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(raw, &frame); err != nil {
		return nil, "", fmt.Errorf("the frame is not a JSON object: %w", err)
	}
	return []byte(strings.TrimSpace(string(raw))), frame.RequestID, nil
}

func (a *app) send(ctx context.Context, client *appclient.Client, raw []byte, id string, wait, timeout time.Duration) error {
	frames := client.Frames()
	defer frames.Close()
	if err := client.Send(ctx, raw); err != nil {
		return fmt.Errorf("send the frame: %w", err)
	}
	limit := timeout
	if wait > 0 {
		limit = wait
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answered := false
	err := printFrames(ctx, a.stdout, frames, func(_ int, f appclient.Frame) bool {
		answered = answered || id != "" && f.RequestID == id
		return answered && wait == 0
	})
	if err == nil && wait == 0 && !answered && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("request %s: %w", id, appclient.ErrRequestTimeout)
	}
	return err
}
