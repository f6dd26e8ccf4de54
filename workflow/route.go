package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// route finds the first rule that matches how a node ended, and follows it. An
// agent's own pick among the targets counts as long as a rule permits it.
func (d *decision) route(e *ended) error {
	if d.s.Status == TaskPaused {
		d.hold(e)
		return nil
	}
	if e.over {
		if note, in := d.exhausted(e.turn.Branch, true); note != "" {
			e.inBranch = in.branch != 0
		}
	}
	values := sync.OnceValue(func() map[string]any { return scope(d.team, &d.s, e) })
	r, skipped := d.match(e, values)
	if r == nil && e.pick != "" && !e.over {
		unpicked := *e
		unpicked.pick, unpicked.note = "", fmt.Sprintf("%s picked %s, which no rule allows now", e.turn.Node, e.pick)
		if r, _ = d.match(&unpicked, values); r != nil {
			e = &unpicked
		}
	}
	switch {
	case r != nil && r.Join != nil && e.joined == nil:
		return d.arrive(r, e, skipped)
	case r != nil:
		return d.follow(r, e, values, skipped)
	case e.over:
		return d.pauseFor(e)
	}
	return d.fail(e, "no rule says what happens then", skipped)
}

// match returns the first rule that matches, and why those before it do not.
func (d *decision) match(e *ended, values func() map[string]any) (*Rule, []SkippedRule) {
	var skipped []SkippedRule
	for _, r := range d.team.Handoffs {
		if r.Number < e.join || !r.coversAll(e) {
			continue
		}
		why := d.mismatch(r, e, values)
		if why == "" {
			return r, skipped
		}
		skipped = append(skipped, SkippedRule{Rule: r.Number, Why: why})
	}
	return nil, skipped
}

// follow does what a rule that matches says.
func (d *decision) follow(r *Rule, e *ended, values func() map[string]any, skipped []SkippedRule) error {
	h := Handoff{
		FromTurn: e.turn.ID, From: e.turn.Node, Reason: e.reason, Rule: r.Number, Max: r.Max, To: r.target(), Skipped: skipped, Note: e.note,
		Branch: e.turn.Branch, Label: d.s.label(e.turn.Branch),
	}
	for _, a := range e.joined {
		h.Joined = append(h.Joined, a.Result.Turn)
	}
	if r.Retry != nil {
		return d.retry(r, e, h)
	}
	d.endVisit(e.turn)
	if r.terminal() {
		h.Fired = d.fire(e.turn.Branch, r)
		d.emit(h)
		if r.target() == TerminalSucceeded {
			return d.endLine(e.turn.Branch, r.Number, e, nil)
		}
		return d.finish(terminalState(r.target()), d.resultOf(e, r.Number, fmt.Sprintf("%s, and rule %d goes to %s", e.explain(), r.Number, r.target())))
	}
	if slices.ContainsFunc(r.To, d.costs) {
		if note, in := d.exhausted(e.turn.Branch, true); note != "" {
			over := *e
			over.inBranch = in.branch != 0
			return d.overBudget(&over, note, fmt.Sprintf("a turn of %s by rule %d", strings.Join(r.To, ", "), r.Number))
		}
	}
	if r.forks() {
		return d.fork(r, e, values, h)
	}
	message, err := d.message(r, r.target(), e.turn.Branch, e, values)
	if err != nil {
		return d.failToGive(r, r.target(), e, err, skipped)
	}
	h.Fired = d.fire(e.turn.Branch, r)
	return d.enter(e.turn.Branch, r.target(), message, h)
}

// given is what a node is started with: the message of an agent, the question of
// a gate, or the input of a sub-team.
type given struct {
	message string
	input   map[string]any
}

// costs reports whether a visit of the node uses up turns, tokens and money.
func (d *decision) costs(node string) bool {
	kind, ok := d.team.Kind(node)
	return ok && costly(kind)
}

// message is what the node that a rule goes to, in a branch, is given.
func (d *decision) message(r *Rule, to string, branch int, e *ended, values func() map[string]any) (given, error) {
	if agent := d.team.Agents[to]; agent != nil && r.Message.IsZero() {
		_, known := d.s.Conversations[d.conversationKey(agent, branch, d.s.LastTurn+1)]
		return given{message: handoffMessage(d.team, &d.s, e, !known)}, nil
	}
	v := values()
	v["target"] = to
	return d.give(to, r.Message, v)
}

// failToGive ends the task where a node cannot be given what it needs.
func (d *decision) failToGive(r *Rule, to string, e *ended, err error, skipped []SkippedRule) error {
	return d.fail(e, fmt.Sprintf("the %s of rule %d for %q %s", d.whatIsGiven(to), r.Number, to, err), skipped)
}

// whatIsGiven names for people what give renders.
func (d *decision) whatIsGiven(to string) string {
	switch kind, _ := d.team.Kind(to); kind {
	case KindGate:
		return "question"
	case KindTeam:
		return "input"
	default:
		return "message"
	}
}

