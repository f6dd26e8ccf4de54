package workflow

import (
	"fmt"
	"strings"
)

// goalInput is the input that, where a team declares it, is the first message.
const goalInput = "goal"

// maxDefaultOutput bounds how much of an output a default message carries, in
// bytes; it leaves room for the rest within maxRendered.
const maxDefaultOutput = maxRendered - 64<<10

// startMessage is the first message of a task whose team gives none: the input
// goal and nothing else where it is declared, or else all inputs.
func startMessage(team *Team, s *State) string {
	if goal, ok := s.Input[goalInput].(string); ok && goal != "" {
		return cut(goal, maxDefaultOutput)
	}
	if len(s.Input) == 0 {
		return "There is no further input. Do what your instructions say."
	}
	input := typedInput(team, s.Input)
	var b strings.Builder
	for _, name := range sortedKeys(input) {
		fmt.Fprintf(&b, "%s: %v\n", name, input[name])
	}
	return cut(strings.TrimSuffix(b.String(), "\n"), maxDefaultOutput)
}

// handoffMessage is the message of a rule that gives none. An agent whose
// conversation is new in this task is told what the task is, since it has heard
// of nothing yet.
func handoffMessage(team *Team, s *State, e *ended, fresh bool) string {
	var b strings.Builder
	if fresh {
		fmt.Fprintf(&b, "The task:\n%s\n\n", cut(startMessage(team, s), 32<<10))
	}
	if e.handoff != "" {
		fmt.Fprintf(&b, "%s hands over to you:\n%s\n\n", e.turn.Node, e.handoff)
	}
	if e.joined != nil && e.reason == "" {
		fmt.Fprintf(&b, "%s have ended.", e.turn.Node)
	} else {
		fmt.Fprintf(&b, "%s ended with %s.", e.turn.Node, e.reason)
	}
	for _, part := range []struct{ name, text string }{{"summary", e.summary}, {"error", e.err}, {"output", e.output}} {
		if strings.TrimSpace(part.text) != "" {
			fmt.Fprintf(&b, "\n\nIts %s:\n%s", part.name, part.text)
		}
	}
	return cut(b.String(), maxRendered-1<<10)
}

// reminderMessage asks an agent for the outcome that it did not report.
func reminderMessage(outcomes []string) string {
	return fmt.Sprintf("Your last turn ended without a valid outcome. Call the tool report_outcome now, once, with one of these outcomes: %s. "+
		"Do no other work in this turn.", strings.Join(outcomes, ", "))
}

const continuationStart = "You were interrupted before you could finish: the connection or the server went away. "

// continuationMessage asks an agent to go on with a turn that was cut off. The
// agent has read the original message already and may have acted on it.
func continuationMessage(original string) string {
	for _, start := range []string{continuationStart, quotaStart, budgetStart, uncertainStart} {
		if rest, ok := strings.CutPrefix(original, start); ok {
			return continuationStart + rest
		}
	}
	return continuationStart +
		"Look at what you had done so far, in this conversation and in the workspace, and go on from there; do not repeat steps that are done. " +
		workedOn + original
}

// workedOn is what the original message follows in one that asks to go on.
const workedOn = "The message that you were working on was:\n\n"

// originalMessage is the message of a turn before it was asked to go on.
func originalMessage(message string) string {
	for _, start := range []string{continuationStart, quotaStart, budgetStart, uncertainStart} {
		if strings.HasPrefix(message, start) {
			if _, original, ok := strings.Cut(message, workedOn); ok {
				return original
			}
		}
	}
	return message
}

const (
	quotaStart  = "You were interrupted because the provider's quota of requests was used up. It allows requests again now. "
	budgetStart = "You were stopped because a limit of the task was reached. It has been raised. "
)

// uncertainStart begins the message after a turn of which nobody knows whether it ran.
const uncertainStart = "Contact with the App Server was lost, and it is not known whether the message below ever reached you, nor what you have done about it. " +
	"It may have been carried out as a whole, in part, or not at all. "

// uncertainMessage asks an agent to go on with a turn that may have run.
func uncertainMessage(original string) string { return goOnMessage(uncertainStart, original) }

// quotaMessage and budgetMessage ask an agent to go on with a turn that was cut off.
func quotaMessage(original string) string  { return goOnMessage(quotaStart, original) }
func budgetMessage(original string) string { return goOnMessage(budgetStart, original) }

func goOnMessage(start, original string) string {
	for _, prefix := range []string{quotaStart, budgetStart, continuationStart, uncertainStart} {
		if rest, ok := strings.CutPrefix(original, prefix); ok {
			return start + rest
		}
	}
	return start + strings.TrimPrefix(continuationMessage(original), continuationStart)
}

// forkMessage is the message of a turn in a conversation that has just begun,
// with what the agent has said last in the one that it does not have any more.
func forkMessage(last NodeResult, original string) string {
	if last.Output == "" {
		return original
	}
	return "You have worked on this before, in another conversation that you cannot see. What you said there last:\n\n" +
		cut(last.Output, 32<<10) + "\n\nThe message that you go on with:\n\n" + original
}
