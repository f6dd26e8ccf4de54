package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
)

const (
	// dialTimeout bounds connecting to a daemon.
	dialTimeout = 5 * time.Second
	// requestTimeout bounds a request that is no stream; the daemon gives up earlier.
	requestTimeout = 90 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 1 << 30
)

// ErrURL means that a URL is none that a daemon can have.
var ErrURL = errors.New("not the URL of a daemon")

// UnreachableError says that the daemon did not answer.
type UnreachableError struct {
	URL string
	Err error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return "reach the daemon at " + e.URL + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Options say how to talk to a daemon.
type Options struct {
	// Token returns what the daemon wants to know; nil sends none.
	Token func() (string, error)
	// Transport replaces the connections; for tests.
	Transport http.RoundTripper
}

// Daemon is a daemon as its clients see it. Its methods may be called concurrently.
type Daemon struct {
	url       string
	base      string // what requests are made for
	api       *ClientWithResponses
	transport *http.Transport
}

// Open makes a client of the daemon at unix:///PATH, http://HOST:PORT or
// https://HOST:PORT. It does not connect yet. Close gives back its connections.
// Errors: ErrURL.
func Open(address string, o Options) (*Daemon, error) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: it is unix:///PATH, http://HOST:PORT or https://HOST:PORT", ErrURL)
	}
	d := &Daemon{url: address, transport: &http.Transport{
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: dialTimeout, Proxy: http.ProxyFromEnvironment,
	}}
	dialer := &net.Dialer{Timeout: dialTimeout}
	d.transport.DialContext = dialer.DialContext
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		d.base, d.transport.Proxy = "http://daemon", nil
		d.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.Path)
		}
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		d.base = strings.TrimRight(address, "/")
	default:
		return nil, fmt.Errorf("%w: %q: it is unix:///PATH, http://HOST:PORT or https://HOST:PORT", ErrURL, address)
	}
	var transport http.RoundTripper = d.transport
	if o.Transport != nil {
		transport = o.Transport
	}
	// Redirects would carry the token to somewhere else.
	doer := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	d.api, err = NewClientWithResponses(d.base, WithHTTPClient(doer), WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		if o.Token == nil {
			return nil
		}
		token, err := o.Token()
		if err != nil {
			return fmt.Errorf("read the token of the daemon: %w", err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("make a client of %s: %w", address, err)
	}
	return d, nil
}

// URL is that of the daemon.
func (d *Daemon) URL() string { return d.url }

// Close gives back the connections that are not in use.
func (d *Daemon) Close() { d.transport.CloseIdleConnections() }

// result is what all answers of the generated client have in common.
type result interface {
	StatusCode() int
	ContentType() string
	GetBody() []byte
}

// ask does a request, and understands its answer.
func ask[R result, T any](ctx context.Context, d *Daemon, do func(context.Context) (R, error), value func(R) *T) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var none T
	r, err := do(ctx)
	if err != nil {
		return none, d.unreachable(ctx, err)
	}
	if v := value(r); v != nil {
		return *v, nil
	}
	return none, d.failure(r.StatusCode(), r.ContentType(), bytes.NewReader(r.GetBody()))
}

// unreachable explains an error of the transport.
func (d *Daemon) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return context.Cause(ctx)
	}
	// net/http names the method and the URL, which for a socket is none.
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return &UnreachableError{URL: d.url, Err: err}
}

// failure is the error of an answer that is no success.
func (d *Daemon) failure(status int, contentType string, body io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return &UnreachableError{URL: d.url, Err: err}
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	var p api.Problem
	if kind == "application/problem+json" && json.Unmarshal(data, &p) == nil && p.Type != "" {
		return api.Remote(p)
	}
	return &UnreachableError{URL: d.url, Err: fmt.Errorf("it answers with status %d and %q, which is not what a daemon of this version says", status, kind)}
}