// give renders what a node is given. message is of agents alone.
func (d *decision) give(to string, message Template, values map[string]any) (g given, err error) {
	switch kind, _ := d.team.Kind(to); kind {
	case KindGate:
		g.message, err = renderMessage(d.team.Gates[to].Question, values)
	case KindTeam:
		g.input, err = d.team.Teams[to].input(values)
	case KindCheck:
	case KindAgent:
		g.message, err = renderMessage(message, values)
	}
	return g, err
}

// input renders the inputs of a sub-team's task. Its error continues a sentence
// that begins with the name of the message.
func (t *SubTeam) input(values map[string]any) (map[string]any, error) {
	texts := make(map[string]string, len(t.Input))
	for _, name := range sortedKeys(t.Input) {
		text, err := t.Input[name].Render(values)
		if err != nil {
			return nil, fmt.Errorf("cannot be rendered for the input %q: %w", name, err)
		}
		texts[name] = text
	}
	input, err := t.Team.BindArguments(texts)
	if err != nil {
		return nil, fmt.Errorf("does not fit: %w", err)
	}
	return input, nil
}

func (d *decision) retry(r *Rule, e *ended, h Handoff) error {
	if costly(e.turn.Kind) {
		if note, in := d.exhausted(e.turn.Branch, e.turn.Kind == KindAgent); note != "" {
			over := *e
			over.inBranch = in.branch != 0
			return d.overBudget(&over, note, fmt.Sprintf("a retry by rule %d", r.Number))
		}
	}
	t := e.turn
	if err := moveTurn(&t, turnRetry, d.event); err != nil {
		return err
	}
	wait := r.Retry.delay(d.s.Task, t.ID, t.Attempt, t.Retries[r.Number])
	t.Retries, t.Recoveries = withRetry(t.Retries, r.Number), 0
	t.Child, t.ChildAttempts, t.ChildUsage, t.ChildCost, t.ChildStatus = "", 0, Usage{}, 0, "" // another task
	d.fire(t.Branch, r)
	h.Retry, h.To, h.ToTurn, h.Fired, h.Max = true, t.Node, t.ID, t.Retries[r.Number], r.Retry.Max
	var notBefore time.Time
	if wait > 0 {
		notBefore = d.at.Add(wait)
		h.NotBefore = notBefore
	}
	d.emit(h)
	return d.nextAttempt(t, t.Message, notBefore)
}

// overBudget routes a node once more, as budget_exceeded: only rules that cost
// nothing can match. wanted is what there is nothing left for.
func (d *decision) overBudget(e *ended, limit, wanted string) error {
	over := *e
	over.before = e
	over.reason, over.over = ReasonBudgetExceeded, true
	over.note = fmt.Sprintf("%s; there is nothing left for %s", limit, wanted)
	return d.route(&over)
}

// pauseFor pauses the task because a limit is reached and no rule says what
// happens then. What the node ended with is routed when the task is resumed.
func (d *decision) pauseFor(e *ended) error {
	if err := d.pause(Pause{Note: e.note}); err != nil {
		return err
	}
	if e.before != nil {
		held := *e.before
		held.note = ""
		d.hold(&held)
		return nil
	}
	d.hold(e)
	return nil
}

// fail ends the task where the rules do not say how it goes on.
func (d *decision) fail(e *ended, why string, skipped []SkippedRule) error {
	explanation := fmt.Sprintf("%s, and %s", e.explain(), why)
	if e.over {
		explanation = e.note
	}
	d.emit(Handoff{
		FromTurn: e.turn.ID, From: e.turn.Node, Reason: e.reason, To: TerminalFailed, Note: explanation, Skipped: skipped,
		Branch: e.turn.Branch, Label: d.s.label(e.turn.Branch),
	})
	return d.finish(TaskFailed, d.resultOf(e, 0, explanation))
}

// resultOf is the result of a task that ends with e.
func (d *decision) resultOf(e *ended, rule int, explanation string) Result {
	return Result{
		Node: e.turn.Node, Reason: e.reason, Rule: rule, Explanation: explanation,
		Output: e.output, OutputFile: e.outputFile, Outcome: e.outcome, Summary: e.summary, Data: e.data,
	}
}

// explain says in half a sentence how the node ended.
func (e *ended) explain() string {
	reason := string(e.reason)
	if reason == "" && e.joined != nil {
		reason = "different reasons"
	}
	switch {
	case e.note != "":
		return e.note
	case e.err != "":
		return fmt.Sprintf("%s ended with %s (%s)", e.turn.Node, reason, excerpt(e.err, 300))
	}
	return fmt.Sprintf("%s ended with %s", e.turn.Node, reason)
}

func terminalState(name string) TaskState {
	switch name {
	case TerminalSucceeded:
		return TaskSucceeded
	case TerminalCancelled:
		return TaskCancelled
	default:
		return TaskFailed
	}
}

// renderMessage renders the message of a turn. Its error continues a sentence
// that begins with the name of the message.
func renderMessage(t Template, values map[string]any) (string, error) {
	text, err := t.Render(values)
	if err != nil {
		return "", fmt.Errorf("cannot be rendered: %w", err)
	}
	if strings.TrimSpace(text) == "" {
		return "", errors.New("is empty")
	}
	return text, nil
}
