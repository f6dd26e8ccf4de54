package orchestrator

import (
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// decisionLog logs what becomes of tasks.
type decisionLog struct {
	engine.NoObserver
	log zerolog.Logger
}

// Decided implements engine.Observer.
func (l decisionLog) Decided(d engine.Decision) {
	if d.Next.Status.Terminal() && !d.Prev.Status.Terminal() {
		l.ended(d.Next)
	}
	if l.log.Debug().Enabled() {
		l.details(d)
	}
}

func (l decisionLog) ended(state *workflow.State) {
	event := l.log.Info()
	if state.Status == workflow.TaskFailed {
		event = l.log.Warn()
	}
	event = event.Str("task", state.Task).Str("team", state.Team).Str("state", string(state.Status)).
		Dur("took", state.Updated.Sub(state.Created)).Int64("tokens", state.Usage.TotalTokens).Float64("cost_usd", float64(state.Cost)/1e6)
	if state.Batch != "" {
		event = event.Str("batch", state.Batch)
	}
	if state.Schedule != "" {
		event = event.Str("schedule", state.Schedule)
	}
	if state.Result != nil {
		event = event.Str("reason", state.Result.Explanation)
	}
	event.Msg("the task ended")
}

func (l decisionLog) details(d engine.Decision) {
	if f, ok := d.Event.Body.(workflow.TurnFinished); ok {
		event := l.log.Debug().Str("task", d.Next.Task).Str("team", d.Next.Team).Int("turn", f.Turn).Int("attempt", f.Attempt).Str("reason", string(f.Reason))
		for _, turn := range d.Prev.Turns {
			if turn.ID == f.Turn {
				event = event.Str("agent", turn.Node).Str("server", turn.Runtime.Server)
			}
		}
		event.Int64("tokens", f.Usage.TotalTokens).Msg("a turn ended")
	}
	for _, effect := range d.Effects {
		if h, ok := effect.(workflow.Handoff); ok {
			l.log.Debug().Str("task", d.Next.Task).Str("team", d.Next.Team).Int("turn", h.FromTurn).Int("rule", h.Rule).
				Str("from", h.From).Str("to", h.To).Str("reason", string(h.Reason)).Msg("a handoff")
		}
	}
}
