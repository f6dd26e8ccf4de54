package main

import (
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// newsKind says what a piece of news is about.
type newsKind int

const (
	newsEnded    newsKind = iota // a step has ended
	newsJoined                   // a join has brought branches together
	newsGoesOn                   // what followed from a step that had ended before
	newsGate                     // a gate was opened
	newsSubTeam                  // the task of a sub-team has a name
	newsAsked                    // an agent asks a person
	newsAnswered                 // a question is answered, or has expired
	newsProgress                 // an agent tells how far it is
	newsSpawned                  // an agent has made another task
	newsStopping                 // a step was told to end because of a limit
	newsPaused
	newsResumed
	newsWorkspace // the task has a workspace now, or waits for one
	newsCancelled // somebody asked for the end of the task
)

// news is one thing that an event means for those who watch.
type news struct {
	kind     newsKind
	step     *step
	handoff  *workflow.Handoff
	question *question
	spawned  *workflow.TaskSpawned
	resumed  *workflow.ResumeRequested
}

// chapter is one event being told.
type chapter struct {
	story *story
	at    time.Time
	news  []news
	ended []*step // by this event
}

func (c *chapter) add(n news) { c.news = append(c.news, n) }

// end marks a step as over.
func (c *chapter) end(st *step) {
	st.Ended = c.at
	c.ended = append(c.ended, st)
	c.add(news{kind: newsEnded, step: st})
}

func (c *chapter) event(body workflow.EventBody) {
	s := c.story
	switch b := body.(type) {
	case workflow.TaskSubmitted:
		s.Task, s.Team, s.Revision, s.Parent, s.Origin = b.Task, b.Team, b.Revision, b.Parent, b.Origin
		s.Input, s.Workspace, s.GitBranch, s.Submitted = b.Input, b.Workspace, b.GitBranch, c.at
	case workflow.WorkspaceWaits:
		s.WorkspaceWait = b.Detail
		c.add(news{kind: newsWorkspace})
	case workflow.WorkspaceReady:
		s.WorkspaceWait = ""
		if b.Directory != s.Workspace || b.GitBranch != s.GitBranch {
			s.Workspace, s.GitBranch = b.Directory, b.GitBranch
			c.add(news{kind: newsWorkspace})
		}
	case workflow.WorkspaceFailed:
		s.WorkspaceWait = ""
	case workflow.TurnSending, workflow.TurnAccepted, workflow.TurnFinished, workflow.TurnReconciled, workflow.TurnUsed, workflow.ChildReported:
		c.turnEvent(body)
	case workflow.GateAnswered:
		if st := s.latest[b.Turn]; st != nil && st.Ended.IsZero() {
			st.Gate = &b
			c.end(st)
		}
	case workflow.QuestionAsked, workflow.ProgressReported, workflow.TaskSpawned:
		c.turnSays(body)
	case workflow.ResumeRequested:
		s.Pause = nil
		c.add(news{kind: newsResumed, resumed: &b})
	case workflow.CancelRequested:
		s.CancelledBy = b.By
		if s.CancelledBy == "" {
			s.CancelledBy = "somebody"
		}
		c.add(news{kind: newsCancelled})
	}
}

// turnEvent is about the life of one attempt.
func (c *chapter) turnEvent(body workflow.EventBody) {
	s := c.story
	switch b := body.(type) {
	case workflow.TurnSending:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Sent, st.ClientMessageID, st.Runtime, st.Child = c.at, b.ClientMessageID, b.Runtime, b.Child
			if b.Child != "" {
				for _, before := range s.Steps {
					if before != st && before.Child == b.Child { // the same task goes on
						st.ChildTurns, st.ChildUsage, st.childCost = before.ChildTurns, before.ChildUsage, before.childCost
					}
				}
				c.add(news{kind: newsSubTeam, step: st})
			}
		}
	case workflow.TurnAccepted:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Accepted, st.Disposition = c.at, b.Disposition
		}
	case workflow.TurnFinished:
		st := s.find(b.Turn, b.Attempt)
		if st == nil || st.Kind != workflow.KindTeam { // what a sub-team used is counted by its reports
			s.Usage = s.Usage.Add(b.Usage)
			s.Cost.turn(b)
		}
		if st != nil {
			st.Finished = &b
			c.end(st)
		}
	case workflow.TurnUsed:
		s.Usage = s.Usage.Add(b.Usage)
		s.Cost.turn(workflow.TurnFinished{Usage: b.Usage, Model: b.Model, Cost: b.Cost, Unpriced: b.Unpriced})
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Used = &b
		}
	case workflow.TurnReconciled:
		s.Usage = s.Usage.Add(b.Usage)
		s.Cost.turn(costsOf(b))
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Reconciled = &b
			c.end(st)
		}
	case workflow.ChildReported:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			s.Usage = s.Usage.Add(b.Usage).Add(negative(st.ChildUsage))
			s.Cost.child(b, st.childCost)
			st.ChildTurns, st.ChildUsage, st.childCost = b.Attempts, b.Usage, b.Cost
		}
	}
}

func negative(u workflow.Usage) workflow.Usage {
	return workflow.Usage{
		PromptTokens: -u.PromptTokens, CompletionTokens: -u.CompletionTokens, TotalTokens: -u.TotalTokens,
		CachedInputTokens: -u.CachedInputTokens, ReasoningTokens: -u.ReasoningTokens, Requests: -u.Requests,
	}
}

