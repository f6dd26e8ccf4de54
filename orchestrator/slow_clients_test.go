package orchestrator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// pipes is a listener of connections in memory, whose deadlines follow the clock
// of the bubble.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// much is a service with more events, and a longer list of tasks, than anybody takes.
type much struct {
	api.Service
	engine *engine.Engine
}

func (much) Health(context.Context) api.Health { return api.Health{Status: "ok"} }

func (m much) Subscribe(task string) *engine.Subscription { return m.engine.Subscribe(task) }

func (much) LastPosition(context.Context) (int64, error) { return 0, nil }

func (much) EventsAfter(_ context.Context, position int64, limit int) ([]store.Positioned, error) {
	out := make([]store.Positioned, limit)
	for i := range out {
		out[i].Position, out[i].Task, out[i].Event = position+int64(i)+1, "T", workflow.Event{Body: workflow.TaskClaimed{}}
	}
	return out, nil
}

func (much) List(_ context.Context, f store.Filter) ([]workflow.State, error) {
	return []workflow.State{{Task: "T", Team: strings.Repeat("x", 1<<20)}}, nil
}

// TestSlowClients: a client that sends its request byte by byte, or never ends it,
// or takes no answer, is left alone until its time is over, and meanwhile others
// are served at once.
func TestSlowClients(t *testing.T) {
	const request = time.Minute // api.Options.RequestTimeout
	for _, tt := range []struct {
		name  string
		begin string
		drip  string        // what is sent every second from then on
		reads bool          // whether the client takes what it is answered
		most  time.Duration // after which the connection must be closed
	}{
		{"headers", "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "x", true, headerTimeout},
		{"nothing at all", "", "", true, headerTimeout},
		{"body", "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", " ", true, request + 5*time.Second},
		{"body in chunks", "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", true, request + 5*time.Second},
		{"body of what is refused", "POST /v1/tasks HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", " ", true, request + 5*time.Second},
		{"an idle connection", "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", "", true, idleTimeout},
		{"a stream that nobody reads", "GET /v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n", "", false, request + 31*time.Second},
		{"an answer that nobody reads", "GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n", "", false, request + 31*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openData(t)
				a := api.New(api.Options{Service: much{engine: engine.New(engine.Options{Store: s, Runner: offline{}, Log: zerolog.Nop()})}, MaxStreams: 1})
				listener := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				server := newHTTPServer(t.Context(), a.Handler(api.Listener{Local: true}), zerolog.Nop())
				served := make(chan error, 1)
				go func() { served <- server.Serve(listener) }()
				defer func() {
					if err := server.Close(); err != nil {
						t.Error(err)
					}
					if err := <-served; !errors.Is(err, http.ErrServerClosed) {
						t.Error(err)
					}
				}()

				began := time.Now()
				slow := listener.dial()
				var client sync.WaitGroup
				closed := make(chan struct{})
				client.Go(func() { drip(slow, tt.begin, tt.drip, closed) })
				if tt.reads {
					client.Go(func() { _, _ = io.Copy(io.Discard, slow); close(closed) })
				} else {
					client.Go(func() {
						// It takes a little, and then nothing; a write tells of the end.
						_, _ = io.ReadFull(slow, make([]byte, 100))
						for err := error(nil); err == nil; _, err = slow.Write([]byte("x")) {
							<-time.After(time.Second)
						}
						close(closed)
					})
				}
				synctest.Wait()
				answersAtOnce(t, listener) // while the other one is served
				select {
				case <-closed:
				case <-time.After(tt.most + 2*time.Second):
					t.Errorf("the connection is open after %s", time.Since(began))
				}
				if err := slow.Close(); err != nil {
					t.Error(err)
				}
				client.Wait()
				answersAtOnce(t, listener)
			})
		})
	}
}

// drip sends the beginning of a request, and then a little every second.
func drip(to net.Conn, begin, more string, closed <-chan struct{}) {
	if _, err := io.WriteString(to, begin); err != nil || more == "" {
		return
	}
	for {
		select {
		case <-closed:
			return
		case <-time.After(time.Second):
		}
		if _, err := io.WriteString(to, more); err != nil {
			return
		}
	}
}

// answersAtOnce asks on a connection of its own, and is answered at once.
func answersAtOnce(t *testing.T, listener *pipes) {
	t.Helper()
	began := time.Now()
	conn := listener.dial()
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Error(err)
		return
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK || time.Since(began) > 0 {
		t.Errorf("%s after %s, %v", answer.Status, time.Since(began), err)
	}
}
