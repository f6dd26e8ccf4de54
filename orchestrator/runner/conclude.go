package runner

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// outOfTouch says whether a turn whose input was written may go on without us.
func outOfTouch(result *appclient.TurnResult, err error) bool {
	if result != nil && result.OK() {
		return false // it was really over, whatever else happened at the same moment
	}
	// Without an acknowledgement the input may have been taken all the same.
	return errors.Is(err, appclient.ErrConnectionLost) || errors.Is(err, appclient.ErrRequestTimeout)
}

// conclude says how a turn ended. result may be nil when err is not. The turn
// must not be outOfTouch.
func conclude(result *appclient.TurnResult, err error, limit, silence time.Duration) workflow.TurnFinished {
	finished := finishedOf(result)
	if result != nil && result.OK() {
		// It was really over, whatever else happened at the same moment.
		finished.Error = ""
		return finished
	}
	if err == nil {
		return finished
	}
	finished.Error = err.Error()
	switch {
	case errors.Is(err, errTurnTimeout):
		finished.Reason = workflow.ReasonTurnTimeout
		finished.Error = fmt.Sprintf("the turn was aborted after %v (turn_timeout)", limit)
	case errors.Is(err, appclient.ErrStalled):
		finished.Reason = workflow.ReasonStalled
		finished.Error = fmt.Sprintf("the turn was aborted: nothing was heard of it for %v (stall_timeout)", silence)
	case errors.Is(err, appclient.ErrNoSignOfLife):
		finished.Reason = workflow.ReasonStalled
	case errors.Is(err, appclient.ErrConversationBusy):
		finished.Reason, finished.ConversationLost = workflow.ReasonError, true
	default:
		finished.Reason = workflow.ReasonError
	}
	loseConversation(&finished, err)
	return finished
}

// finishedOf is what the result says; it may be nil.
func finishedOf(result *appclient.TurnResult) workflow.TurnFinished {
	if result == nil {
		return workflow.TurnFinished{}
	}
	return workflow.TurnFinished{
		Reason: workflow.Reason(result.StopReason), Output: result.Text, Error: result.Error,
		Usage: usageOf(result.Usage), RunID: result.RunID, TurnID: result.TurnID, ToolCalls: len(result.ToolCalls),
	}
}

// loseConversation gives the conversation up where an aborted turn has not ended.
func loseConversation(finished *workflow.TurnFinished, err error) {
	if errors.Is(err, appclient.ErrAbortTimeout) {
		finished.ConversationLost = true
		finished.Error += "; the App Server did not end it in time, so that its conversation is given up"
	}
}

// overBudget is the end of a turn that was aborted at a limit. What it has said
// so far is its output: it is paid for. Where contact was lost at the same
// moment the App Server aborts the turn by itself.
func overBudget(result *appclient.TurnResult, err error, budget *engine.BudgetError) workflow.TurnFinished {
	finished := finishedOf(result)
	finished.Reason, finished.Error = workflow.ReasonBudgetExceeded, budget.Note
	if result != nil {
		var said []string
		for _, run := range result.Runs {
			// The text of a failed request comes again with the next.
			if text := strings.TrimSpace(run.Text()); text != "" && run.StopReason != appclient.StopLLMAPIError {
				said = append(said, text)
			}
		}
		finished.Output = strings.Join(said, "\n\n")
	}
	loseConversation(&finished, err)
	return finished
}

// sessionModel is the model that the agent of a session runs on; empty when the
// server does not say: "local/default" only means that it chooses.
func sessionModel(session *appclient.Session) string {
	if model := session.Model(); model != localDefault {
		return model
	}
	return ""
}

func usageOf(u appclient.Usage) workflow.Usage {
	return workflow.Usage{
		PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens, TotalTokens: u.TotalTokens,
		CachedInputTokens: u.CachedInputTokens, ReasoningTokens: u.ReasoningTokens, Requests: int64(u.Requests),
	}
}
