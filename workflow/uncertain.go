package workflow

import (
	"cmp"
	"fmt"
	"slices"
)

// What happens to a turn of which it cannot be known whether it ran.
const (
	// UncertainAsk: a person decides; the turn waits for them without a limit of time.
	UncertainAsk = "ask"
	// UncertainContinue: the agent is told so and goes on.
	UncertainContinue = "continue"
	// UncertainFail: the node ends as uncertain.
	UncertainFail = "fail"
)

func uncertainPolicies() []string {
	return []string{UncertainAsk, UncertainContinue, UncertainFail}
}

// Answers to a QuestionUncertain. About a check a person can say how it ended instead.
const (
	AnswerContinue = "continue"
	AnswerRetry    = "retry"
	AnswerFail     = "fail"
)

// UncertainPolicy says what happens where it cannot be known whether a turn of
// the node ran, and no rule names the reason uncertain. A check cannot be told
// to continue, so that a person is asked about it instead.
func (t *Team) UncertainPolicy(node string) string {
	policy := cmp.Or(t.OnUncertain, UncertainAsk)
	if agent := t.Agents[node]; agent != nil {
		return cmp.Or(agent.OnUncertain, policy)
	}
	if policy == UncertainContinue {
		return UncertainAsk
	}
	return policy
}

// uncertain goes on with a turn of which it cannot be known whether it ran.
// What may have run is never run again unasked: not by a rule for all reasons,
// and not by the engine.
func (d *decision) uncertain(id int, detail string) error {
	i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return t.ID == id })
	t := d.s.Turns[i]
	end := TurnFinished{Reason: ReasonUncertain, Error: detail}
	if d.namesUncertain(t, detail) {
		return d.endUncertain(id, end, true)
	}
	switch d.team.UncertainPolicy(t.Node) {
	case UncertainFail:
		return d.endUncertain(id, end, false)
	case UncertainContinue:
		again := d.take(id)
		if err := moveTurn(&again, turnContinue, d.event); err != nil {
			return err
		}
		return d.recover(again, uncertainMessage(again.Message), end)
	}
	return d.askUncertain(t, detail)
}

// namesUncertain reports whether a rule that names the reason uncertain matches the end of a turn.
func (d *decision) namesUncertain(t Turn, detail string) bool {
	t.Named = true
	e := &ended{turn: t, reason: ReasonUncertain, stopReason: ReasonUncertain, err: detail}
	r, _ := d.match(e, func() map[string]any { return scope(d.team, &d.s, e) })
	return r != nil
}

// endUncertain ends the node as uncertain. named says that only rules which
// name the reason are asked.
func (d *decision) endUncertain(id int, end TurnFinished, named bool) error {
	t := d.take(id)
	if err := moveTurn(&t, turnFinish, d.event); err != nil {
		return err
	}
	t.Named = named
	return d.conclude(t, end)
}

// askUncertain asks a person. The question does not expire: nobody but them can know.
func (d *decision) askUncertain(t Turn, detail string) error {
	q := Question{
		Turn: t.ID, Attempt: t.Attempt, Kind: QuestionUncertain, Asked: d.at,
		Text:    fmt.Sprintf("It cannot be known whether turn %d of %s was carried out: %s. Look at what it was to do: with continue the agent is told that it may have been, with retry it is asked for once more, with fail it ends as uncertain.", t.ID, t.Node, detail),
		Choices: []string{AnswerContinue, AnswerRetry, AnswerFail},
	}
	if t.Kind == KindCheck {
		q.Text = fmt.Sprintf("It cannot be known how the check %s ended: %s. Look at what it was to do, and say how it ended; with retry it is run once more.", t.Node, detail)
		q.Choices = []string{string(ReasonPassed), string(ReasonFailed), AnswerRetry}
	}
	d.s.LastQuestion++
	q.ID = d.s.LastQuestion
	d.s.Questions = append(slices.Clone(d.s.Questions), q)
	d.emit(AskPerson{Question: q})
	return nil
}

// answerUncertain does what a person has decided.
func (d *decision) answerUncertain(q Question, answer, by string) error {
	if err := d.wake(); err != nil {
		return err
	}
	t, err := d.live(q.Turn, q.Attempt)
	if err != nil {
		return err
	}
	d.endWaiting()
	d.emit(AnswerQuestion{Question: q.ID, Turn: q.Turn, Attempt: q.Attempt, Answer: answer, By: by})
	switch answer {
	case AnswerContinue, AnswerRetry:
		again := d.take(t.ID)
		if err := moveTurn(&again, turnContinue, d.event); err != nil {
			return err
		}
		again.Recoveries = 0
		message := again.Message
		if answer == AnswerContinue {
			message = uncertainMessage(message)
		}
		return d.again(again, message)
	case AnswerFail:
		return d.endUncertain(t.ID, TurnFinished{Reason: ReasonUncertain, Error: "it could not be known whether the turn was carried out, and " + cmp.Or(by, "a person") + " ended it"}, false)
	}
	ended := d.take(t.ID) // a check, of which they know how it ended
	if err := moveTurn(&ended, turnFinish, d.event); err != nil {
		return err
	}
	return d.conclude(ended, TurnFinished{Reason: Reason(answer), Error: "said by " + cmp.Or(by, "a person")})
}
