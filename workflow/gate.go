package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

func (g *Gate) expires() time.Duration { return cmp.Or(g.Expires, DefaultGateExpires) }

func (d *decision) gateAnswered(b GateAnswered) error {
	i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return t.ID == b.Turn && t.Kind == KindGate })
	if i < 0 {
		return fmt.Errorf("gate of turn %d: %w", b.Turn, ErrStale)
	}
	if err := d.wake(); err != nil {
		return err
	}
	reason := ReasonRejected
	if b.Approved {
		reason = ReasonApproved
	}
	return d.endGate(b.Turn, reason, b.Comment, b.By)
}

func (d *decision) endGate(turn int, reason Reason, comment, by string) error {
	d.endWaiting()
	t := d.take(turn)
	if err := moveTurn(&t, turnFinish, d.event); err != nil {
		return err
	}
	e := &ended{turn: t, reason: reason, stopReason: reason, output: comment, by: by}
	d.store(e)
	return d.route(e)
}

// expireGates ends the gates whose time is over.
func (d *decision) expireGates() error {
	for _, t := range slices.Clone(d.s.Turns) {
		if t.Kind != KindGate || t.Expires.After(d.now()) || d.s.Status != TaskRunning {
			continue
		}
		if !slices.ContainsFunc(d.s.Turns, func(live Turn) bool { return live.ID == t.ID }) {
			continue // the end of another one has cancelled it
		}
		reason := cmp.Or(d.team.Gates[t.Node].AtExpiry, ReasonExpired)
		if err := d.endGate(t.ID, reason, "", ""); err != nil {
			return err
		}
	}
	return nil
}
