package config

import (
	"net"
	"net/url"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// FileName is what the configuration is called where nothing else is said.
const FileName = "orchestrator.yaml"

// Config is what a configuration file says. What it leaves out is zero, and
// means the default of docs/config.md. Paths are absolute.
type Config struct {
	// File is the path of the file; empty when there is none.
	File string
	// DataDir holds the tasks.
	DataDir string
	// Listen are the addresses to serve at: unix, unix:/path, or host:port.
	Listen []string
	// TLS is what listeners beside Unix sockets serve with.
	TLS TLS
	// BehindProxy says that a reverse proxy encrypts what is sent to other
	// listeners than those of this machine.
	BehindProxy bool
	// Hosts are further names that clients know the daemon by.
	Hosts []string
	// Tokens are what clients show at listeners that are not this machine's alone.
	Tokens Tokens
	// Workspaces are the directories that clients on other machines may have tasks work in.
	Workspaces []string
	// AppServers are where turns run; nil means one, which is started, and an empty
	// list that there is none.
	AppServers []AppServer
	// Model is of agents that name none, as provider/model.
	Model string
	// Prices is the file with what models cost.
	Prices string
	// Roles is a directory of roles.
	Roles string
	// Teams is the directory of the teams that can be named.
	Teams string
	// Limits bound what runs at once.
	Limits Limits
	// Schedules submit tasks of the teams by themselves.
	Schedules []schedule.Spec
	// Notifications are who is told what.
	Notifications []notify.Target
	// Grace is how long running turns may take to end at SIGTERM. GraceSet tells
	// a grace of nothing from none that is said.
	Grace    time.Duration
	GraceSet bool
	// Retention says what is removed when.
	Retention Retention
	// Transcripts says what is kept of the streams of turns.
	Transcripts Transcripts
	// Logging says what is logged, and where to.
	Logging Logging
	// Tracing says where traces are sent.
	Tracing Tracing
}

// TLS names the files of a certificate and its key, in PEM.
type TLS struct{ Cert, Key string }

// Tokens name where the tokens of the API are: a file, or an environment variable.
type Tokens struct {
	// Operator may do everything.
	Operator Secret
	// ReadOnly may look.
	ReadOnly Secret
}

// Secret names where a secret is, and never holds it: a file, or an environment variable.
type Secret struct{ File, Env string }

// AppServer is one App Server. One of Managed, URL and Scripted is set.
type AppServer struct {
	Name string
	// Managed is started, watched and stopped by the daemon.
	Managed *Managed
	// URL is the ws, wss, http or https address of a server that runs already.
	URL string
	// Token is sent to the server at URL.
	Token Secret
	// Transport is auto, single or split; empty is auto.
	Transport string
	// Scripted is the file of a script that is served instead of a model.
	Scripted string
	// MaxTurns is how many turns run on it at once; 0 is the default.
	MaxTurns int
}

// SeesOurFiles says that the server runs on this machine. A tunnel to another one
// looks the same; the App Server then reports the directory as it sees it.
func (s AppServer) SeesOurFiles() bool {
	if s.URL == "" {
		return true
	}
	u, err := url.Parse(s.URL)
	return err == nil && Local(net.JoinHostPort(u.Hostname(), "0"))
}

// Managed says how an App Server is started.
type Managed struct {
	// Command is the program; empty is letta in PATH.
	Command string
	// Home is its HOME; empty is the user's.
	Home string
}

// Limits bound what runs at once.
type Limits struct {
	// MaxTurns is how many turns run at once, of all teams and on all servers; 0 is the default.
	MaxTurns int
	// Teams are bounds by the name of the team.
	Teams map[string]TeamLimits
}

// TeamLimits bound one team; 0 is no bound.
type TeamLimits struct{ MaxTasks, MaxTurns int }

// Retention says what is removed when; 0 keeps it for ever.
type Retention struct {
	// Tasks is how long tasks are kept after their end.
	Tasks time.Duration
	// Transcripts is how long those of a task are kept after one of them was last written.
	Transcripts time.Duration
}

// Transcripts says what is kept of the streams of turns; sizes are in bytes, and 0
// is the default.
type Transcripts struct {
	Off                  bool
	MaxPerTurn, MaxTotal int64
}

// Logging says what is logged. Empty fields mean the default.
type Logging struct {
	Level, Format, File string
}

// LogLevels are the values of Logging.Level.
func LogLevels() []string {
	return []string{"trace", "debug", "info", "warn", "error", "disabled"}
}

// LogFormats are the values of Logging.Format.
func LogFormats() []string { return []string{"console", "json"} }
