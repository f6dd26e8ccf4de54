package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// startTries is how often a runtime is started. Nothing was sent to the model
	// yet, so that a connection which turns out to be dead, an agent which was
	// deleted, or a server that stumbles costs no more than another try.
	startTries = 3
	// startPause comes between tries, longer each time.
	startPause = 300 * time.Millisecond
)

// worthAnotherTry says whether starting a runtime may work the next time. What
// the server says of a failure does not tell a lasting cause from a passing one,
// such as files that it writes for two runtimes at once.
func worthAnotherTry(err error) bool {
	var refused *appclient.RuntimeStartError
	return errors.Is(err, appclient.ErrConnectionLost) || errors.Is(err, appclient.ErrRequestTimeout) ||
		errors.As(err, &refused) && !errors.Is(err, appclient.ErrNotFound)
}

// start starts the runtime of the turn.
func (a *attempt) start(ctx context.Context) (*appclient.Session, error) {
	if server := a.req.Conversation.Server; server != "" && server != a.r.opts.Server.Name() {
		return nil, failf("the conversation of this task lives on the App Server %s, and this is %s: go on with that one", server, a.r.opts.Server.Name())
	}
	var session *appclient.Session
	var err error
	for try := range startTries + 1 {
		var again bool
		if session, again, err = a.startOnce(ctx); err == nil || !again || try == startTries {
			break
		}
		if try == startTries-1 && !a.replaceAgent(ctx, err) {
			break
		}
		a.log.Debug().Err(err).Msg("start the runtime again")
		select {
		case <-time.After(startPause << try):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if failed := (*failure)(nil); err != nil && !errors.As(err, &failed) {
		err = fail(err)
	}
	return session, err
}

// replaceAgent has another agent made than one that the server refuses to start.
// A server that was killed while it made an agent leaves a half, which it lists,
// and can never start again. An agent with memory, or with a conversation, cannot
// be replaced by one that knows nothing.
func (a *attempt) replaceAgent(ctx context.Context, err error) bool {
	refused, ok := errors.AsType[*appclient.RuntimeStartError](err)
	if !ok || a.ownAgent == "" || a.req.Agent.Memory || a.req.Conversation.ConversationID != "" {
		return false
	}
	d, failed := a.r.define(a.req.Team, a.req.Agent)
	if failed != nil {
		return false
	}
	replaced, failed := a.r.agents.entry(d.identity).giveUp(ctx, a.ownAgent)
	if failed != nil || !replaced {
		return false
	}
	a.log.Warn().Err(refused).Str("agent_id", a.ownAgent).Msg("the App Server cannot start the agent; another one is made")
	return true
}

// startOnce starts the runtime. again says that another try may work.
func (a *attempt) startOnce(ctx context.Context) (session *appclient.Session, again bool, err error) {
	client, err := a.r.conn.get(ctx)
	if err != nil {
		return nil, false, err
	}
	start := appclient.RuntimeStart{
		AgentID: a.req.Agent.AgentID, ConversationID: a.req.Conversation.ConversationID,
		CWD: a.cwd, Mode: a.mode(), Tools: a.tools, Approve: a.approveAlone,
	}
	if start.ConversationID == "" {
		start.CreateConversation = a.conversation()
	}
	if start.AgentID != "" {
		a.req.Frames.Writing()
		session, err = client.StartRuntime(ctx, start)
		if errors.Is(err, appclient.ErrNotFound) {
			return nil, false, a.notFound(start, err)
		}
		return session, worthAnotherTry(err), err
	}
	return a.startOwn(ctx, client, start)
}

// conversation describes a new conversation for the people who see it on the server.
func (a *attempt) conversation() *appclient.ConversationSpec {
	if a.req.Agent.Conversation == workflow.ConversationShared {
		return &appclient.ConversationSpec{Summary: a.req.Team.Name + " " + a.req.Agent.Name + " (all tasks)", Tags: []string{tagOurs, tagShared}}
	}
	spec := &appclient.ConversationSpec{Summary: a.req.Team.Name + " " + a.req.Task, Tags: []string{tagOurs, tagTask + a.req.Task}}
	if key := a.req.Turn.Conversation; key != "" && key != a.req.Agent.Name {
		spec.Summary += " " + key
	}
	return spec
}

// startOwn starts the runtime of an agent that we make ourselves where there is none.
func (a *attempt) startOwn(ctx context.Context, client *appclient.Client, start appclient.RuntimeStart) (*appclient.Session, bool, error) {
	d, err := a.r.define(a.req.Team, a.req.Agent)
	if err != nil {
		return nil, false, err
	}
	if d.model == "" {
		if d.model, err = a.r.model(ctx, client, d.agent); err != nil {
			return nil, worthAnotherTry(err), err
		}
	}
	entry := a.r.agents.entry(d.identity)
	id, session, err := a.ensure(ctx, client, entry, d, start)
	if err != nil || session != nil {
		return session, worthAnotherTry(err) || errors.Is(err, appclient.ErrNotFound), err
	}
	if start.AgentID = id; start.ConversationID != "" && a.req.Conversation.AgentID != "" {
		start.AgentID = a.req.Conversation.AgentID // a conversation belongs to the agent that it was begun with
	}
	a.ownAgent = start.AgentID
	a.req.Frames.Writing()
	session, err = client.StartRuntime(ctx, start)
	if !errors.Is(err, appclient.ErrNotFound) {
		return session, worthAnotherTry(err), err
	}
	// Somebody deleted the agent or the conversation.
	if err := entry.forget(ctx, start.AgentID); err != nil {
		return nil, false, err
	}
	if start.ConversationID != "" {
		return nil, false, a.notFound(start, err)
	}
	return nil, true, err
}

// ensure returns the id of the agent, or the session of one that had to be made.
func (a *attempt) ensure(ctx context.Context, client *appclient.Client, entry *agentEntry, d definition, start appclient.RuntimeStart) (string, *appclient.Session, error) {
	if err := entry.acquire(ctx); err != nil {
		return "", nil, err
	}
	defer entry.release()
	id, err := entry.ensure(ctx, client, d)
	if err != nil || id != "" {
		return id, nil, err
	}
	if start.ConversationID != "" {
		return a.req.Conversation.AgentID, nil, nil // somebody changed its tags, or it is gone: starting the runtime shows it
	}
	start.CreateAgent = d.creation()
	a.req.Frames.Writing()
	session, err := client.StartRuntime(ctx, start)
	if err != nil {
		return "", nil, fmt.Errorf("make agent %s/%s: %w", d.team, d.agent, err)
	}
	entry.id, entry.revision = session.Runtime().AgentID, d.revision()
	a.log.Info().Str("agent_id", entry.id).Str("team", d.team).Msg("made an agent on the App Server")
	return entry.id, session, nil
}

// notFound is the failure of a turn whose agent or conversation is not there.
// A conversation that is gone took the agent's memory of the task with it, so
// that going on in a new one is left to the rules of the team.
func (a *attempt) notFound(start appclient.RuntimeStart, err error) error {
	if start.ConversationID != "" {
		return &failure{
			reason: workflow.ReasonError, lost: true,
			err: fmt.Errorf("conversation %s of agent %q is no longer on the App Server %s, and what was said in it is gone: %w",
				start.ConversationID, a.req.Agent.Name, a.r.opts.Server.Name(), err),
		}
	}
	return failf("agent_id %q of agent %q does not exist on the App Server %s: mend it in the team file, or leave it out to have an agent made: %w",
		start.AgentID, a.req.Agent.Name, a.r.opts.Server.Name(), err)
}
