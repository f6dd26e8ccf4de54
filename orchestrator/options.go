package orchestrator

import (
	"cmp"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// AppServerVariable names the environment variable that chooses the App Server.
const AppServerVariable = "ORCHESTRATOR_APP_SERVER"

// ModelVariable names the environment variable that chooses the model of agents that name none.
const ModelVariable = "ORCHESTRATOR_MODEL"

// The kinds of Options.AppServer besides a URL.
const (
	// AppServerManaged starts the installed App Server and stops it at the end.
	AppServerManaged = "managed"
	// AppServerScripted, followed by the path of a script, serves that script
	// in this process. Its tools really run.
	AppServerScripted = "scripted:"
	// AppServerNone is enough for teams without agents: no turn can run.
	AppServerNone = "none"
)

// Options configure an Orchestrator. The zero value keeps tasks in
// DefaultDataDir and starts the installed App Server.
type Options struct {
	// DataDir holds the tasks and the directories of their own that they work in.
	DataDir string
	// AppServers are several App Servers. Where it is empty, the fields from here to
	// LettaHome are about the only one.
	AppServers []AppServer
	// AppServer is "managed" (default), a ws, wss, http or https URL, "scripted:FILE", or "none".
	AppServer string
	// Token is sent to an App Server that is given by URL; nil is none.
	Token appclient.TokenSource
	// TokenFile is read for the token when Token is nil; empty is none.
	TokenFile string
	// SecretFiles hold what must not be stored or shown, besides TokenFile and what
	// the environment holds.
	SecretFiles []string
	// SecretVariables name variables of the environment whose names do not look like those of secrets.
	SecretVariables []string
	// SecretValues must not be stored or shown either: addresses of webhooks, for instance.
	SecretValues []string
	// Redact gets those secrets, too, so that whoever logs takes them out as well; nil
	// makes one for the orchestrator alone.
	Redact *redaction.Redactor
	// Transport is how to connect to an App Server that is given by URL; default is to find out.
	Transport appclient.Transport
	// LettaCommand is the program to start as managed App Server; default "letta" from PATH.
	LettaCommand string
	// LettaHome is the HOME of the managed App Server; default is that of the user.
	LettaHome string
	// Model is the handle of the model of agents that name none; default is the
	// one that the App Server offers. Where it offers several, somebody has to choose.
	Model string
	// RolesDir holds roles that replace those of the library or are added to them; empty is none.
	RolesDir string
	// PricesFile says what models cost; default is prices.yaml in the data
	// directory, and where that does not exist, only local models have a price: none.
	PricesFile string
	// MaxTurns is how many turns run at once; default 16, or what all of AppServers take together.
	MaxTurns int
	// Teams are limits of single teams, by their names.
	Teams map[string]engine.TeamLimit
	// Transcripts says what is kept of the streams of turns.
	Transcripts TranscriptOptions
	// Version is told to the App Server.
	Version string
	// Observer is told what the engine does; nil is nobody.
	Observer engine.Observer
	// Trace is as in engine.Options.
	Trace func(state *workflow.State, turn workflow.Turn) *workflow.TraceContext
	// Removed is told of the tasks that are not kept any more; nil is nobody.
	Removed func(gone []store.TaskCount)
	// Log gets what people do not watch live. Frames that are not understood are in it at debug level.
	Log zerolog.Logger
}

// AppServer is one of several App Servers.
type AppServer struct {
	// Name is what people call it.
	Name string
	// Address is as Options.AppServer, but for "none".
	Address string
	// Token, TokenFile and Transport are as in Options, for a server that is given by its URL.
	Token     appclient.TokenSource
	TokenFile string
	Transport appclient.Transport
	// LettaCommand and LettaHome are as in Options, for a managed one.
	LettaCommand, LettaHome string
	// MaxTurns is how many turns run on it at once; default 16.
	MaxTurns int
}

// appServers are the App Servers that the options ask for.
func (o Options) appServers() []AppServer {
	if len(o.AppServers) > 0 {
		return o.AppServers
	}
	if o.AppServer == AppServerNone {
		return nil
	}
	address := cmp.Or(o.AppServer, AppServerManaged)
	return []AppServer{{
		Name: address, Address: address, Token: o.Token, TokenFile: o.TokenFile, Transport: o.Transport,
		LettaCommand: o.LettaCommand, LettaHome: o.LettaHome, MaxTurns: cmp.Or(o.MaxTurns, defaultTurns),
	}}
}

// defaultTurns is how many turns run at once on a server that has no other limit.
const defaultTurns = 16
