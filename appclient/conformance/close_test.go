package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
)

// TestCloseDuringEverything closes the client, or ends the server, while turns, tools, approvals, aborts, starts,
// syncs and subscriptions are at work. Everything must return, and no goroutine may stay (TestMain).
func TestCloseDuringEverything(t *testing.T) {
	t.Parallel()
	for i, version := range []string{apptest.VersionSingle, apptest.VersionSplit, apptest.VersionJune} {
		for _, way := range []string{"client", "server"} {
			for _, after := range []int{1, 20, 200 + i} {
				t.Run(fmt.Sprint(version, "/", way, "/", after), func(t *testing.T) {
					t.Parallel()
					closeDuringEverything(t, version, way, after)
				})
			}
		}
	}
}

func closeDuringEverything(t *testing.T, version, way string, after int) {
	s, err := apptest.New(apptest.Options{Version: version, MaxQueuedFrames: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := appclient.Dial(t.Context(), appclient.Config{URL: s.URL(), RequestTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.StartRuntime(t.Context(), appclient.RuntimeStart{CreateAgent: &appclient.AgentCreation{}})
	if err != nil {
		t.Fatal(err)
	}
	sub := c.Frames()
	var work sync.WaitGroup
	for n := range 12 {
		work.Go(func() { keepBusy(t, c, first.Runtime().AgentID, n) })
	}
	for range after {
		if _, err := sub.Next(t.Context()); err != nil {
			t.Errorf("frames: %v", err)
			break
		}
	}
	if way == "server" {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-c.Done()
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	work.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// keepBusy does something until the connection is lost.
func keepBusy(t *testing.T, c *appclient.Client, agent string, n int) {
	wait := appclient.Tool{Name: "wait", Description: "waits", Parameters: json.RawMessage(`{"type":"object"}`),
		Handler: func(ctx context.Context, _ appclient.ToolCall) (appclient.ToolResult, error) {
			<-ctx.Done()
			return appclient.ToolResult{}, context.Cause(ctx)
		}}
	turns := []string{`x [[slow:50:2]]`, `x [[tool:wait:{}]] [[say:ok]]`, `x [[tool:Write:{"file_path":"/x","content":"y"}]] [[say:ok]]`, `x [[hang]]`}
	for i := 0; ; i++ {
		session, err := c.StartRuntime(t.Context(), appclient.RuntimeStart{AgentID: agent, Tools: []appclient.Tool{wait}})
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(n*7+i*13)%40)*time.Millisecond)
			_, err = session.RunTurn(ctx, appclient.Turn{Text: turns[(n+i)%len(turns)], AbortGrace: 50 * time.Millisecond,
				Approve: func(ctx context.Context, _ appclient.ApprovalRequest) (appclient.Decision, error) {
					<-ctx.Done()
					return appclient.Decision{}, context.Cause(ctx)
				}})
			cancel()
			if err == nil || !errors.Is(err, appclient.ErrConnectionLost) {
				err = session.Sync(t.Context())
			}
			session.Close()
		}
		if err != nil {
			if !errors.Is(err, appclient.ErrConnectionLost) {
				t.Errorf("%v, want ErrConnectionLost", err)
			}
			return
		}
	}
}
