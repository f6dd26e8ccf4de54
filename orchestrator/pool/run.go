package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Run implements engine.TurnRunner. Further errors: *engine.OtherServerError.
func (p *Pool) Run(ctx context.Context, req engine.TurnRequest, rec engine.Recorder) (workflow.TurnFinished, error) {
	home, err := p.home(ctx, req)
	if err != nil {
		return workflow.TurnFinished{}, err
	}
	s := p.servers[home]
	switch {
	case s == nil && len(p.names) == 1:
		s = p.servers[p.names[0]] // which says that the conversation lives elsewhere
	case s == nil:
		return workflow.TurnFinished{Reason: workflow.ReasonError, Error: fmt.Sprintf(
			"the conversation of this task lives on the App Server %s, which is not among those of this orchestrator: add it to them, and retry the task", home)}, nil
	case req.Server != "" && req.Server != home:
		return workflow.TurnFinished{}, &engine.OtherServerError{Server: home}
	}
	finished, err := s.Runner.Run(ctx, req, &recorder{Recorder: rec, begun: func() {
		if req.Conversation.ConversationID == "" {
			p.mu.Lock()
			defer p.mu.Unlock()
			s.conversations++
		}
	}})
	if ctx.Err() == nil && p.saw(s, err) {
		if unreachable, ok := errors.AsType[*engine.UnreachableError](err); ok {
			err = &engine.UnreachableError{Err: unreachable.Err, Server: s.Name}
		}
	}
	return finished, err
}

// recorder tells when a runtime was started.
type recorder struct {
	engine.Recorder
	begun func()
}

// RuntimeStarted implements engine.Recorder.
func (r *recorder) RuntimeStarted(ctx context.Context, rt engine.RuntimeRecord) error {
	err := r.Recorder.RuntimeStarted(ctx, rt)
	if err == nil {
		r.begun()
	}
	return err
}

// Reconcile implements engine.TurnRunner. An error that is an
// *engine.UnreachableError says that the server gets nothing until it can be reached.
func (p *Pool) Reconcile(ctx context.Context, req engine.TurnRequest) (workflow.TurnReconciled, error) {
	home := req.Turn.Runtime.Server
	s := p.servers[home]
	switch {
	case s == nil && len(p.names) == 1:
		s = p.servers[p.names[0]]
	case s == nil:
		return workflow.TurnReconciled{
			Turn: req.Turn.ID, Attempt: req.Turn.Attempt, Finding: workflow.FindingUnknown,
			Detail: fmt.Sprintf("the turn was sent to the App Server %s, which is not among those of this orchestrator", home),
		}, nil
	case req.Server != "" && req.Server != home:
		return workflow.TurnReconciled{}, &engine.OtherServerError{Server: home}
	}
	found, err := s.Runner.Reconcile(ctx, req)
	if ctx.Err() == nil && p.saw(s, err) {
		err = &engine.UnreachableError{Err: err, Server: s.Name}
	}
	return found, err
}

// home is the server that a turn has to run on: the one that was chosen, where it
// may be any.
func (p *Pool) home(ctx context.Context, req engine.TurnRequest) (string, error) {
	if req.Conversation.Server != "" {
		return req.Conversation.Server, nil
	}
	chosen := req.Server
	if chosen == "" {
		p.mu.Lock()
		s := p.least()
		if s == nil {
			s = p.servers[p.names[0]]
		}
		p.mu.Unlock()
		chosen = s.Name
	}
	switch {
	case req.Agent.AgentID != "":
		return p.homeOfID(ctx, req.Agent.AgentID, chosen)
	case req.Agent.Memory:
		home, err := p.registry.AgentHome(ctx, req.Team.Name, req.Agent.Name, chosen, p.known())
		if err != nil {
			return "", fmt.Errorf("look for the App Server of agent %q: %w", req.Agent.Name, err)
		}
		return home, nil
	}
	return chosen, nil
}

// homeOfID finds the server that has an agent which a team file names by its ID.
func (p *Pool) homeOfID(ctx context.Context, id, chosen string) (string, error) {
	if len(p.names) == 1 {
		return chosen, nil
	}
	p.mu.Lock()
	home := p.agents[id]
	p.mu.Unlock()
	if home != "" {
		return home, nil
	}
	var missed error
	for _, name := range p.names {
		has, err := p.servers[name].Runner.HasAgent(ctx, id)
		switch {
		case has:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.agents[id] = name
			return name, nil
		case err != nil:
			missed = errors.Join(missed, fmt.Errorf("ask the App Server %s for agent %s: %w", name, id, err))
		}
	}
	if missed != nil { // it may be on one that could not be asked
		return "", &engine.UnreachableError{Err: missed}
	}
	return chosen, nil // which says that there is no such agent
}
