package orchestrator

import (
	"sync/atomic"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// replaceablePrices are prices that a reload replaces while turns run.
type replaceablePrices struct{ current atomic.Pointer[engine.Prices] }

func (r *replaceablePrices) replace(prices engine.Prices) { r.current.Store(&prices) }

// Price implements engine.Prices.
func (r *replaceablePrices) Price(model string, u workflow.Usage) (cost int64, known bool) {
	return (*r.current.Load()).Price(model, u)
}

// replaceableRoles are roles that a reload replaces while turns run. An agent
// that exists keeps the role that it was made with.
type replaceableRoles struct{ current atomic.Pointer[roles.Library] }

func (r *replaceableRoles) replace(library *roles.Library) { r.current.Store(library) }

func (r *replaceableRoles) names() []string { return r.current.Load().Names() }

// Role implements runner.Roles.
func (r *replaceableRoles) Role(name string) (roles.Role, error) { return r.current.Load().Role(name) }
