package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/appserver"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

const (
	// nodeMajor is the first version of Node.js that the App Server runs on.
	nodeMajor = 20
	// serverTime bounds starting an App Server, and asking one.
	serverTime = 90 * time.Second
)

// checkServers looks at the App Servers: those of the daemon where there is one.
func (d *doctor) checkServers(ctx context.Context) {
	if d.daemon != nil {
		d.checkDaemonServers(ctx)
		return
	}
	servers := d.settings.config.AppServers
	if servers == nil {
		servers = []config.AppServer{{Name: orchestrator.AppServerManaged, Managed: &config.Managed{}}}
	}
	if len(servers) == 0 {
		d.good("App Server", "none is wanted: teams with agents cannot run")
	}
	for _, s := range servers {
		ctx, cancel := context.WithTimeout(ctx, serverTime)
		switch {
		case s.Managed != nil:
			d.checkManaged(ctx, s)
		case s.Scripted != "":
			d.checkScripted(s)
		default:
			d.checkRemote(ctx, s)
		}
		cancel()
	}
}

func (d *doctor) checkDaemonServers(ctx context.Context) {
	servers, err := d.daemon.Servers(ctx)
	if err != nil {
		d.failed("App Server", err)
		return
	}
	if len(servers) == 0 {
		d.good("App Server", "the daemon has none: teams with agents cannot run")
	}
	for _, s := range servers {
		text := strings.Join(nonEmpty(s.Name, s.Version, s.State, s.Detail), ", ")
		if s.State == "unreachable" {
			d.bad("App Server", text, "check that it runs; the daemon goes on with it by itself")
			continue
		}
		d.good("App Server", "%s", text)
	}
}

func nonEmpty(texts ...string) []string {
	var out []string
	for _, text := range texts {
		if text != "" {
			out = append(out, text)
		}
	}
	return out
}

// checkManaged looks at the App Server that is installed here.
func (d *doctor) checkManaged(ctx context.Context, s config.AppServer) {
	node, err := d.version(ctx, "node", "--version")
	if err != nil {
		d.bad("Node.js", "node is not there, or does not work: "+firstSentence(err), fmt.Sprintf("install Node.js %d or later: the App Server runs on it", nodeMajor))
	} else if m := versionNumbers.FindStringSubmatch(node); m == nil || !atLeast(m[1], nodeMajor) {
		d.bad("Node.js", "node is "+oneLine(node, 40), fmt.Sprintf("install Node.js %d or later: the App Server runs on it", nodeMajor))
	} else {
		d.good("Node.js", "node %s", m[0])
	}
	command := cmp.Or(s.Managed.Command, "letta")
	version, err := d.version(ctx, command, "--version")
	if err != nil {
		d.bad("App Server", firstSentence(err), "install it (npm install -g @letta-ai/letta-code), name it with --letta, or use one that runs: --app-server ws://HOST:PORT")
		return
	}
	if d.quick {
		d.good("App Server", "%s %s is installed (not started: --quick)", command, oneLine(version, 60))
		return
	}
	server, err := appserver.Start(ctx, appserver.Options{Name: s.Name, Command: s.Managed.Command, Home: s.Managed.Home, Log: d.app.log})
	if err != nil {
		d.failed("App Server", fmt.Errorf("%w: %w", orchestrator.ErrNotStarted, err))
		return
	}
	address, err := server.URL(ctx)
	if err == nil {
		d.checkConnection(ctx, s.Name, appclient.Config{URL: address, Token: server})
	}
	if err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))); err != nil {
		d.failed("App Server", err)
	}
}

func atLeast(number string, least int) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n >= least
}

func (d *doctor) checkScripted(s config.AppServer) {
	text, err := os.ReadFile(s.Scripted)
	if err == nil {
		_, err = apptest.ParseScript(s.Scripted, text)
	}
	if err != nil {
		d.bad("App Server", err.Error(), "mend the script")
		return
	}
	d.good("App Server", "the script %s, which asks no model", s.Scripted)
}

func (d *doctor) checkRemote(ctx context.Context, s config.AppServer) {
	transport, err := parseTransport(s.Transport)
	if err != nil {
		d.failed("App Server", err)
		return
	}
	c := appclient.Config{URL: s.URL, Transport: transport}
	switch {
	case s.Token.File != "":
		c.Token = appclient.TokenFile(s.Token.File)
	case s.Token.Env != "":
		c.Token = appclient.StaticToken(os.Getenv(s.Token.Env))
	}
	d.checkConnection(ctx, s.Name, c)
}

// checkConnection asks an App Server what it is, and for its models.
func (d *doctor) checkConnection(ctx context.Context, name string, c appclient.Config) {
	c.Client = appclient.ClientInfo{Name: "orchestrator", Version: buildVersion()}
	conn, err := appclient.Dial(ctx, c)
	if err != nil {
		d.failed("App Server", &orchestrator.ConnectError{Address: c.URL, Err: err})
		return
	}
	version := conn.Info().Version
	if version == "" {
		version = "before 0.29.2"
	}
	d.good("App Server", "%s answers, version %s", name, version)
	models, err := conn.ListModels(ctx)
	if err = errors.Join(err, conn.Close()); err != nil { //nolint:contextcheck // it bounds itself
		d.failed("models", err)
		return
	}
	d.checkModels(models)
}

// checkModels looks whether there is a model, and the one that is wanted.
func (d *doctor) checkModels(models appclient.ModelList) {
	const shown = 5
	wanted := d.settings.config.Model
	has := map[string]bool{}
	for _, handle := range models.Handles {
		has[handle] = true
	}
	switch {
	case len(models.Handles) == 0:
		d.bad("models", "the App Server offers none", "give it the credentials of a provider (letta, then /connect), or name a model with --model provider/model")
	case wanted != "" && !has[wanted]:
		d.bad("models", fmt.Sprintf("%s is none of the %d that the App Server offers, such as %s", wanted, len(models.Handles), models.Handles[0]), "choose another one with --model or $"+orchestrator.ModelVariable)
	default:
		names := strings.Join(models.Handles[:min(len(models.Handles), shown)], ", ")
		if more := len(models.Handles) - shown; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		d.good("models", "%s", names)
	}
}
