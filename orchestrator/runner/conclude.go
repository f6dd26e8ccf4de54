package runner

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
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
	var finished workflow.TurnFinished
	if result != nil {
		finished = workflow.TurnFinished{
			Reason: workflow.Reason(result.StopReason), Output: result.Text, Error: result.Error,
			Usage: usageOf(result.Usage), RunID: result.RunID, TurnID: result.TurnID, ToolCalls: len(result.ToolCalls),
		}
		if result.OK() {
			// It was really over, whatever else happened at the same moment.
			finished.Error = ""
			return finished
		}
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
	if errors.Is(err, appclient.ErrAbortTimeout) {
		finished.ConversationLost = true
		finished.Error += "; the App Server did not end it in time, so that its conversation is given up"
	}
	return finished
}

func usageOf(u appclient.Usage) workflow.Usage {
	return workflow.Usage{
		PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens, TotalTokens: u.TotalTokens,
		CachedInputTokens: u.CachedInputTokens, ReasoningTokens: u.ReasoningTokens, Requests: int64(u.Requests),
	}
}
