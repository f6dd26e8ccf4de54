package workflow

import (
	"fmt"
	"slices"
	"time"
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
	id := b.Question
	if id == 0 {
		d.s.LastQuestion++
		id = d.s.LastQuestion
	}
	if given, ok := t.answered(b); ok {
		d.emit(AnswerQuestion{Question: id, Turn: t.ID, Attempt: t.Attempt, Answer: given.Answer, By: given.By})
		return nil
	}
	before, known := t.askedBefore(b)
	if b.Question != 0 && !known {
		return fmt.Errorf("question %d: %w", b.Question, ErrStale)
	}
	*t = asking
	q := Question{
		ID: id, Turn: b.Turn, Attempt: b.Attempt, Kind: b.Kind, Text: b.Text, Tool: b.Tool, Argument: b.Argument,
		Choices: b.Choices, Asked: d.at, Expires: d.at.Add(d.askExpires(t.Node)),
	}
	if b.Question != 0 {
		t.Asked = slices.DeleteFunc(slices.Clone(t.Asked), func(old Question) bool { return old.ID == id })
		if q.Asked = before.Asked; before.Expires.After(d.at) { // else nobody could answer while it was their time
			q.Expires = before.Expires
		}
	}
	at, _ := slices.BinarySearchFunc(d.s.Questions, id, func(open Question, id int) int { return open.ID - id })
	d.s.Questions = slices.Insert(slices.Clone(d.s.Questions), at, q)
	return nil
}

// askExpires is how long people have to answer what an agent asks.
func (d *decision) askExpires(node string) time.Duration {
	if agent := d.team.Agents[node]; agent != nil && agent.Approvals.Expires > 0 {
		return agent.Approvals.Expires
	}
	return DefaultAskExpires
}

// AskedBefore gives what a turn asks the ID that the same question had when
// contact with the turn was lost: people know it by that, and are not asked again.
func AskedBefore(s State, b QuestionAsked) QuestionAsked {
	b.Question = 0
	i := slices.IndexFunc(s.Turns, func(t Turn) bool { return t.ID == b.Turn && t.Attempt == b.Attempt })
	if i < 0 {
		return b
	}
	t := s.Turns[i]
	if at := slices.IndexFunc(t.Answers, func(a KeptAnswer) bool { return a.answers(b) }); at >= 0 {
		b.Question = t.Answers[at].Question
	} else if q, ok := t.askedBefore(b); ok {
		b.Question = q.ID
	}
	return b
}

// askedBefore finds what the turn asks among what it had asked when contact was lost.
func (t *Turn) askedBefore(b QuestionAsked) (Question, bool) {
	i := slices.IndexFunc(t.Asked, func(q Question) bool {
		same := q.Kind == b.Kind && q.Text == b.Text && q.Tool == b.Tool && q.Argument == b.Argument && slices.Equal(q.Choices, b.Choices)
		return same && (b.Question == 0 || b.Question == q.ID)
	})
	if i < 0 {
		return Question{}, false
	}
	return t.Asked[i], true
}

// asked lists the open questions of a turn.
func (d *decision) asked(turn int) []Question {
	return slices.DeleteFunc(slices.Clone(d.s.Questions), func(q Question) bool { return q.Turn != turn })
}

// keepAnswer keeps the answer to a question for when its turn asks it again.
func (t *Turn) keepAnswer(q Question, b QuestionAnswered) {
	t.Answers = append(slices.Clone(t.Answers), KeptAnswer{
		Question: q.ID, Kind: q.Kind, Text: q.Text, Tool: q.Tool, Argument: q.Argument, Answer: b.Answer, By: b.By,
	})
}

func (a KeptAnswer) answers(b QuestionAsked) bool {
	return a.Kind == b.Kind && a.Text == b.Text && a.Tool == b.Tool && a.Argument == b.Argument && (b.Question == 0 || a.Question == b.Question)
}

func (d *decision) questionAnswered(b QuestionAnswered) error {
	i := slices.IndexFunc(d.s.Questions, func(q Question) bool { return q.ID == b.Question })
	if i < 0 {
		return d.answerAhead(b)
	}
	q := d.s.Questions[i]
	if err := q.accepts(b.Answer); err != nil {
		return err
	}
	if q.Kind == QuestionUncertain {
		return d.answerUncertain(q, b.Answer, b.By)
	}
	if b.Kept {
		t, err := d.live(q.Turn, q.Attempt)
		if err != nil {
			return err
		}
		t.keepAnswer(q, b)
	}
	return d.answer(q, AnswerQuestion{Answer: b.Answer, By: b.By})
}

// answerAhead answers what a turn had asked when contact with it was lost, before it asks again.
func (d *decision) answerAhead(b QuestionAnswered) error {
	for i := range d.s.Turns {
		t := &d.s.Turns[i]
		at := slices.IndexFunc(t.Asked, func(q Question) bool { return q.ID == b.Question })
		if at < 0 {
			continue
		}
		q := t.Asked[at]
		if err := q.accepts(b.Answer); err != nil {
			return err
		}
		t.Asked = slices.Delete(slices.Clone(t.Asked), at, at+1)
		t.keepAnswer(q, b)
		return nil
	}
	return fmt.Errorf("question %d: %w", b.Question, ErrStale)
}

// accepts refuses what is not among the answers of a question.
func (q Question) accepts(answer string) error {
	choices := q.Choices
	if q.Kind == QuestionApproval {
		choices = []string{AnswerAllow, AnswerDeny}
	}
	if len(choices) > 0 && !slices.Contains(choices, answer) {
		return &AnswerError{Question: q.ID, Answer: answer, Choices: choices}
	}
	return nil
}

// answered takes the answer that was kept for what the turn asks, if there is one.
// It counts once.
func (t *Turn) answered(b QuestionAsked) (KeptAnswer, bool) {
	i := slices.IndexFunc(t.Answers, func(a KeptAnswer) bool { return a.answers(b) })
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
