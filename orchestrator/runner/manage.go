package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// Check connects to the server, or finds that it is connected, and returns what
// the server says of itself. Errors: as of appclient.Dial; appclient.ErrConnectionLost
// where it could not be reached within Options.ConnectTimeout.
func (r *Runner) Check(ctx context.Context) (appclient.ServerInfo, error) {
	client, err := r.conn.get(ctx)
	if err != nil {
		return appclient.ServerInfo{}, err
	}
	return client.Info(), nil
}

// HasAgent says whether the server has an agent with this ID.
func (r *Runner) HasAgent(ctx context.Context, id string) (bool, error) {
	client, err := r.conn.get(ctx)
	if err != nil {
		return false, err
	}
	switch _, err := client.Agent(ctx, id); {
	case errors.Is(err, appclient.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for agent %s: %w", id, err)
	}
	return true, nil
}

// TeamAgent is an agent on the server that was made for a team.
type TeamAgent struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Team  string `json:"team"`
	Agent string `json:"agent"`
	Model string `json:"model,omitempty"`
	// Revision changes with the prompt and the model.
	Revision string `json:"revision,omitempty"`
	Memory   bool   `json:"memory,omitempty"`
}

// ErrNotOurs says that an agent was not made by an orchestrator.
var ErrNotOurs = errors.New("the agent was not made by the orchestrator")

// ListAgents lists the agents that orchestrators have made on the server, newest first.
func (r *Runner) ListAgents(ctx context.Context) ([]TeamAgent, error) {
	client, err := r.conn.get(ctx)
	if err != nil {
		return nil, err
	}
	all, err := listAgents(ctx, client, []string{tagOurs})
	if err != nil {
		return nil, err
	}
	var ours []TeamAgent
	for _, agent := range all {
		if slices.Contains(agent.Tags, tagOurs) {
			ours = append(ours, teamAgent(agent))
		}
	}
	return ours, nil
}

// RemoveAgents deletes agents with all of their conversations. It stops at the
// first that cannot be deleted and returns those that were. Agents that no
// orchestrator has made are refused with ErrNotOurs; appclient.ErrNotFound
// says that there is no such agent.
func (r *Runner) RemoveAgents(ctx context.Context, ids ...string) ([]TeamAgent, error) {
	client, err := r.conn.get(ctx)
	if err != nil {
		return nil, err
	}
	var removed []TeamAgent
	for _, id := range ids {
		agent, err := client.Agent(ctx, id)
		if err != nil {
			return removed, fmt.Errorf("remove agent %s: %w", id, err)
		}
		if !slices.Contains(agent.Tags, tagOurs) {
			return removed, fmt.Errorf("remove agent %s (%s): %w", id, agent.Name, ErrNotOurs)
		}
		if err := client.DeleteAgent(ctx, id); err != nil {
			return removed, fmt.Errorf("remove agent %s: %w", id, err)
		}
		ours := teamAgent(agent)
		if err := r.agents.entry(identity{ours.Team, ours.Agent, ours.Memory}).forget(ctx, id); err != nil {
			return removed, err
		}
		removed = append(removed, ours)
	}
	return removed, nil
}

func teamAgent(a appclient.Agent) TeamAgent {
	return TeamAgent{
		ID: a.ID, Name: a.Name, Team: tagValue(a.Tags, tagTeam), Agent: tagValue(a.Tags, tagAgent), Model: a.Model,
		Revision: tagValue(a.Tags, tagRevision), Memory: slices.Contains(a.Tags, tagMemory),
	}
}
