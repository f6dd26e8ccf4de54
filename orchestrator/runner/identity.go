package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Tags by which agents on a server are known as ours.
const (
	tagOurs     = "orchestrator"
	tagTeam     = "orchestrator:team="
	tagAgent    = "orchestrator:agent="
	tagMemory   = "orchestrator:memory"
	tagRevision = "orchestrator:revision="
	tagTask     = "orchestrator:task="
	tagShared   = "orchestrator:shared"
)

// identity is what makes an agent of a team one and the same Letta agent on a
// server. Memory is part of it, since it can be chosen only when an agent is made.
type identity struct {
	team, agent string
	memory      bool
}

// tags are those that the agent is found by.
func (i identity) tags() []string {
	tags := []string{tagOurs, tagTeam + i.team, tagAgent + i.agent}
	if i.memory {
		tags = append(tags, tagMemory)
	}
	return tags
}

// matches says whether an agent has exactly this identity.
func (i identity) matches(a appclient.Agent) bool {
	for _, tag := range i.tags() {
		if !slices.Contains(a.Tags, tag) {
			return false
		}
	}
	return slices.Contains(a.Tags, tagMemory) == i.memory
}

// definition is what a team makes of an agent on the server.
type definition struct {
	identity
	system, model string
}

// define puts together what the agent is to be.
func (r *Runner) define(team *workflow.Team, agent *workflow.Agent) (definition, error) {
	d := definition{identity: identity{team.Name, agent.Name, agent.Memory}, model: agent.Model}
	prompt := agent.Prompt
	if agent.Role != "" {
		if r.opts.Roles == nil {
			return d, fmt.Errorf("role %q of agent %q: no library of roles is loaded", agent.Role, agent.Name)
		}
		role, err := r.opts.Roles.Role(agent.Role)
		if err != nil {
			return d, fmt.Errorf("agent %q: %w", agent.Name, err)
		}
		prompt = role.Prompt
	}
	parts := []string{prompt, agent.Instructions}
	if len(agent.Outcomes) > 0 {
		parts = append(parts, "## Outcome\n\nReport the outcome of your work with the tool "+outcomeTool+
			" before your last message. It is one of: "+strings.Join(agent.Outcomes, ", ")+
			". Only what the tool was told counts; naming an outcome in a message does nothing.")
	}
	if slices.Contains(agent.ControllerTools, workflow.ToolHandoff) {
		parts = append(parts, "## Handoff\n\nSay with the tool "+workflow.ToolHandoff+
			" who goes on after you, before your last message. Its description says who there is.")
	}
	var system []string
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			system = append(system, part)
		}
	}
	d.system = strings.Join(system, "\n\n")
	return d, nil
}

// revision changes with everything that update brings to an existing agent.
func (d definition) revision() string {
	// A list of strings always encodes.
	data, _ := json.Marshal([]string{d.system, d.model})
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// tagsWith returns the tags of the agent: our own, and all others that it has.
func (d definition) tagsWith(existing []string) []string {
	tags := append(d.tags(), tagRevision+d.revision())
	for _, tag := range existing {
		if tag != tagOurs && !strings.HasPrefix(tag, tagOurs+":") {
			tags = append(tags, tag)
		}
	}
	return tags
}

// creation is the agent as runtime_start makes it.
func (d definition) creation() *appclient.AgentCreation {
	return &appclient.AgentCreation{
		AgentSpec: appclient.AgentSpec{
			Name: d.team + "/" + d.agent, Description: "Agent " + d.agent + " of the team " + d.team,
			System: d.system, Model: d.model, Tags: d.tagsWith(nil),
		},
		MemFS: d.memory,
	}
}

// tagValue returns what follows the prefix in one of the tags.
func tagValue(tags []string, prefix string) string {
	for _, tag := range tags {
		if value, ok := strings.CutPrefix(tag, prefix); ok {
			return value
		}
	}
	return ""
}
