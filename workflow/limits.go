package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// combine takes the smaller of every limit that is set.
func (l Limits) combine(o Limits) Limits {
	l.Turns = smaller(l.Turns, o.Turns)
	l.Tokens = smaller(l.Tokens, o.Tokens)
	l.Duration = smaller(l.Duration, o.Duration)
	l.Cost = smaller(l.Cost, o.Cost)
	if l.AtLimit == "" {
		l.AtLimit = o.AtLimit
	}
	return l
}

func smaller[N int | int64 | time.Duration](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// plus adds up all limits.
func (l Limits) plus(o Limits) Limits {
	l.Turns, l.Tokens = l.Turns+o.Turns, l.Tokens+o.Tokens
	l.Duration, l.Cost = l.Duration+o.Duration, l.Cost+o.Cost
	return l
}

// raised adds to the limits that are set.
func (l Limits) raised(by Limits) Limits {
	if l.Turns > 0 {
		l.Turns += by.Turns
	}
	if l.Tokens > 0 {
		l.Tokens += by.Tokens
	}
	if l.Duration > 0 {
		l.Duration += by.Duration
	}
	if l.Cost > 0 {
		l.Cost += by.Cost
	}
	return l
}

// Effective are the limits of a task: the team's, those of the node that
// started it, and what was raised since.
func (t *Team) Effective(s State) Limits {
	if s.Limits.set() || s.Limits.AtLimit != "" {
		return s.Limits
	}
	return t.Limits
}

// CheckRaise refuses, with a *RaiseError, to resume a paused task with a raise
// that would have no effect: of a limit that neither the task has nor a branch of
// it that has reached one.
func CheckRaise(t *Team, s State, raise Limits, now time.Time) error {
	d := decision{team: t, at: now, s: s.clone()}
	d.endWaiting()
	has := t.Effective(s)
	for _, i := range d.atLimit() {
		b := d.s.Branches[i]
		has = has.plus(t.rule(d.s.group(b.Group).Rule).Limits)
	}
	e := &RaiseError{Task: s.Task}
	for _, l := range []struct {
		name     string
		has, add int64
	}{
		{"turns", int64(has.Turns), int64(raise.Turns)},
		{"tokens", has.Tokens, raise.Tokens},
		{"duration", int64(has.Duration), int64(raise.Duration)},
		{"cost", has.Cost, raise.Cost},
	} {
		if l.add > 0 && l.has == 0 {
			e.Limits = append(e.Limits, l.name)
		}
	}
	if len(e.Limits) > 0 {
		return e
	}
	return nil
}

// stage is how far a turn is, which decides what limits are asked.
type stage int

const (
	whileRunning stage = iota // what it uses counts
	beforeStart               // and it does not begin while a price is not known
	asNewTurn                 // and it counts as a turn
)

// account is something that limits apply to: the task, or a branch of it.
type account struct {
	branch   int    // 0 for the task
	name     string // for people
	limits   Limits
	attempts int
	tokens   int64
	cost     int64
	deadline time.Time // zero without limits.duration
}

// accounts lists what the work in a branch counts for: the task first.
func accounts(t *Team, s *State, branch int) []account {
	task := account{name: "the task", limits: t.Effective(*s), attempts: s.Attempts, tokens: s.Usage.TotalTokens, cost: s.Cost}
	if task.limits.Duration > 0 && !s.Started.IsZero() {
		task.deadline = s.Started.Add(task.limits.Duration + s.Waited)
	}
	out := []account{task}
	for _, b := range s.around(branch) {
		g := s.group(b.Group)
		if g == nil || !t.rule(g.Rule).Limits.set() {
			continue
		}
		a := account{
			branch: b.ID, name: "branch " + b.Label, limits: t.rule(g.Rule).Limits.raised(b.Raised),
			attempts: b.Attempts, tokens: b.Usage.TotalTokens, cost: b.Cost,
		}
		if a.limits.Duration > 0 {
			a.deadline = b.Started.Add(a.limits.Duration + s.Waited - b.Waited)
		}
		out = append(out, a)
	}
	return out
}

// spent says which limit of an account is reached for a turn at a stage, ""
// when none is. live is what turns that still run have used.
func (a account) spent(s *State, live Spent, at stage, now time.Time) string {
	l := a.limits
	switch {
	case at == asNewTurn && l.Turns > 0 && a.attempts >= l.Turns:
		return fmt.Sprintf("limits.turns of %s: %d reached", a.name, l.Turns)
	case l.Tokens > 0 && a.tokens+live.Tokens >= l.Tokens:
		return fmt.Sprintf("limits.tokens of %s: %d of %d used", a.name, a.tokens+live.Tokens, l.Tokens)
	case l.Cost > 0 && a.cost+live.Cost >= l.Cost:
		return fmt.Sprintf("limits.cost of %s: $%.4f of $%.4f used", a.name, dollars(a.cost+live.Cost), dollars(l.Cost))
	case at != whileRunning && l.Cost > 0 && len(s.newUnpriced()) > 0:
		return fmt.Sprintf("limits.cost of %s: the price of %s is not known; add it to the price file", a.name, strings.Join(s.newUnpriced(), ", "))
	case !a.deadline.IsZero() && !now.Before(a.deadline):
		return fmt.Sprintf("limits.duration of %s: %s are over", a.name, l.Duration)
	}
	return ""
}

func dollars(cost int64) float64 { return float64(cost) / 1e6 }

// Spent is what a turn that still runs has used so far.
type Spent struct {
	Tokens int64
	// Cost is in millionths of a US dollar.
	Cost int64
}

// OverBudget says which of the running turns have to stop because of what they
// and those beside them use, with the limit that is reached as a sentence. live
// is by turn ID.
func OverBudget(t *Team, s State, live map[int]Spent) map[int]string {
	out := map[int]string{}
	for id := range live {
		i := slices.IndexFunc(s.Turns, func(turn Turn) bool { return turn.ID == id })
		if i < 0 {
			continue
		}
		for _, a := range accounts(t, &s, s.Turns[i].Branch) {
			var sum Spent
			for _, turn := range s.Turns {
				if s.within(turn.Branch, a.branch) {
					sum.Tokens += live[turn.ID].Tokens
					sum.Cost += live[turn.ID].Cost
				}
			}
			if note := a.spent(&s, sum, whileRunning, time.Time{}); note != "" {
				out[id] = note
				break
			}
		}
	}
	return out
}

// NeedsPrice says that a limit of money applies to a turn.
func NeedsPrice(t *Team, s State, turn Turn) bool {
	return slices.ContainsFunc(accounts(t, &s, turn.Branch), func(a account) bool { return a.limits.Cost > 0 })
}

// costly reports whether a node of this kind uses up turns, tokens and money.
func costly(kind NodeKind) bool { return kind == KindAgent || kind == KindTeam }

// charge counts what a turn has used, for the task and the branches around it.
func (d *decision) charge(branch, attempts int, u Usage, cost int64) {
	d.s.Attempts += attempts
	d.s.Usage = d.s.Usage.Add(u)
	d.s.Cost += cost
	for _, b := range d.s.around(branch) {
		b.Attempts += attempts
		b.Usage = b.Usage.Add(u)
		b.Cost += cost
	}
}

// unpriced notes that a turn ran on a model without a known price.
func (d *decision) unpriced(model string) {
	model = cmp.Or(model, "a model that is not named")
	d.s.AcceptedUnpriced = slices.DeleteFunc(slices.Clone(d.s.AcceptedUnpriced), func(m string) bool { return m == model })
	if !slices.Contains(d.s.Unpriced, model) {
		d.s.Unpriced = slices.Sorted(slices.Values(append(slices.Clone(d.s.Unpriced), model)))
	}
}

// newUnpriced lists the models without a price since the task was resumed.
func (s *State) newUnpriced() []string {
	if len(s.AcceptedUnpriced) == 0 {
		return s.Unpriced
	}
	return slices.DeleteFunc(slices.Clone(s.Unpriced), func(m string) bool { return slices.Contains(s.AcceptedUnpriced, m) })
}

// atLimit lists the branches, by index, that have reached a limit of their own.
func (d *decision) atLimit() []int {
	var out []int
	for i, b := range d.s.Branches {
		for _, a := range accounts(d.team, &d.s, b.ID) {
			if a.branch == b.ID && a.spent(&d.s, Spent{}, asNewTurn, d.now()) != "" {
				out = append(out, i)
			}
		}
	}
	return out
}

// raise adds to the limits of the task, and to those of the branches that have
// reached one, and accepts that some turns have an unknown price.
func (d *decision) raise(by Limits) {
	for _, i := range d.atLimit() {
		d.s.Branches[i].Raised = d.s.Branches[i].Raised.plus(by)
	}
	d.s.Limits = d.team.Effective(d.s).raised(by)
	d.s.AcceptedUnpriced = d.s.Unpriced
}

// exhausted says which limit forbids a turn in a branch, and in which account;
// note is empty when none does. another says that it would count as one more turn.
func (d *decision) exhausted(branch int, another bool) (note string, in account) {
	at := beforeStart
	if another {
		at = asNewTurn
	}
	for _, a := range accounts(d.team, &d.s, branch) {
		if note = a.spent(&d.s, Spent{}, at, d.now()); note != "" {
			return note, a
		}
	}
	return "", account{}
}

// overtime reports whether a limit of time is over in a branch.
func (d *decision) overtime(branch int) bool {
	return slices.ContainsFunc(accounts(d.team, &d.s, branch), func(a account) bool {
		return !a.deadline.IsZero() && !d.now().Before(a.deadline)
	})
}

// now is the time of the event, or the time that a timer fired for, if that is
// later: clocks of two machines may differ.
func (d *decision) now() time.Time {
	if d.timer.After(d.at) {
		return d.timer
	}
	return d.at
}

// enforce stops what runs although its limit is reached, and ends what has not
// begun. It returns when all that is left is within the limits.
func (d *decision) enforce() error {
	for {
		i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return d.mustStop(t) != "" })
		if i < 0 || d.s.Status.Terminal() {
			return nil
		}
		t := &d.s.Turns[i]
		note := d.mustStop(*t)
		if t.State != TurnPending {
			d.stop(t, note)
			continue
		}
		e := &ended{turn: d.withdraw(t.ID, note), reason: ReasonBudgetExceeded, stopReason: ReasonBudgetExceeded, note: note, over: true, cut: true}
		d.store(e)
		if err := d.route(e); err != nil {
			return err
		}
	}
}

// stop has a turn that runs end because of a limit.
func (d *decision) stop(t *Turn, note string) {
	t.Stopping = note
	d.emit(StopTurn{Turn: t.ID, Attempt: t.Attempt, Note: note})
}

// mustStop says for which limit a live turn has to end; "" when it may go on.
func (d *decision) mustStop(t Turn) string {
	if t.Stopping != "" || d.s.Status == TaskPaused && t.State == TurnPending {
		return "" // it has been told, or is held
	}
	if t.Late || t.State == TurnUncertain {
		return "" // nothing of it runs that could be stopped, or a rule wants it although the time is over
	}
	at := whileRunning
	if t.State == TurnPending {
		at = beforeStart
	}
	for _, a := range accounts(d.team, &d.s, t.Branch) {
		if !costly(t.Kind) {
			// A command and a person cost time alone.
			a.limits = Limits{Duration: a.limits.Duration}
		}
		if !d.s.WaitingSince.IsZero() {
			a.deadline = time.Time{} // the clock stands still
		}
		if note := a.spent(&d.s, Spent{}, at, d.now()); note != "" {
			return note
		}
	}
	return ""
}
