package orchestrator

import (
	"os"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// orchestratorOptions are what the configuration of a daemon means for the parts below it.
func orchestratorOptions(d DaemonOptions) Options {
	c := d.Config
	o := Options{
		DataDir: c.DataDir, Model: c.Model, RolesDir: c.Roles, PricesFile: c.Prices, MaxTurns: c.Limits.MaxTurns,
		Version: d.Version, Log: d.Log, Redact: d.Redact, Transcripts: TranscriptOptions(c.Transcripts),
	}
	for _, secret := range []config.Secret{c.Tokens.Operator, c.Tokens.ReadOnly, c.Tracing.Token} {
		o.SecretFiles, o.SecretVariables = append(o.SecretFiles, secret.File), append(o.SecretVariables, secret.Env)
	}
	for _, target := range c.Notifications {
		o.SecretFiles = append(o.SecretFiles, target.SecretFile)
		if target.Webhook != "" {
			o.SecretValues = append(o.SecretValues, target.Webhook)
		}
	}
	o.SecretVariables = append(o.SecretVariables, "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
	o.Teams = teamLimits(c.Limits)
	if c.AppServers != nil && len(c.AppServers) == 0 {
		o.AppServer = AppServerNone
	}
	for _, s := range c.AppServers {
		of := AppServer{Name: s.Name, MaxTurns: serverTurns(c, s)}
		if s.Transport != "auto" {
			of.Transport = appclient.Transport(s.Transport)
		}
		switch {
		case s.Managed != nil:
			of.Address, of.LettaCommand, of.LettaHome = AppServerManaged, s.Managed.Command, s.Managed.Home
		case s.Scripted != "":
			of.Address = AppServerScripted + s.Scripted
		default:
			of.Address, of.TokenFile = s.URL, s.Token.File
			if s.Token.Env != "" {
				of.Token = appclient.StaticToken(os.Getenv(s.Token.Env))
				o.SecretVariables = append(o.SecretVariables, s.Token.Env)
			}
		}
		o.AppServers = append(o.AppServers, of)
	}
	return o
}

// serverTurns is how many turns run on a server at once; 0 is the default. The only
// server takes what all may take together.
func serverTurns(c config.Config, s config.AppServer) int {
	if s.MaxTurns == 0 && len(c.AppServers) == 1 {
		return c.Limits.MaxTurns
	}
	return s.MaxTurns
}

// teamLimits are those of the engine.
func teamLimits(l config.Limits) map[string]engine.TeamLimit {
	teams := make(map[string]engine.TeamLimit, len(l.Teams))
	for name, limit := range l.Teams {
		teams[name] = engine.TeamLimit{Tasks: limit.MaxTasks, Turns: limit.MaxTurns}
	}
	return teams
}

// CheckConfig reads everything that a configuration names, as NewDaemon would,
// and starts nothing. The error is all that would keep the daemon from starting;
// what is wrong with single teams is with them.
func CheckConfig(c config.Config) ([]TeamFile, error) {
	if _, err := serverNames(orchestratorOptions(DaemonOptions{Config: c}).appServers()); err != nil {
		return nil, err
	}
	p, err := prepare(c, c.DataDir, nil)
	return p.teams, err
}
