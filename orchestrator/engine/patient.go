package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// patientStore is the store for the engine's own work: an operation that fails
// because the store is unavailable is done again until it works. People are
// not made to wait: what they ask for goes to Engine.raw.
type patientStore struct{ e *Engine }

func patiently[T any](ctx context.Context, p patientStore, do func() (T, error)) (out T, err error) {
	err = p.e.persist(ctx, func() (err error) {
		out, err = do()
		return err
	})
	return out, err
}

// CommitAll implements Store. A commit that failed may be on the disk all the same.
func (p patientStore) CommitAll(ctx context.Context, decisions []store.Decision) error {
	again := false
	return p.e.persist(ctx, func() error {
		err := p.e.raw.CommitAll(ctx, decisions)
		if again && errors.Is(err, store.ErrConflict) && p.stored(ctx, *decisions[len(decisions)-1].State) {
			return nil
		}
		again = again || errors.Is(err, store.ErrUnavailable)
		return err
	})
}

// Create implements Store. As of CommitAll.
func (p patientStore) Create(ctx context.Context, state workflow.State, event workflow.Event, effects []workflow.Effect, key string) (id string, created bool, err error) {
	again := false
	err = p.e.persist(ctx, func() error {
		if again && p.stored(ctx, state) {
			id, created = state.Task, true
			return nil
		}
		id, created, err = p.e.raw.Create(ctx, state, event, effects, key)
		again = again || errors.Is(err, store.ErrUnavailable)
		return err
	})
	return id, created, err
}

// stored reports whether exactly this state is in the store.
func (p patientStore) stored(ctx context.Context, state workflow.State) bool {
	found, err := p.e.raw.Task(ctx, state.Task)
	if err != nil || found.Version != state.Version {
		return false
	}
	a, errA := json.Marshal(found)
	b, errB := json.Marshal(state)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// SaveRevision implements Store.
func (p patientStore) SaveRevision(ctx context.Context, team *workflow.Team, at time.Time) error {
	return p.e.persist(ctx, func() error { return p.e.raw.SaveRevision(ctx, team, at) })
}

// Revision implements Store.
func (p patientStore) Revision(ctx context.Context, hash string) (store.Revision, error) {
	return patiently(ctx, p, func() (store.Revision, error) { return p.e.raw.Revision(ctx, hash) })
}

// Task implements Store.
func (p patientStore) Task(ctx context.Context, id string) (workflow.State, error) {
	return patiently(ctx, p, func() (workflow.State, error) { return p.e.raw.Task(ctx, id) })
}

// ByKey implements Store.
func (p patientStore) ByKey(ctx context.Context, key string) (workflow.State, error) {
	return patiently(ctx, p, func() (workflow.State, error) { return p.e.raw.ByKey(ctx, key) })
}

// Events implements Store.
func (p patientStore) Events(ctx context.Context, task string, after int64) ([]store.Record, error) {
	return patiently(ctx, p, func() ([]store.Record, error) { return p.e.raw.Events(ctx, task, after) })
}

// Unfinished implements Store.
func (p patientStore) OpenPlaces(ctx context.Context) ([]string, error) {
	return patiently(ctx, p, func() ([]string, error) { return p.e.raw.OpenPlaces(ctx) })
}

func (p patientStore) Unfinished(ctx context.Context) ([]store.Ref, error) {
	return patiently(ctx, p, func() ([]store.Ref, error) { return p.e.raw.Unfinished(ctx) })
}

// Due implements Store.
func (p patientStore) Due(ctx context.Context, now time.Time, only []string) ([]string, error) {
	return patiently(ctx, p, func() ([]string, error) { return p.e.raw.Due(ctx, now, only) })
}

// NextWake implements Store.
func (p patientStore) NextWake(ctx context.Context, now time.Time, only []string) (time.Time, error) {
	return patiently(ctx, p, func() (time.Time, error) { return p.e.raw.NextWake(ctx, now, only) })
}

// Runtimes implements Store.
func (p patientStore) Runtimes(ctx context.Context, f store.RuntimeFilter) ([]store.Runtime, error) {
	return patiently(ctx, p, func() ([]store.Runtime, error) { return p.e.raw.Runtimes(ctx, f) })
}

// SharedConversation implements Store.
func (p patientStore) SharedConversation(ctx context.Context, team, agent string) (workflow.Runtime, error) {
	return patiently(ctx, p, func() (workflow.Runtime, error) { return p.e.raw.SharedConversation(ctx, team, agent) })
}

// Children implements Store.
func (p patientStore) Children(ctx context.Context, task string) ([]workflow.State, error) {
	return patiently(ctx, p, func() ([]workflow.State, error) { return p.e.raw.Children(ctx, task) })
}

// Probe implements Store.
func (p patientStore) Probe(ctx context.Context) error { return p.e.raw.Probe(ctx) }
