//nolint:contextcheck // the goroutines of a connection outlive the call that started them, and end with the client
package appclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
)

// endpoints are the addresses derived from Config.URL.
type endpoints struct {
	socket url.URL // ws or wss
	info   url.URL // http or https
}

// parseURL accepts ws, wss, http and https. User information and queries are
// refused: they would end up in error messages, and the token has a place of its own.
func parseURL(raw string) (endpoints, error) {
	invalid := func(problem string) (endpoints, error) { return endpoints{}, &ValidationError{"url", problem} }
	u, err := url.Parse(raw)
	if err != nil {
		return invalid("is not a URL") // url.Error would repeat it, secrets included
	}
	secure := u.Scheme == "wss" || u.Scheme == "https"
	switch {
	case !secure && u.Scheme != "ws" && u.Scheme != "http":
		return invalid("must be ws://host:port, or wss, http, https")
	case u.Host == "":
		return invalid("has no host")
	case u.User != nil:
		return invalid("must not contain a user or password: use a token")
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("must not contain a query or fragment")
	}
	e := endpoints{
		socket: url.URL{Scheme: "ws", Host: u.Host, Path: u.Path},
		info:   url.URL{Scheme: "http", Host: u.Host, Path: "/app-server-info"},
	}
	if secure {
		e.socket.Scheme, e.info.Scheme = "wss", "https"
	}
	if e.socket.Path == "" || e.socket.Path == "/" {
		e.socket.Path = "/ws"
	}
	return e, nil
}

// dialer makes the HTTP requests of one Dial.
type dialer struct {
	cfg  Config
	http *http.Client
	endpoints
}

func newDialer(cfg Config) (*dialer, error) {
	ends, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	d := &dialer{cfg: cfg.withDefaults(), http: cfg.HTTPClient, endpoints: ends}
	if d.http == nil {
		// No idle connections are kept: nothing is left behind when the client closes.
		d.http = &http.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			// A redirect would carry the token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return d, nil
}

// FetchServerInfo asks for GET /app-server-info. Servers before 0.29.2 do not
// have it: the result is then the zero ServerInfo with no error.
func FetchServerInfo(ctx context.Context, cfg Config) (ServerInfo, error) {
	d, err := newDialer(cfg)
	if err != nil {
		return ServerInfo{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.RequestTimeout)
	defer cancel()
	return d.fetchInfo(ctx)
}

func (d *dialer) fetchInfo(ctx context.Context) (ServerInfo, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.info.String(), nil)
	if err != nil {
		return ServerInfo{}, fmt.Errorf("ask %s: %w", d.info.Host, err)
	}
	if request.Header, err = d.header(ctx); err != nil {
		return ServerInfo{}, err
	}
	response, err := d.http.Do(request)
	if err != nil {
		return ServerInfo{}, fmt.Errorf("reach the App Server at %s (is it running?): %w", d.info.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return ServerInfo{}, fmt.Errorf("read the App Server's description: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		info := ServerInfo{Raw: body}
		if err := json.Unmarshal(body, &info); err != nil {
			return ServerInfo{}, fmt.Errorf("%s does not look like an App Server: its description is not JSON: %w", d.info.Host, err)
		}
		return info, nil
	case http.StatusNotFound:
		return ServerInfo{}, nil
	}
	return ServerInfo{}, refusal(response, body)
}

// header carries the token, and never an Origin: servers refuse it.
func (d *dialer) header(ctx context.Context) (http.Header, error) {
	header := http.Header{}
	if d.cfg.Token == nil {
		return header, nil
	}
	token, err := d.cfg.Token.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the App Server token: %w", err)
	}
	header.Set("Authorization", "Bearer "+token)
	return header, nil
}

// refusal turns an HTTP status into an error with the server's reason.
func refusal(response *http.Response, body []byte) error {
	reason := strings.TrimSpace(strings.TrimPrefix(response.Status, fmt.Sprint(response.StatusCode)))
	var told struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &told) == nil && told.Error != "" {
		reason = told.Error
	}
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: %s", ErrUnauthorized, reason)
	case http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrForbidden, reason)
	case http.StatusUpgradeRequired:
		return fmt.Errorf("%w (HTTP 426)", ErrSplitNotSupported)
	}
	return fmt.Errorf("the App Server at %s answered HTTP %d %s", response.Request.URL.Host, response.StatusCode, reason)
}

// open opens one socket. An empty channel is the single socket.
func (d *dialer) open(ctx context.Context, channel string) (*websocket.Conn, error) {
	address := d.socket
	if channel != "" {
		address.RawQuery = "channel=" + channel
	}
	header, err := d.header(ctx)
	if err != nil {
		return nil, err
	}
	//nolint:bodyclose // websocket.Dial has read and closed it
	socket, response, err := websocket.Dial(ctx, address.String(), &websocket.DialOptions{HTTPClient: d.http, HTTPHeader: header})
	if err != nil {
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("open %s: %w", address.String(), refusal(response, nil))
		}
		return nil, fmt.Errorf("open %s: %w", address.String(), err)
	}
	socket.SetReadLimit(d.cfg.ReadLimit)
	return socket, nil
}

// Dial connects. It returns when the server has taken the connection: a server
// that serves another client fails with ErrServerBusy.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	client, err := dial(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the App Server: %w", err)
	}
	return client, nil
}

func dial(ctx context.Context, cfg Config) (*Client, error) {
	if err := oneOf("transport", cfg.Transport, TransportAuto, TransportSingle, TransportSplit); err != nil {
		return nil, err
	}
	d, err := newDialer(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.RequestTimeout)
	defer cancel()
	info, err := d.fetchInfo(ctx)
	if err != nil {
		return nil, err
	}
	client := newClient(d.cfg, info)
	if err := client.connect(ctx, d); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

// connect opens the sockets that the server takes and waits until it answers on each.
func (c *Client) connect(ctx context.Context, d *dialer) error {
	transport := d.cfg.Transport
	if transport == TransportAuto && c.info.Known() && !c.info.Capabilities["split_channels"] {
		transport = TransportSingle
	}
	if transport != TransportSingle {
		control, err := d.open(ctx, string(ChannelControl))
		switch {
		case err == nil:
			return c.connectSplit(ctx, d, control)
		case transport == TransportSplit || !errors.Is(err, ErrSplitNotSupported):
			return err
		}
	}
	socket, err := d.open(ctx, "")
	if err != nil {
		return err
	}
	c.transport = TransportSingle
	return c.attach(ctx, ChannelMain, socket)
}

// connectSplit opens the stream after the control socket, which the server waits for.
func (c *Client) connectSplit(ctx context.Context, d *dialer, control *websocket.Conn) error {
	c.transport = TransportSplit
	if err := c.attach(ctx, ChannelControl, control); err != nil {
		return err
	}
	stream, err := d.open(ctx, string(ChannelStream))
	if err != nil {
		return err
	}
	return c.attach(ctx, ChannelStream, stream)
}
