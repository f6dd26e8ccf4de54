package engine

import "maps"

// Limits bound what runs at once. They say nothing of what waits for a time or
// for a person: that holds no slot.
type Limits struct {
	// Turns is how many turns run at once, of all teams; 0 is Options.MaxTurns.
	Turns int
	// Teams are the limits of single teams, by their names. A task counts to the
	// team that it is of, whoever has started it.
	Teams map[string]TeamLimit
}

// TeamLimit bounds one team; 0 is no bound.
type TeamLimit struct {
	// Tasks is how many tasks have something to do at once.
	Tasks int
	// Turns is how many turns and checks run at once.
	Turns int
}

// SetLimits changes the limits from now on. Nothing that runs is stopped: where
// more runs than is allowed now, nothing begins before less does.
func (e *Engine) SetLimits(l Limits) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limits = Limits{Turns: l.Turns, Teams: maps.Clone(l.Teams)}
	if e.limits.Turns <= 0 {
		e.limits.Turns = e.o.MaxTurns
	}
	e.ready.limit(e.limits.Teams)
	e.pump()
}

// Load is how much an engine has to do now.
type Load struct {
	// Running is how many slots are in use: by turns, checks, and tasks that are
	// claimed or found out about.
	Running int
	// Asking is how many turns wait for a person, without a slot.
	Asking int
	// Queued is how many tasks wait to be claimed.
	Queued int
	// Ready is how many turns and checks could run and wait for a slot.
	Ready int
	// Servers is how many of these turns can go to one App Server alone, by its name.
	Servers map[string]int
}

// Load returns how much there is to do now.
func (e *Engine) Load() Load {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := Load{Running: e.slots, Asking: e.asking, Queued: e.ready.queued, Servers: map[string]int{}}
	for at, n := range e.ready.waiting {
		out.Ready += n
		if at.server != "" {
			out.Servers[at.server] = n
		}
	}
	return out
}
