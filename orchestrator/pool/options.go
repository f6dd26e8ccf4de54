package pool

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// Runner runs turns on one App Server; *runner.Runner does.
type Runner interface {
	engine.TurnRunner
	// Check connects to the server, or finds that it is connected. It takes a while
	// to find that it cannot be.
	Check(ctx context.Context) (appclient.ServerInfo, error)
	// HasAgent says whether the server has an agent with this ID.
	HasAgent(ctx context.Context, id string) (bool, error)
	// Close ends its connections.
	Close() error
}

// Server is one App Server of a pool.
type Server struct {
	// Name is the one under which its conversations are stored.
	Name string
	// Title, Kind and URL are for people.
	Title, Kind, URL string
	// Local says that it sees our files, at the same paths.
	Local  bool
	Runner Runner
	// MaxTurns is how many turns run on it at once; 0 is no limit of its own.
	MaxTurns int
	// Process tells of a process that somebody here starts and watches; nil for others.
	Process Process
}

// Process is what is known of an App Server without asking it.
type Process interface {
	// Trouble is why it is not up now; nil when it is.
	Trouble() error
	// Version is that of the installed program; empty where it is not known yet.
	Version() string
	// Restarts counts how often it came up again.
	Restarts() int
}

// Registry knows where agents and conversations are; *store.Store does.
type Registry interface {
	// AgentHome returns the server on which an agent of a team lives, which is offered
	// from now on where there is none, or none among known.
	AgentHome(ctx context.Context, team, agent, offered string, known []string) (string, error)
}

// Options configure a Pool. Servers and Registry are required.
type Options struct {
	Servers  []Server
	Registry Registry
	// Conversations is how many there are on each server, by its name.
	Conversations map[string]int
	// Clock replaces the clock of the machine.
	Clock engine.Clock
	Log   zerolog.Logger
}

// State is what can be done with a server.
type State string

// The states of a server.
const (
	StateReady State = "ready"
	// StateStarting: its process is being started, or started again, or it was not connected to yet.
	StateStarting State = "starting"
	// StateUnreachable: it could not be reached, which is tried again and again.
	StateUnreachable State = "unreachable"
	// StateDraining: it can be reached and gets nothing new.
	StateDraining State = "draining"
)

// Status is how one server is doing.
type Status struct {
	Name, Title, Kind, URL string
	State                  State
	// Since is when that began; zero for a server that was never anything else than ready.
	Since time.Time
	// Detail is why it is so; empty when there is nothing to say.
	Detail  string
	Version string
	// Restarts counts how often a process came up again that is watched here.
	Restarts int
	// Running is how many turns it has room taken for; Limit is the most, 0 without one.
	Running, Limit int
	// Conversations is how many live there.
	Conversations int
	Local         bool
}