// turnSays is what an agent says while its turn runs.
func (c *chapter) turnSays(body workflow.EventBody) {
	s := c.story
	switch b := body.(type) {
	case workflow.QuestionAsked:
		q := &question{ID: b.Question, QuestionAsked: b, Asked: c.at}
		before := s.question(b.Question)
		if b.Question == 0 {
			s.lastQuestion++
			q.ID = s.lastQuestion
		}
		s.questions = append(s.questions, q)
		if st := s.find(b.Turn, b.Attempt); st != nil {
			q.Expires = s.questionExpires(st.Node, c.at)
			if before != nil && before.Expires.After(c.at) {
				q.Expires = before.Expires
			}
			st.Questions = append(st.Questions, q)
			c.add(news{kind: newsAsked, step: st, question: q})
		}
	case workflow.ProgressReported:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Progress = append(st.Progress, b)
			c.add(news{kind: newsProgress, step: st})
		}
	case workflow.TaskSpawned:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Spawned = append(st.Spawned, b)
			c.add(news{kind: newsSpawned, step: st, spawned: &b})
		}
	}
}

func (c *chapter) effect(effect workflow.Effect) {
	s := c.story
	switch f := effect.(type) {
	case workflow.StartTurn:
		var before *step
		if len(c.ended) > 0 {
			before = c.ended[0]
		}
		st := s.decide(c.at, f.Turn, f.Attempt, f.Node, before)
		st.Message, st.Reminder, st.Kind, st.Label = f.Message, f.Reminder, f.Kind, f.Label
		if f.Kind == workflow.KindGate {
			st.Expires = s.gateExpires(f.Node, c.at)
			c.add(news{kind: newsGate, step: st})
		}
	case workflow.AbortTurn:
		if st := s.find(f.Turn, f.Attempt); st != nil && st.Ended.IsZero() {
			st.Aborted, st.Why = true, f.Why
			c.end(st)
		}
	case workflow.StopTurn:
		if st := s.find(f.Turn, f.Attempt); st != nil {
			st.Why = f.Note
			c.add(news{kind: newsStopping, step: st})
		}
	case workflow.AskPerson:
		q := &question{
			ID: f.Question.ID, Asked: c.at,
			QuestionAsked: workflow.QuestionAsked{Turn: f.Question.Turn, Attempt: f.Question.Attempt, Kind: f.Question.Kind, Text: f.Question.Text, Choices: f.Question.Choices},
		}
		s.questions, s.lastQuestion = append(s.questions, q), q.ID
		if st := s.find(q.Turn, q.Attempt); st != nil {
			st.Questions = append(st.Questions, q)
			c.add(news{kind: newsAsked, step: st, question: q})
		}
	case workflow.AnswerQuestion:
		if q := s.question(f.Question); q != nil {
			q.Answer, q.Answered = &f, c.at
			c.add(news{kind: newsAnswered, step: s.find(f.Turn, f.Attempt), question: q})
		}
	case workflow.BranchEnded:
		c.branchEnded(&f)
	case workflow.Handoff:
		c.handoff(&f)
	case workflow.PauseTask:
		s.Pause = &f.Pause
		for _, st := range c.ended {
			if st.Aborted && st.Sent.IsZero() { // it was taken back to be asked for later
				st.Held, st.Aborted = true, false
				c.news = slices.DeleteFunc(c.news, func(n news) bool { return n.kind == newsEnded && n.step == st })
			}
		}
		c.add(news{kind: newsPaused})
	case workflow.FinishTask:
		s.Result, s.Pause = &f.Result, nil
	}
}

// branchEnded notes that a step was the last of its branch.
func (c *chapter) branchEnded(b *workflow.BranchEnded) {
	st := c.story.latest[b.Turn]
	if st == nil || b.How == workflow.BranchCancelled {
		return
	}
	if st.Ended.IsZero() {
		c.end(st) // a gate that has expired
	}
	if st.Line == nil {
		st.Line = b
	}
}

// handoff notes what followed from a step.
func (c *chapter) handoff(h *workflow.Handoff) {
	s := c.story
	if h.From == "" {
		s.Start = h
		return
	}
	s.Handoffs = append(s.Handoffs, h)
	from := s.latest[h.FromTurn]
	if from == nil { // a limit forbade it before it began
		from = s.decide(c.at, h.FromTurn, 1, h.From, nil)
		from.Label, from.Why = h.Label, h.Note
		if s.team != nil {
			from.Kind, _ = s.team.Kind(h.From)
		}
	}
	if from.Ended.IsZero() {
		c.end(from) // time ended it
	}
	switch {
	case len(h.Joined) > 0 && from.Line != nil:
		from.Joined = append(from.Joined, h)
		if len(from.Joined) == 1 {
			c.add(news{kind: newsJoined, step: from, handoff: h})
		}
	case !slices.Contains(c.ended, from) && (h.Size == 0 || len(from.Handoffs) == 0):
		from.Handoffs = append(from.Handoffs, h)
		c.add(news{kind: newsGoesOn, step: from, handoff: h})
	default:
		from.Handoffs = append(from.Handoffs, h)
	}
	if h.Retry {
		// A retry that has to wait gets its StartTurn when the wait is over.
		st := s.decide(c.at, h.ToTurn, from.Attempt+1, h.To, from)
		st.Message, st.Reminder, st.NotBefore, st.Kind, st.Label = from.Message, from.Reminder, h.NotBefore, from.Kind, from.Label
	}
}

// expiredGates ends what a timer ended without any handoff, because the task paused.
func (c *chapter) expiredGates(body workflow.EventBody) {
	if _, timer := body.(workflow.TimerFired); !timer || c.story.Pause == nil {
		return
	}
	for _, st := range c.story.live() {
		if st.Kind == workflow.KindGate && !st.Expires.IsZero() && !st.Expires.After(c.at) {
			c.end(st)
		}
	}
}
