package runner

import (
	"cmp"
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Server says where the App Server is. *appserver.Server is one.
type Server interface {
	// Name is the server's name in records. It must be the same for as long as
	// the server keeps its agents and conversations, whatever its address.
	Name() string
	// URL is the current address. It may wait for a server that is being started.
	URL(ctx context.Context) (string, error)
}

// startTimer is what a Server may also be: it knows since when its process runs.
type startTimer interface{ Started() time.Time }

// FixedServer is a server that somebody else runs, at an address that does not change.
func FixedServer(url string) Server { return fixedServer(url) }

type fixedServer string

// Name is the address.
func (s fixedServer) Name() string { return string(s) }

// URL is the address.
func (s fixedServer) URL(context.Context) (string, error) { return string(s), nil }

// Roles knows the roles of agents by their names; *roles.Library does.
type Roles interface {
	Role(name string) (roles.Role, error)
}

// Options configure a Runner. Server is required.
type Options struct {
	Server Server
	// Token gives the bearer token; nil sends none.
	Token appclient.TokenSource
	// Transport is found out by itself when empty.
	Transport appclient.Transport
	// Roles are where the roles of agents are looked up.
	Roles Roles
	// Model is the handle of the model of agents that name none. Empty means the
	// one model that the server offers; where it offers several, none is chosen.
	Model string
	// Local says that the server shares our file system: a workspace that is no
	// directory is then refused before anything is sent. The server itself would
	// silently use another directory.
	Local bool
	// OutputDir holds the outputs that are too long to be passed on whole. Agents
	// may read those of their task, and those that their message names, whatever
	// their approvals; deny patterns still count. Empty when there is none.
	OutputDir string
	// Now is the clock by which "try again in 20s" becomes a time; time.Now when nil.
	Now func() time.Time
	// Version is this program's version, for the server's log.
	Version string
	Log     zerolog.Logger
	// ConnectTimeout bounds connecting, tries again included; 15 s when zero. A
	// turn that gets no connection in this time fails with engine.UnreachableError.
	ConnectTimeout time.Duration
	// RequestTimeout bounds one request to the server; 30 s when zero.
	RequestTimeout time.Duration
	// AbortGrace is how long an aborted turn may take to end; 10 s when zero.
	// After it the conversation is given up.
	AbortGrace time.Duration
	// StandByAfter is how long a turn runs before the second connection is subscribed
	// to it, so that it goes on when the first one is lost; 2 s when zero.
	StandByAfter time.Duration
	// beforeStandBy and onStandBy are called before and after that; nil ones are not called.
	beforeStandBy, onStandBy func()
	// SettleTime is how long an input that is not in its conversation is waited
	// for before it counts as not consumed; 1 s when zero.
	SettleTime time.Duration
}

// What an agent's zero timeouts mean: what the reference of the team file and
// its worst case say.
const (
	// DefaultTurnTimeout bounds a turn.
	DefaultTurnTimeout = workflow.DefaultTurnTimeout
	// DefaultStallTimeout bounds silence within a turn.
	DefaultStallTimeout = workflow.DefaultStallTimeout
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 15*time.Second)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 30*time.Second)
	o.AbortGrace = cmp.Or(o.AbortGrace, 10*time.Second)
	o.StandByAfter = cmp.Or(o.StandByAfter, 2*time.Second)
	o.SettleTime = cmp.Or(o.SettleTime, time.Second)
	return o
}
