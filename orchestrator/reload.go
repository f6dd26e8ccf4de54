package orchestrator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// loaded is what the daemon goes by until the next reload. It does not change.
type loaded struct {
	config config.Config
	teams  teamFiles
	at     time.Time
	// restart names the fields that a reload found changed and that need a restart.
	restart []string
}

// prepared is everything that a configuration asks for, read and checked, before any of it counts.
type prepared struct {
	loaded
	roles  *roles.Library
	prices engine.Prices
	// certificate is nil where none is configured.
	certificate *tls.Certificate
}

// prepare reads what a configuration names. The error is everything that is wrong.
func prepare(c config.Config, dataDir string, before teamFiles) (prepared, error) {
	p := prepared{loaded: loaded{config: c, at: time.Now()}}
	var errs []error
	var err error
	if p.roles, err = roles.Load(c.Roles); err != nil {
		errs = append(errs, fmt.Errorf("load the roles: %w", err))
	}
	if p.prices, err = openPrices(c.Prices, dataDir); err != nil {
		errs = append(errs, err)
	}
	if p.certificate, err = readCertificate(c.TLS); err != nil {
		errs = append(errs, err)
	}
	if p.roles != nil {
		if p.teams, err = readTeams(c.Teams, p.roles.Names(), before); err != nil {
			errs = append(errs, err)
		}
	}
	return p, errors.Join(errs...)
}

// apply makes what is prepared count. An error means that the store has failed,
// or that schedules contradict each other; then nothing has changed.
func (d *Daemon) apply(ctx context.Context, p prepared) error {
	if err := d.schedules.Set(ctx, p.specs()); err != nil {
		return fmt.Errorf("set the schedules: %w", err)
	}
	if err := d.notifier.SetTargets(p.config.Notifications); err != nil {
		return fmt.Errorf("set the targets of notifications: %w", err)
	}
	if err := d.setLimits(p.config); err != nil {
		return fmt.Errorf("set the limits: %w", err)
	}
	orchestratorOptions(DaemonOptions{Config: p.config}).addSecrets(d.secrets)
	d.roles.replace(p.roles)
	d.prices.replace(p.prices)
	d.certificate.current.Store(p.certificate)
	d.live.Store(&p.loaded)
	for _, problem := range p.teams.problems() {
		for _, line := range problemLines(problem) {
			d.log.Error().Msg("teams: " + line)
		}
	}
	return nil
}

// Reload reads the configuration and what it names again. Where anything is
// wrong with them the old ones stay, and the error, which health shows as well,
// says what. A team file with mistakes does not count: it is shown with the
// teams. Tasks keep the teams that they were started with.
func (d *Daemon) Reload(ctx context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.tellState(stateReloading, "reading the configuration again")
	err := d.reload(ctx)
	d.reloadTrouble.Store(&reloadTrouble{at: time.Now(), err: err})
	if err == nil {
		d.tellState(stateReady, "listening at "+strings.Join(d.URLs(), ", "))
		return nil
	}
	d.tellState(stateReady, "the last reload failed: see the log")
	if d.options.Logging != nil { // the file may have been rotated
		if failed := d.options.Logging(d.live.Load().config.Logging); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	for _, line := range problemLines(err) {
		d.log.Error().Msg("reload: " + line)
	}
	d.log.Error().Msg("the configuration was not reloaded; the old one goes on")
	return fmt.Errorf("reload the configuration: %w", err)
}

func (d *Daemon) reload(ctx context.Context) error {
	old := d.live.Load()
	fresh := old.config
	if d.options.Load != nil {
		var err error
		if fresh, err = d.options.Load(); err != nil {
			return err
		}
	}
	next, err := prepare(fresh, d.store.Dir(), old.teams)
	if err != nil {
		return err
	}
	if d.options.Logging != nil {
		if err := d.options.Logging(fresh.Logging); err != nil {
			return err // Reload goes back to the old one
		}
	}
	defer func() {
		select {
		case d.reloaded <- struct{}{}:
		default:
		}
	}()
	next.restart = needRestart(d.options.Config, fresh)
	if err := d.apply(ctx, next); err != nil {
		return err
	}
	if len(next.restart) > 0 {
		d.log.Warn().Strs("fields", next.restart).Msg("these fields have changed and need a restart of the daemon")
	}
	d.log.Info().Int("teams", len(next.teams)).Msg("reloaded the configuration")
	return nil
}

// reloadTrouble is how the last reload ended.
type reloadTrouble struct {
	at  time.Time
	err error
}

// needRestart names the fields in which two configurations differ and that a reload cannot change.
func needRestart(running, fresh config.Config) []string {
	var names []string
	for name, values := range map[string][2]any{
		"data_dir":     {running.DataDir, fresh.DataDir},
		"listen":       {running.Listen, fresh.Listen},
		"tls":          {running.TLS, fresh.TLS},
		"behind_proxy": {running.BehindProxy, fresh.BehindProxy},
		"hosts":        {running.Hosts, fresh.Hosts},
		"tokens":       {running.Tokens, fresh.Tokens},
		"app_servers":  {withoutLimits(running.AppServers), withoutLimits(fresh.AppServers)},
		"model":        {running.Model, fresh.Model},
		"workspaces":   {running.Workspaces, fresh.Workspaces},
		"tracing":      {running.Tracing, fresh.Tracing},
	} {
		if !reflect.DeepEqual(values[0], values[1]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// withoutLimits leaves out what a reload can change.
func withoutLimits(list []config.AppServer) []config.AppServer {
	list = slices.Clone(list)
	for i := range list {
		list[i].MaxTurns = 0
	}
	return list
}

// problemLines are the single things that an error is about, each on a line of its own.
func problemLines(err error) []string {
	if problems, ok := errors.AsType[workflow.Problems](err); ok {
		lines := make([]string, len(problems))
		for i, p := range problems {
			p.Snippet, p.Width = "", 0 // the log has one line for each
			lines[i] = oneLine(p.String())
		}
		return lines
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, one := range joined.Unwrap() {
			lines = append(lines, problemLines(one)...)
		}
		return lines
	}
	return []string{oneLine(err.Error())}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
