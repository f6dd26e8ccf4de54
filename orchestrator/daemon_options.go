package orchestrator

import (
	"cmp"
	"fmt"
	"os"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// orchestratorOptions are what the configuration of a daemon means for the parts below it.
func orchestratorOptions(d DaemonOptions) (Options, error) {
	c := d.Config
	o := Options{
		DataDir: c.DataDir, Model: c.Model, RolesDir: c.Roles, PricesFile: c.Prices, MaxTurns: c.Limits.MaxTurns,
		Version: d.Version, Log: d.Log,
	}
	for _, secret := range []config.Secret{c.Tokens.Operator, c.Tokens.ReadOnly} {
		o.SecretFiles, o.SecretVariables = append(o.SecretFiles, secret.File), append(o.SecretVariables, secret.Env)
	}
	switch {
	case c.AppServers == nil:
		return o, nil // the installed one
	case len(c.AppServers) == 0:
		o.AppServer = AppServerNone
		return o, nil
	case len(c.AppServers) > 1:
		return o, fmt.Errorf("%w: %d App Servers are configured, and one can be used", ErrAppServer, len(c.AppServers))
	}
	s := c.AppServers[0]
	o.MaxTurns = cmp.Or(o.MaxTurns, s.MaxTurns)
	if s.Transport != "auto" {
		o.Transport = appclient.Transport(s.Transport)
	}
	switch {
	case s.Managed != nil:
		o.AppServer, o.LettaCommand, o.LettaHome = AppServerManaged, s.Managed.Command, s.Managed.Home
	case s.Scripted != "":
		o.AppServer = AppServerScripted + s.Scripted
	default:
		o.AppServer, o.TokenFile = s.URL, s.Token.File
		if s.Token.Env != "" {
			o.Token = appclient.StaticToken(os.Getenv(s.Token.Env))
			o.SecretVariables = append(o.SecretVariables, s.Token.Env)
		}
	}
	return o, nil
}

// CheckConfig reads everything that a configuration names, as NewDaemon would,
// and starts nothing. The error is all that would keep the daemon from starting;
// what is wrong with single teams is with them.
func CheckConfig(c config.Config) ([]TeamFile, error) {
	if _, err := orchestratorOptions(DaemonOptions{Config: c}); err != nil {
		return nil, err
	}
	p, err := prepare(c, c.DataDir, nil)
	return p.teams, err
}
