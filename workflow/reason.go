package workflow

// Reason says why a node ended. Handoff rules select on it (`on:`).
//
// An agent ends with the App Server's own stop reason, with one of the
// orchestrator's reasons below, or, where the agent declares outcomes, with
// the outcome that it reported.
type Reason string

// Stop reasons of the App Server (turn_finished.stop_reason).
const (
	ReasonEndTurn             Reason = "end_turn"
	ReasonError               Reason = "error"
	ReasonLLMAPIError         Reason = "llm_api_error"
	ReasonMaxTokensExceeded   Reason = "max_tokens_exceeded"
	ReasonCancelled           Reason = "cancelled"
	ReasonInvalidLLMResponse  Reason = "invalid_llm_response"
	ReasonInvalidToolCall     Reason = "invalid_tool_call"
	ReasonMaxSteps            Reason = "max_steps"
	ReasonNoToolCall          Reason = "no_tool_call"
	ReasonToolRule            Reason = "tool_rule"
	ReasonInsufficientCredits Reason = "insufficient_credits"
	ReasonContextOverflow     Reason = "context_window_overflow_in_system_prompt"
)

// Reasons of the orchestrator itself.
const (
	// ReasonTurnTimeout: the turn outlived the agent's turn_timeout and was aborted.
	ReasonTurnTimeout Reason = "turn_timeout"
	// ReasonStalled: no frame arrived for the agent's stall_timeout and the turn was
	// aborted, or the App Server did not take up the input, again and again.
	ReasonStalled Reason = "stalled"
	// ReasonConnectionLost: the turn was interrupted and continued MaxRecoveries times in a row.
	ReasonConnectionLost Reason = "connection_lost"
	// ReasonBudgetExceeded: a limit of the task, the branch or the sub-team was reached, in the turn or before the next.
	ReasonBudgetExceeded Reason = "budget_exceeded"
	// ReasonNoOutcome: the agent declares outcomes and reported none, not even after one reminder.
	ReasonNoOutcome Reason = "no_outcome"
	// ReasonUncertain: it cannot be known whether the turn ran. Rules that name it see
	// it, and others where UncertainPolicy is UncertainFail, or a person says so.
	ReasonUncertain Reason = "uncertain"
)

// Reasons of checks.
const (
	ReasonPassed  Reason = "passed"
	ReasonFailed  Reason = "failed" // also of a sub-team
	ReasonTimeout Reason = "timeout"
)

// Reasons of gates.
const (
	ReasonApproved Reason = "approved"
	ReasonRejected Reason = "rejected"
	ReasonExpired  Reason = "expired"
)

// Reasons of sub-teams, besides ReasonFailed, ReasonCancelled and ReasonBudgetExceeded.
const (
	ReasonSucceeded Reason = "succeeded"
)
