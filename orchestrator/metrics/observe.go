package metrics

import (
	"cmp"
	"strconv"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

type turnKey struct {
	task string
	turn int
}

// rule names a handoff rule with the nodes that it led from and to.
type rule struct {
	number   int
	from, to string
}

func (r rule) labels(team string, more ...string) []string {
	return append([]string{team, strconv.Itoa(r.number), r.from, r.to}, more...)
}

// Decided implements engine.Observer.
func (m *Metrics) Decided(d engine.Decision) {
	m.countTask(d)
	switch body := d.Event.Body.(type) {
	case workflow.TurnFinished:
		m.countTurn(d, body)
	case workflow.TurnReconciled:
		m.vecs[reconciled].add(1, d.Next.Team, string(body.Finding))
		if turn, ok := turnOf(d.Prev, body.Turn); ok && body.Finding != workflow.FindingFinished {
			m.countUsage(d.Next.Team, turn.Node, body.Usage, body.Model, body.Cost, body.Unpriced)
		}
		if body.Finding == workflow.FindingFinished {
			m.countTurn(d, workflow.TurnFinished{
				Turn: body.Turn, Attempt: body.Attempt, Reason: workflow.ReasonEndTurn,
				Usage: body.Usage, Model: body.Model, Cost: body.Cost, Unpriced: body.Unpriced,
			})
		}
	case workflow.TurnUsed:
		m.countUsage(d.Next.Team, body.Node, body.Usage, body.Model, body.Cost, body.Unpriced)
	case workflow.GateAnswered:
		reason := workflow.ReasonRejected
		if body.Approved {
			reason = workflow.ReasonApproved
		}
		m.countTurn(d, workflow.TurnFinished{Turn: body.Turn, Reason: reason})
	}
	m.countHandoffs(d)
}

// countTask counts the task where its state has changed.
func (m *Metrics) countTask(d engine.Decision) {
	team, before, after := d.Next.Team, d.Prev.Status, d.Next.Status
	if d.Prev.Version == 0 {
		m.vecs[tasksSubmitted].add(1, team)
	}
	if before == after {
		return
	}
	if d.Prev.Version > 0 {
		m.vecs[tasks].add(-1, team, string(before))
	}
	m.vecs[tasks].add(1, team, string(after))
	if after.Terminal() {
		m.vecs[tasksEnded].add(1, team, string(after))
		m.vecs[taskSeconds].observe(max(d.Event.At.Sub(d.Next.Created), 0).Seconds(), team, string(after))
	}
}

// countTurn counts an attempt that has ended.
func (m *Metrics) countTurn(d engine.Decision, f workflow.TurnFinished) {
	turn, ok := turnOf(d.Prev, f.Turn)
	if !ok {
		return
	}
	team, kind := d.Next.Team, cmp.Or(string(turn.Kind), "agent")
	m.vecs[turns].add(1, team, turn.Node, kind, string(f.Reason))
	if took, ok := turnTook(turn, d.Event.At); ok {
		m.vecs[turnSeconds].observe(took, team, turn.Node, kind)
	}
	if turn.Kind == workflow.KindAgent { // what a sub-team used is counted where it was used
		m.countUsage(team, turn.Node, f.Usage, f.Model, f.Cost, f.Unpriced)
	}
}

// countUsage counts what an agent has used.
func (m *Metrics) countUsage(team, agent string, used workflow.Usage, model string, money int64, unknown bool) {
	for _, part := range []struct {
		kind  string
		count int64
	}{
		{"input", used.PromptTokens}, {"output", used.CompletionTokens},
		{"cached_input", used.CachedInputTokens}, {"reasoning", used.ReasoningTokens},
	} {
		if part.count > 0 {
			m.vecs[tokens].add(float64(part.count), team, agent, model, part.kind)
		}
	}
	if money > 0 {
		m.vecs[cost].add(float64(money)/1e6, team, agent, model)
	}
	if unknown {
		m.vecs[unpriced].add(1, model)
	}
}

// countHandoffs counts the rules that fired, and how the turns ended that rules handed over to.
func (m *Metrics) countHandoffs(d engine.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	followed := map[int]bool{}
	for _, effect := range d.Effects {
		h, ok := effect.(workflow.Handoff)
		switch {
		case !ok:
		case h.Retry:
			m.vecs[retries].add(1, d.Next.Team, h.From, string(h.Reason))
		case h.From != "":
			m.countHandoff(d, h, followed[h.FromTurn])
			followed[h.FromTurn] = true
		}
	}
	m.forgetEnded(d)
}

// countHandoff counts one handoff; again says that the turn before it led to another one, too.
func (m *Metrics) countHandoff(d engine.Decision, h workflow.Handoff, again bool) {
	if given, ok := m.given[turnKey{d.Next.Task, h.FromTurn}]; ok {
		if !again {
			m.vecs[handoffResults].add(1, given.labels(d.Next.Team, string(h.Reason))...)
		}
		if h.To == given.from {
			m.vecs[handoffRejections].add(1, given.labels(d.Next.Team)...)
		}
	}
	if h.Rule == 0 {
		return // no rule decided
	}
	r := rule{number: h.Rule, from: h.From, to: h.To}
	m.vecs[handoffs].add(1, r.labels(d.Next.Team)...)
	if h.ToTurn > 0 {
		m.given[turnKey{d.Next.Task, h.ToTurn}] = r
	}
	turn, ok := turnOf(d.Prev, h.FromTurn)
	if !ok || again {
		return
	}
	if took, ok := turnTook(turn, d.Event.At); ok {
		m.vecs[handoffTurnSeconds].observe(took, r.labels(d.Next.Team)...)
	}
	if f, ok := d.Event.Body.(workflow.TurnFinished); ok && f.Turn == h.FromTurn {
		m.vecs[handoffTokens].add(float64(f.Usage.PromptTokens), r.labels(d.Next.Team, "input")...)
		m.vecs[handoffTokens].add(float64(f.Usage.CompletionTokens), r.labels(d.Next.Team, "output")...)
	}
}

// forgetEnded drops what is known of turns that have ended. m.mu is held.
func (m *Metrics) forgetEnded(d engine.Decision) {
	for _, turn := range d.Prev.Turns {
		key := turnKey{d.Next.Task, turn.ID}
		given, known := m.given[key]
		if !known {
			continue
		}
		if _, live := turnOf(d.Next, turn.ID); live && !d.Next.Status.Terminal() {
			continue
		}
		delete(m.given, key)
		for _, effect := range d.Effects { // the turn that asks for a missing outcome stands for the one before
			if s, ok := effect.(workflow.StartTurn); ok && s.Reminder && s.Node == turn.Node && s.Branch == turn.Branch {
				m.given[turnKey{d.Next.Task, s.Turn}] = given
			}
		}
	}
	if d.Next.Status.Terminal() { // also those that were put off while the task was paused
		for id := range d.Next.LastTurn + 1 {
			delete(m.given, turnKey{d.Next.Task, id})
		}
	}
}

// turnTook is how long an attempt took, in seconds; not known for what was never sent.
func turnTook(turn workflow.Turn, end time.Time) (float64, bool) {
	if turn.Started.IsZero() {
		return 0, false
	}
	return max(end.Sub(turn.Started), 0).Seconds(), true
}

func turnOf(state *workflow.State, id int) (workflow.Turn, bool) {
	for _, turn := range state.Turns {
		if turn.ID == id {
			return turn, true
		}
	}
	return workflow.Turn{}, false
}

// Claimed implements engine.Observer.
func (m *Metrics) Claimed(c engine.Claim) {
	m.vecs[queueSeconds].observe(c.Waited.Seconds())
	m.vecs[claimSeconds].observe(c.Took.Seconds())
}

// Started implements engine.Observer.
func (m *Metrics) Started(s engine.Start) { m.vecs[slotSeconds].observe(s.Waited.Seconds()) }

// HandedOff implements engine.Observer.
func (m *Metrics) HandedOff(h engine.HandedOff) {
	if h.Frames {
		m.vecs[handoffSeconds].observe(max(h.Began.Sub(h.Ended), 0).Seconds())
	}
}

// Recovering implements engine.Observer.
func (m *Metrics) Recovering(r engine.Recovery) { m.vecs[recoveries].add(1, r.Team, string(r.Reason)) }

// Stored implements engine.Observer.
func (m *Metrics) Stored(s engine.Stored) {
	m.vecs[storeSeconds].observe(s.Took.Seconds())
	if s.Err != nil {
		m.vecs[storeFailures].add(1)
	}
}

// Trouble implements engine.Observer.
func (m *Metrics) Trouble(t engine.StorageTrouble) {
	up := 0.0
	if !t.Over.IsZero() {
		up = 1
	}
	m.vecs[storeUp].set(up)
}
