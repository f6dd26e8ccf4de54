package workflow

import (
	"fmt"
	"slices"
)

func (d *decision) questionAsked(b QuestionAsked) error {
	t, err := d.liveOf(KindAgent, b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	asking := *t
	if err := moveTurn(&asking, turnAsk, d.event); err != nil {
		return err
	}
	if given, ok := t.answered(b); ok {
		d.s.LastQuestion++
		d.emit(AnswerQuestion{Question: d.s.LastQuestion, Turn: t.ID, Attempt: t.Attempt, Answer: given.Answer, By: given.By})
		return nil
	}
	*t = asking
	expires := DefaultAskExpires
	if agent := d.team.Agents[t.Node]; agent != nil && agent.Approvals.Expires > 0 {
		expires = agent.Approvals.Expires
	}
	d.s.LastQuestion++
	d.s.Questions = append(slices.Clone(d.s.Questions), Question{
		ID: d.s.LastQuestion, Turn: b.Turn, Attempt: b.Attempt, Kind: b.Kind, Text: b.Text, Tool: b.Tool, Argument: b.Argument,
		Choices: b.Choices, Asked: d.at, Expires: d.at.Add(expires),
	})
	return nil
}

func (d *decision) questionAnswered(b QuestionAnswered) error {
	i := slices.IndexFunc(d.s.Questions, func(q Question) bool { return q.ID == b.Question })
	if i < 0 {
		return fmt.Errorf("question %d: %w", b.Question, ErrStale)
	}
	q := d.s.Questions[i]
	choices := q.Choices
	if q.Kind == QuestionApproval {
		choices = []string{AnswerAllow, AnswerDeny}
	}
	if len(choices) > 0 && !slices.Contains(choices, b.Answer) {
		return &AnswerError{Question: q.ID, Answer: b.Answer, Choices: choices}
	}
	if q.Kind == QuestionUncertain {
		return d.answerUncertain(q, b.Answer, b.By)
	}
	if b.Kept {
		t, err := d.live(q.Turn, q.Attempt)
		if err != nil {
			return err
		}
		t.Answers = append(slices.Clone(t.Answers), KeptAnswer{Kind: q.Kind, Text: q.Text, Tool: q.Tool, Argument: q.Argument, Answer: b.Answer, By: b.By})
	}
	return d.answer(q, AnswerQuestion{Answer: b.Answer, By: b.By})
}

// answered takes the answer that was kept for what the turn asks, if there is one.
// It counts once.
func (t *Turn) answered(b QuestionAsked) (KeptAnswer, bool) {
	i := slices.IndexFunc(t.Answers, func(a KeptAnswer) bool {
		return a.Kind == b.Kind && a.Text == b.Text && a.Tool == b.Tool && a.Argument == b.Argument
	})
	if i < 0 {
		return KeptAnswer{}, false
	}
	given := t.Answers[i]
	t.Answers = slices.Delete(slices.Clone(t.Answers), i, i+1)
	return given, true
}

// answer takes a question from the open ones and lets its turn go on.
func (d *decision) answer(q Question, a AnswerQuestion) error {
	d.s.Questions = slices.DeleteFunc(slices.Clone(d.s.Questions), func(other Question) bool { return other.ID == q.ID })
	a.Question, a.Turn, a.Attempt = q.ID, q.Turn, q.Attempt
	d.emit(a)
	if slices.ContainsFunc(d.s.Questions, func(other Question) bool { return other.Turn == q.Turn }) {
		return nil
	}
	t, err := d.live(q.Turn, q.Attempt)
	if err != nil {
		return err
	}
	return moveTurn(t, turnAnswer, d.event)
}

// expireQuestions answers for the people who did not, by the time now.
func (d *decision) expireQuestions() error {
	for _, q := range slices.Clone(d.s.Questions) {
		if q.Expires.IsZero() || q.Expires.After(d.now()) {
			continue
		}
		a := AnswerQuestion{Expired: true}
		if q.Kind == QuestionApproval {
			a.Answer = AnswerDeny
		}
		if err := d.answer(q, a); err != nil {
			return err
		}
	}
	return nil
}

// dropQuestions forgets what a turn that is over has asked.
func (d *decision) dropQuestions(turn int) {
	if slices.ContainsFunc(d.s.Questions, func(q Question) bool { return q.Turn == turn }) {
		d.s.Questions = slices.DeleteFunc(slices.Clone(d.s.Questions), func(q Question) bool { return q.Turn == turn })
	}
}

func (d *decision) progressReported(b ProgressReported) error {
	t, err := d.liveOf(KindAgent, b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	t.Progress = &Progress{Text: b.Text, Percent: b.Percent, At: d.at}
	return nil
}

func (d *decision) taskSpawned(b TaskSpawned) error {
	if _, err := d.liveOf(KindAgent, b.Turn, b.Attempt); err != nil {
		return err
	}
	d.s.Spawned++
	return nil
}
