package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// errClosed says that the runner was closed.
var errClosed = errors.New("the runner is closed")

// connection is the one connection to the server that all turns share. It is
// made when it is needed and made anew when it was lost.
type connection struct {
	opts Options
	// life ends with the runner.
	life   context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	client  *appclient.Client
	dialing *dialing
	// slow says that the dialing takes long, so that now does not wait for it.
	slow bool
}

// dialing is one attempt to connect, which all who need it wait for.
type dialing struct {
	done   chan struct{}
	client *appclient.Client
	err    error
}

func newConnection(opts Options) *connection {
	c := &connection{opts: opts}
	c.life, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// unreachableError says that no connection could be made. It counts as a lost
// connection, unless it is of no use to try again.
type unreachableError struct {
	server string
	err    error
}

// Error implements error.
func (e *unreachableError) Error() string {
	return fmt.Sprintf("cannot connect to the App Server %s: %v", e.server, e.err)
}

// Unwrap returns the cause.
func (e *unreachableError) Unwrap() error { return e.err }

// Is reports appclient.ErrConnectionLost.
func (e *unreachableError) Is(target error) bool {
	return target == appclient.ErrConnectionLost && !permanent(e.err)
}

// get returns a connection that lives. It fails with an error that is
// appclient.ErrConnectionLost when none can be had within Options.ConnectTimeout.
func (c *connection) get(ctx context.Context) (*appclient.Client, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errClosed
	}
	if c.client != nil && c.client.Err() == nil {
		defer c.mu.Unlock()
		return c.client, nil
	}
	d := c.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		c.dialing = d
		lost := c.client
		c.client = nil
		c.wg.Go(func() { c.dial(d, lost) }) //nolint:contextcheck // all who wait share it: it ends with the runner, not with ctx
	}
	c.mu.Unlock()
	select {
	case <-d.done:
		return d.client, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to the App Server: %w", context.Cause(ctx))
	}
}

// now returns a connection if there is one, or if it can be had within wait;
// nil otherwise. It goes on connecting for those who come later.
func (c *connection) now(ctx context.Context, wait time.Duration) *appclient.Client {
	c.mu.Lock()
	waiting := c.dialing != nil && c.slow
	c.mu.Unlock()
	if waiting {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	client, err := c.get(bounded)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.slow = true
		return nil
	}
	return client
}

// dial connects, again and again until it works or the time is over.
func (c *connection) dial(d *dialing, lost *appclient.Client) {
	if lost != nil {
		c.opts.Log.Warn().AnErr("cause", lost.Err()).Msg("connection to the App Server lost")
		_ = lost.Close() // it never fails
	}
	ctx, cancel := context.WithTimeoutCause(c.life, c.opts.ConnectTimeout, fmt.Errorf("no connection within %v", c.opts.ConnectTimeout))
	defer cancel()
	var last error
	client, err := backoff.Retry(ctx, func() (*appclient.Client, error) {
		client, err := c.connect(ctx)
		if err != nil {
			last = err
			c.opts.Log.Debug().Err(err).Msg("connect to the App Server")
			if permanent(err) {
				return nil, backoff.Permanent(err)
			}
		}
		return client, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 100 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2, RandomizationFactor: 0.2,
	}), backoff.WithMaxElapsedTime(0))
	if err != nil {
		if last != nil && !errors.Is(err, last) {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
		err = &unreachableError{c.opts.Server.Name(), err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if client != nil && c.closed {
		_ = client.Close()
		client, err = nil, errClosed
	}
	c.client, c.dialing, c.slow = client, nil, false
	d.client, d.err = client, err
	close(d.done)
}

// connect tries once.
func (c *connection) connect(ctx context.Context) (*appclient.Client, error) {
	url, err := c.opts.Server.URL(ctx)
	if err != nil {
		return nil, err
	}
	attempt, cancel := context.WithTimeout(ctx, c.opts.RequestTimeout)
	defer cancel()
	client, err := appclient.Dial(attempt, appclient.Config{
		URL: url, Transport: c.opts.Transport, Token: c.opts.Token, RequestTimeout: c.opts.RequestTimeout,
		Client:  appclient.ClientInfo{Name: "orchestrator", Version: c.opts.Version},
		Wants:   unknown(), // they go into the debug log
		OnFrame: func(f appclient.Frame) { logFrame(c.opts.Log, f, "unknown frame") },
	})
	if err != nil {
		return nil, err
	}
	info := client.Info()
	c.opts.Log.Debug().Str("url", url).Str("version", info.Version).Str("transport", string(client.Transport())).Msg("connected to the App Server")
	return client, nil
}

// permanent says whether another try cannot help.
func permanent(err error) bool {
	var invalid *appclient.ValidationError
	return errors.Is(err, appclient.ErrUnauthorized) || errors.Is(err, appclient.ErrForbidden) ||
		errors.Is(err, appclient.ErrSplitNotSupported) || errors.As(err, &invalid)
}

// close ends the connection and waits for what it started.
func (c *connection) close() error {
	c.mu.Lock()
	c.closed = true
	client := c.client
	c.client = nil
	c.mu.Unlock()
	c.cancel(errClosed)
	var err error
	if client != nil {
		err = client.Close()
	}
	c.wg.Wait()
	return err
}
