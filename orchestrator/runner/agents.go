package runner

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// agentTable remembers which agent on the server an agent of a team is.
type agentTable struct {
	mu      sync.Mutex
	entries map[identity]*agentEntry
}

// agentEntry is one agent. Its lock is held while the agent is looked up,
// made or brought up to date, so that tasks which need it at once make one.
type agentEntry struct {
	lock     *semaphore.Weighted // a lock whose waiting ends with a ctx
	id       string
	revision string
	// broken are agents that the server cannot start, which are not taken again.
	broken map[string]bool
}

// maxBroken bounds how many agents are given up as broken; then it is not the agent.
const maxBroken = 2

func (t *agentTable) entry(i identity) *agentEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries == nil {
		t.entries = make(map[identity]*agentEntry)
	}
	e := t.entries[i]
	if e == nil {
		e = &agentEntry{lock: semaphore.NewWeighted(1)}
		t.entries[i] = e
	}
	return e
}

func (e *agentEntry) acquire(ctx context.Context) error {
	if e.lock.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (e *agentEntry) release() { e.lock.Release(1) }

// forget makes the next turn look the agent up again.
func (e *agentEntry) forget(ctx context.Context, id string) error {
	if err := e.acquire(ctx); err != nil {
		return err
	}
	defer e.release()
	if e.id == id {
		e.id, e.revision = "", ""
	}
	return nil
}

// giveUp has another agent taken than one that the server cannot start. It is
// false where that was done too often.
func (e *agentEntry) giveUp(ctx context.Context, id string) (bool, error) {
	if err := e.acquire(ctx); err != nil {
		return false, err
	}
	defer e.release()
	if e.broken[id] {
		return true, nil // another task was faster
	}
	if len(e.broken) >= maxBroken {
		return false, nil
	}
	if e.broken == nil {
		e.broken = map[string]bool{}
	}
	e.broken[id] = true
	if e.id == id {
		e.id, e.revision = "", ""
	}
	return true, nil
}

// ensure finds the agent and brings it up to date. It returns an empty id when
// there is none; e is locked by the caller.
func (e *agentEntry) ensure(ctx context.Context, c *appclient.Client, d definition) (string, error) {
	if e.id != "" && e.revision == d.revision() {
		return e.id, nil
	}
	found, ok, err := findAgent(ctx, c, d.identity, e.broken)
	if err != nil || !ok {
		return "", err
	}
	if tagValue(found.Tags, tagRevision) != d.revision() {
		update := appclient.AgentUpdate{System: &d.system, Tags: d.tagsWith(found.Tags)}
		if d.model != "" { // the server's default cannot be named
			update.Model = &d.model
		}
		if _, err := c.UpdateAgent(ctx, found.ID, update); err != nil {
			return "", fmt.Errorf("bring agent %s up to date: %w", found.ID, err)
		}
	}
	e.id, e.revision = found.ID, d.revision()
	return e.id, nil
}

// findAgent finds an agent by its tags. Where two orchestrators have made one
// each at the same time, all take the oldest that is not broken.
func findAgent(ctx context.Context, c *appclient.Client, i identity, broken map[string]bool) (appclient.Agent, bool, error) {
	all, err := listAgents(ctx, c, i.tags())
	if err != nil {
		return appclient.Agent{}, false, err
	}
	for n := len(all) - 1; n >= 0; n-- { // the server lists the newest first
		if i.matches(all[n]) && !broken[all[n].ID] {
			return all[n], true, nil
		}
	}
	return appclient.Agent{}, false, nil
}

const (
	agentPage = 50
	// maxPages ends a listing that never ends, such as one of a server that ignores where to go on.
	maxPages = 200
)

// listAgents lists all agents that have the tags, newest first.
func listAgents(ctx context.Context, c *appclient.Client, tags []string) ([]appclient.Agent, error) {
	var all []appclient.Agent
	seen := make(map[string]bool)
	after := ""
	for range maxPages {
		page, err := c.ListAgents(ctx, appclient.AgentQuery{Tags: tags, Limit: agentPage, After: after})
		if err != nil {
			return nil, fmt.Errorf("list agents: %w", err)
		}
		fresh := 0
		for _, agent := range page {
			if !seen[agent.ID] {
				seen[agent.ID] = true
				all = append(all, agent)
				fresh++
			}
		}
		if len(page) < agentPage || fresh == 0 {
			break
		}
		after = page[len(page)-1].ID
	}
	return all, nil
}
