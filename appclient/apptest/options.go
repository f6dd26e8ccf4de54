package apptest

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Versions of the App Server whose behaviour is reproduced.
const (
	// VersionSingle takes one socket per client, any number of clients.
	VersionSingle = "0.30.28"
	// VersionSplit takes one control and one stream socket, and one client.
	VersionSplit = "0.29.5"
	// VersionJune is like VersionSplit but without app_server_info and control_request frames: approvals are
	// seen only in pending_control_requests.
	VersionJune = "0.27.20"
)

// Transport says how clients connect.
type Transport string

// The transports of the App Server.
const (
	// TransportByVersion takes the transport that the version has.
	TransportByVersion Transport = ""
	// TransportSingle is one socket at /ws; a request with ?channel= is answered with 426.
	TransportSingle Transport = "single"
	// TransportSplit is /ws?channel=control and /ws?channel=stream, one of each per server.
	TransportSplit Transport = "split"
)

// Options configure a Server. The zero value is a server like 0.30.28 on a free loopback port, without
// authentication, whose agents understand directives and whose tools do not really run.
type Options struct {
	// Listen is the TCP address; default "127.0.0.1:0".
	Listen string
	// Listener, when set, is used instead of Listen. Restart needs Listen.
	Listener net.Listener
	// Version decides what the server knows; default VersionSingle.
	Version string
	// Transport overrides what the version has.
	Transport Transport
	// Script says what agents answer; nil leaves all of them to directives.
	Script *Script
	// Answer, when set, is asked before Script what an agent answers in a turn;
	// with ok false the turn is left to Script. Strings of the steps are
	// templates as in a script, and nothing of a turn is checked beforehand. It is
	// called from the goroutines of the turns.
	Answer func(turn AskedTurn) (answer Turn, ok bool)
	// Token, when set, is demanded as bearer token.
	Token string
	// Exec lets Bash, Write, Edit and Read really run, in the working directory of the conversation. Without
	// it these calls answer with an error. Any client that can connect can then run commands.
	Exec bool
	// BootDir is the directory that replaces a working directory that does not exist; default the process's.
	BootDir string
	// Models are the handles that list_models reports; default "lmstudio/scripted".
	Models []string
	// RetryDelay is the first pause between attempts after a model failure; each next one doubles it. The
	// real server waits a second; default 0.
	RetryDelay time.Duration
	// ProviderTimeout ends a model request that is silent for so long; 0 means never. The real server
	// waits 300 seconds.
	ProviderTimeout time.Duration
	// ExternalToolTimeout ends an external tool call that is not answered; default 5 minutes.
	ExternalToolTimeout time.Duration
	// PingInterval is the time between protocol pings; default 30 s. A connection that does not answer within
	// three intervals is cut.
	PingInterval time.Duration
	// MaxQueuedFrames is how many frames may wait for a slow reader before its socket is cut; default 8192.
	MaxQueuedFrames int
	// RecordFrames keeps every frame sent and received for Frames.
	RecordFrames bool
	// Wire, when set, is told of every frame right before it is written and right after it was read, with the
	// time of the machine. It is called from the goroutines of the sockets, and must neither wait nor change Data.
	Wire func(frame Frame, at time.Time)
	// Now is the clock for timestamps; default time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.Version == "" {
		o.Version = VersionSingle
		if o.Transport == TransportSplit {
			o.Version = VersionSplit
		}
	}
	v, err := parseVersion(o.Version)
	if err != nil {
		return o, err
	}
	switch o.Transport {
	case TransportByVersion:
		o.Transport = TransportSplit
		if v.atLeast(29, 7) {
			o.Transport = TransportSingle
		}
	case TransportSingle, TransportSplit:
	default:
		return o, fmt.Errorf("apptest: transport %q is none of single, split", o.Transport)
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.BootDir == "" {
		if o.BootDir, err = os.Getwd(); err != nil {
			return o, fmt.Errorf("apptest: find working directory: %w", err)
		}
	}
	if len(o.Models) == 0 {
		o.Models = []string{"lmstudio/scripted"}
	}
	if o.ExternalToolTimeout == 0 {
		o.ExternalToolTimeout = 5 * time.Minute
	}
	if o.PingInterval == 0 {
		o.PingInterval = 30 * time.Second
	}
	if o.MaxQueuedFrames == 0 {
		o.MaxQueuedFrames = 8192
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, o.Script.validate()
}

type version [3]int

func parseVersion(s string) (version, error) {
	var v version
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return v, fmt.Errorf("apptest: version %q is not of the form 0.30.28", s)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return v, fmt.Errorf("apptest: version %q is not of the form 0.30.28: %w", s, err)
		}
		v[i] = n
	}
	return v, nil
}

// atLeast compares with version 0.minor.patch; there is no other major version.
func (v version) atLeast(minor, patch int) bool {
	w := version{0, minor, patch}
	for i := range v {
		if v[i] != w[i] {
			return v[i] > w[i]
		}
	}
	return true
}

// features are the differences between versions that a client can see.
type features struct {
	serverInfo      bool // app_server_info over both HTTP and the socket
	controlRequests bool // control_request frames, besides pending_control_requests
	turnEnd         bool // input_accepted, turn_finished, client_message_id, wait_for_replay
	queueRemoved    bool // update_queue.removed
	runInputs       bool // client_message_ids_by_run_id
	originWithToken bool // an Origin header is allowed with a valid token
	retries         bool // a model failure is tried again
	memfs           bool // create_agent.memfs
	toolsUpdate     bool // runtime_external_tools_update
}

func (v version) features() features {
	return features{
		serverInfo:      v.atLeast(29, 2),
		controlRequests: v.atLeast(27, 21),
		turnEnd:         v.atLeast(30, 3),
		queueRemoved:    v.atLeast(30, 19),
		runInputs:       v.atLeast(30, 28),
		originWithToken: v.atLeast(29, 4),
		retries:         v.atLeast(27, 21),
		memfs:           v.atLeast(27, 30),
		toolsUpdate:     v.atLeast(30, 8),
	}
}
