package main

import (
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// found looks the only live turn up after it was sent.
func (j *journal) found(r workflow.TurnReconciled) {
	j.t.Helper()
	turn := j.send()
	r.Turn, r.Attempt, r.KeepAsked = turn.ID, turn.Attempt, true
	j.add(time.Minute, r)
}

// recoveredStory has one turn that goes through everything that makes another
// attempt at it, and ends because its answer is found.
func recoveredStory(t *testing.T) *journal {
	j := newJournal(t)
	j.found(workflow.TurnReconciled{Finding: workflow.FindingNotConsumed, Detail: "the input is not among the messages of its conversation"})
	turn := j.send()
	ask := workflow.QuestionAsked{Turn: turn.ID, Attempt: turn.Attempt, Kind: workflow.QuestionApproval, Text: "May I?", Tool: "Bash", Argument: "make"}
	j.add(time.Second, ask)
	j.add(time.Minute, workflow.TurnReconciled{
		Turn: turn.ID, Attempt: turn.Attempt, Finding: workflow.FindingInterrupted, Detail: "the input arrived; 1 tool call followed, 1 of them without a result",
		Usage: tokens(1500), Model: "m/x", Cost: 25_000, KeepAsked: true,
	})
	turn = j.send()
	ask.Attempt = turn.Attempt
	j.add(time.Second, workflow.AskedBefore(j.state, ask))
	j.add(time.Second, workflow.QuestionAnswered{Question: 1, Answer: workflow.AnswerAllow, By: "ada"})
	j.add(time.Second, workflow.TurnFinished{Turn: turn.ID, Attempt: turn.Attempt, Reason: workflow.ReasonConnectionLost, Error: "reset by peer"})
	j.add(j.state.WakeAt.Sub(j.at), workflow.TimerFired{})
	j.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonLLMAPIError, Error: "429", QuotaReset: j.at.Add(time.Hour)})
	j.add(j.state.WakeAt.Sub(j.at), workflow.TimerFired{})
	j.found(workflow.TurnReconciled{Finding: workflow.FindingUnknown, Detail: "conversation conv-planner is no longer on the App Server", ConversationLost: true})
	j.add(time.Minute, workflow.QuestionAnswered{Question: 2, Answer: workflow.AnswerContinue, By: "ada"})
	j.found(workflow.TurnReconciled{
		Finding: workflow.FindingUnknown, Detail: "the App Server's list of messages does not tell whether the input arrived",
	})
	j.add(time.Minute, workflow.QuestionAnswered{Question: 3, Answer: workflow.AnswerRetry, By: "bob"})
	j.found(workflow.TurnReconciled{Finding: workflow.FindingFinished, Output: "1. Edit main.go", Detail: "the input arrived; 0 tool calls followed, and a whole answer", Usage: tokens(900), Model: "m/y", Unpriced: true})
	turn = j.send()
	j.add(time.Second, workflow.PauseRequested{By: "ada", Stop: true})
	j.add(time.Second, workflow.TurnFinished{Turn: turn.ID, Attempt: turn.Attempt, Reason: workflow.ReasonBudgetExceeded, Error: "paused by ada", Output: "half"})
	j.add(time.Minute, workflow.ResumeRequested{By: "ada"})
	j.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "Done."})
	j.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "Fine."})
	for range workflow.MaxRecoveries + 1 {
		j.found(workflow.TurnReconciled{Finding: workflow.FindingNotConsumed, Detail: "the App Server forgot it"})
	}
	if j.state.Status != workflow.TaskFailed {
		t.Fatalf("the story ends as %s", j.state.Status)
	}
	return j
}

// Every attempt, and why there was another one, can be read.
func TestShowTellsWhyThereWasAnotherAttempt(t *testing.T) {
	j := recoveredStory(t)
	told := taskStory{state: j.state, records: j.records, team: j.team, file: "team.yaml"}
	v := storyView{lines: 3, loc: time.UTC, now: j.at}
	golden(t, "show-recovered.txt", v.render(told))
}
