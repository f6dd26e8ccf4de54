package orchestrator

import (
	"context"
	"slices"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/pool"
)

// Servers implements api.Service.
func (d *Daemon) Servers(context.Context) ([]api.Server, error) { return d.serverStates(), nil }

func (d *Daemon) serverStates() []api.Server {
	if d.pool == nil {
		return nil
	}
	load := d.engine.Load()
	var out []api.Server
	for _, s := range d.pool.Servers() {
		out = append(out, api.Server{
			Name: s.Title, Kind: s.Kind, URL: s.URL, State: string(s.State), Since: s.Since, Detail: s.Detail, Version: s.Version, Restarts: s.Restarts,
			Running: s.Running, Waiting: load.Servers[s.Name], Limit: s.Limit, Conversations: s.Conversations, Local: s.Local,
		})
	}
	return out
}

// DrainServer implements api.Service.
func (d *Daemon) DrainServer(_ context.Context, name string) (api.Server, error) {
	return d.changeServer(name, (*pool.Pool).Drain)
}

// ResumeServer implements api.Service.
func (d *Daemon) ResumeServer(_ context.Context, name string) (api.Server, error) {
	return d.changeServer(name, (*pool.Pool).Resume)
}

func (d *Daemon) changeServer(name string, change func(p *pool.Pool, name string) error) (api.Server, error) {
	if d.pool != nil {
		states := d.pool.Servers()
		if i := slices.IndexFunc(states, func(s pool.Status) bool { return s.Title == name }); i >= 0 {
			if err := change(d.pool, states[i].Name); err != nil {
				return api.Server{}, err
			}
			return d.serverStates()[i], nil
		}
	}
	return api.Server{}, &api.UnknownServerError{Name: name}
}

// setLimits makes the limits of a configuration count.
func (d *Daemon) setLimits(c config.Config) error {
	if d.pool != nil {
		for _, s := range d.servers {
			for _, fresh := range c.AppServers {
				if fresh.Name == s.of.Name {
					s.of.MaxTurns = serverTurns(c, fresh)
				}
			}
			if err := d.pool.SetMaxTurns(s.Name(), s.limit()); err != nil {
				return err
			}
		}
	}
	turns := c.Limits.MaxTurns
	if turns == 0 {
		turns = d.servers.turns()
	}
	d.engine.SetLimits(engine.Limits{Turns: turns, Teams: teamLimits(c.Limits)})
	return nil
}
