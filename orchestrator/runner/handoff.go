package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxHandoffMessage bounds the message of a handoff, in bytes; it is stored with the task.
const maxHandoffMessage = 64 << 10

// handoffPick is whom the agent picked to go on. The last valid pick counts.
type handoffPick struct {
	targets []string

	mu          sync.Mutex
	to, message string
}

// tool is the tool as it is offered to the model.
func (h *handoffPick) tool(team *workflow.Team) appclient.Tool {
	var described []string
	for _, target := range h.targets {
		described = append(described, describeTarget(team, target))
	}
	return appclient.Tool{
		Name: workflow.ToolHandoff, Label: "Hand off",
		Description: "Say who goes on with the task after this turn: " + strings.Join(described, ", ") +
			". Call it once, before your last message. A later call replaces an earlier one.",
		Parameters: object(map[string]any{
			"to":      choice(h.targets, "Who goes on."),
			"message": property("string", "Optional: what they are to know and do. They see nothing else that you wrote but your last message."),
		}, "to"),
		Handler: h.handle,
	}
}

// describeTarget says what a target is.
func describeTarget(team *workflow.Team, target string) string {
	switch target {
	case workflow.TerminalSucceeded, workflow.TerminalFailed, workflow.TerminalCancelled:
		return target + " (ends the work as " + target + ")"
	}
	switch kind, _ := team.Kind(target); kind {
	case workflow.KindCheck:
		return target + " (a check that runs a command)"
	case workflow.KindGate:
		return target + " (a person decides)"
	case workflow.KindTeam:
		return target + " (another team)"
	case workflow.KindAgent:
	}
	return target
}

func (h *handoffPick) handle(_ context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	choices := strings.Join(h.targets, ", ")
	args, err := argumentsOf(call)
	if err != nil {
		return refusal("the arguments must be a JSON object with to (one of %s).", choices)
	}
	to, ok := args.text("to")
	if !ok || !slices.Contains(h.targets, to) {
		return refusal("to must be one of %s, not %s. Call %s again.", choices, shown(args["to"]), workflow.ToolHandoff)
	}
	message, ok := args.text("message")
	if args.has("message") && !ok {
		return refusal("message must be a text or left out, not %s. Call %s again.", shown(args["message"]), workflow.ToolHandoff)
	}
	if len(message) > maxHandoffMessage {
		return refusal("message is longer than %d KiB. Shorten it and call %s again.", maxHandoffMessage>>10, workflow.ToolHandoff)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.to, h.message = to, message
	return appclient.TextResult(fmt.Sprintf("Recorded: %s goes on after this turn. Now write your last message and end the turn.", to)), nil
}

// report puts the pick into the result of the turn. It does nothing when h is nil.
func (h *handoffPick) report(finished *workflow.TurnFinished) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	finished.Handoff, finished.HandoffMessage = h.to, h.message
}
