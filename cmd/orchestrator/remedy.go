package main

import (
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// remedy says what a person can do about a failed task.
func remedy(s *story) string {
	if n := len(s.Steps); n > 0 && s.Steps[n-1].Sent.IsZero() && s.Steps[n-1].Finished != nil {
		return "mend what the error says, then go on with  orchestrator retry " + s.Task + "; nothing was asked of the agent"
	}
	again := "run the team again; the workspace is as the agents left it"
	retry := "go on from there with  orchestrator retry " + s.Task
	switch s.Result.Reason {
	case workflow.ReasonConnectionLost:
		return "check that the App Server runs (orchestrator appserver info --url URL), then " + retry
	case workflow.ReasonLLMAPIError, workflow.ReasonInvalidLLMResponse:
		return "check the model provider of the App Server and its credentials, then " + retry
	case workflow.ReasonInsufficientCredits:
		return "add credit at the model provider, then " + retry
	case workflow.ReasonBudgetExceeded:
		return fmt.Sprintf("read what used it up (orchestrator show %s), raise the limit in the team file, then %s", s.Task, again)
	case workflow.ReasonTurnTimeout, workflow.ReasonStalled:
		return fmt.Sprintf("raise turn_timeout or stall_timeout of %q if the work needs it, then %s", s.Result.Node, again)
	case workflow.ReasonNoOutcome:
		return fmt.Sprintf("tell %q in its instructions when to report which outcome, then %s", s.Result.Node, again)
	case workflow.ReasonUncertain:
		return "look into the workspace whether the interrupted turn did its work, then " + retry
	default:
		return fmt.Sprintf("read the last turn (orchestrator show %s --full), then %s; where the team itself was wrong, %s", s.Task, retry, again)
	}
}
