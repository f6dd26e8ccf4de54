package appclient

import (
	"cmp"
	"net/http"
	"time"
)

// Transport says how a client connects.
type Transport string

// The transports.
const (
	// TransportAuto finds out what the server takes.
	TransportAuto Transport = ""
	// TransportSingle uses one socket for everything. Every known server accepts it.
	TransportSingle Transport = "single"
	// TransportSplit uses a control and a stream socket (servers 0.27.9 to 0.29.6).
	TransportSplit Transport = "split"
)

// ClientInfo tells the server who connects.
type ClientInfo struct {
	// Name is required by the server; "appclient" when empty.
	Name    string `json:"name"`
	Title   string `json:"title,omitempty"`
	Version string `json:"version,omitempty"`
}

// Config says where and how to connect. Only URL is required.
type Config struct {
	// URL is ws://host:port[/path]; wss, http and https are accepted. The path is /ws when there is none.
	URL       string
	Transport Transport
	// Token gives the bearer token; nil sends none.
	Token  TokenSource
	Client ClientInfo
	// RequestTimeout bounds every request and every write; 30 s when zero.
	RequestTimeout time.Duration
	// PingInterval is the time between liveness pings, 20 s when zero; PingTimeout is
	// how long an answer may take, 20 s when zero. Data frames play no part: during a
	// long model call there are none.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// ReadLimit is the largest incoming frame in bytes; 64 MiB when zero.
	ReadLimit int64
	// QueueLimit is how many bytes of frames a consumer may be behind before its
	// subscription ends with ErrSlowConsumer; 64 MiB when zero.
	QueueLimit int64
	// OnFrame is called for every incoming frame in order of arrival, from one
	// goroutine that is not the reader, so it may take its time. One that falls more than QueueLimit
	// behind is called no more; see Client.OnFrameErr.
	OnFrame func(Frame)
	// Wants says which frames OnFrame is called for; nil is all. It is called on the
	// reader's goroutine for every frame, and must not wait.
	Wants func(Frame) bool
	// HTTPClient connects, for own TLS settings or dialers; a plain one when nil.
	// It must have no Timeout.
	HTTPClient *http.Client
}

// withDefaults fills what was left zero.
func (c Config) withDefaults() Config {
	c.Client.Name = cmp.Or(c.Client.Name, "appclient")
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 30*time.Second)
	c.PingInterval = cmp.Or(c.PingInterval, 20*time.Second)
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	c.ReadLimit = cmp.Or(c.ReadLimit, 64<<20)
	c.QueueLimit = cmp.Or(c.QueueLimit, 64<<20)
	return c
}

// closeTimeout bounds Client.Close.
const closeTimeout = 5 * time.Second
