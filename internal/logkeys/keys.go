// Package logkeys declares the keys that log messages may have, so that one thing
// has one name wherever it is logged. A test holds the whole program to it.
package logkeys

import (
	"fmt"
	"strings"
)

// Key is one key of log messages.
type Key struct{ Name, About string }

// Keys are all keys, those that name the subject of a message first.
func Keys() []Key {
	return []Key{
		{"task", "ID of the task"},
		{"team", "name of the team"},
		{"turn", "number of the turn in the task"},
		{"attempt", "number of the attempt: at the turn, or at what the message says"},
		{"agent", "the agent, or another node, of the team"},
		{"server", "name of the App Server"},
		{"batch", "ID of the batch"},
		{"schedule", "name of the schedule"},
		{"target", "name of the target of notifications"},
		{"error", "what went wrong"},
		{"cause", "what made it so"},
		{"reason", "stop reason, or why it is so"},
		{"state", "the state that it is in then"},
		{"rule", "number of the handoff rule"},
		{"from", "node that handed over"},
		{"to", "node that it was handed to"},
		{"took", "how long it took, in milliseconds"},
		{"after", "how long it lasted"},
		{"again", "when it is tried again, from now"},
		{"delay", "how long is waited"},
		{"grace", "how long what runs may take to end"},
		{"silent", "how long nothing was heard"},
		{"up", "how long it ran"},
		{"scheduled", "the time of the schedule that fired"},
		{"ended_before", "the time before which it ended"},
		{"agent_id", "ID of an agent on an App Server"},
		{"notification", "ID of the notification"},
		{"type", "type of a frame, or of a notification"},
		{"channel", "socket that a frame came from"},
		{"bytes", "size of a frame, or of files"},
		{"raw", "beginning of a frame that is not understood"},
		{"status", "how it was answered"},
		{"method", "method of a request"},
		{"path", "path of a request, or of a file"},
		{"url", "address"},
		{"urls", "addresses"},
		{"version", "version of a program"},
		{"transport", "transport of the App Server protocol"},
		{"protocol", "protocol that is asked for"},
		{"stream", "standard output or standard error"},
		{"part", "part of the program, for messages of libraries"},
		{"dir", "directory"},
		{"data_dir", "the data directory"},
		{"fields", "fields of the configuration"},
		{"pid", "process"},
		{"restarts", "how often it was restarted"},
		{"running", "how many turns run"},
		{"tasks", "how many tasks"},
		{"teams", "how many teams"},
		{"waiting", "how many wait"},
		{"dropped", "how many were dropped"},
		{"transcripts", "how many files of transcripts, one a task"},
		{"tokens", "tokens used"},
		{"cost_usd", "cost in US dollars"},
		{"detail", "what a library says"},
		{"panic", "value of a panic: an error of this program"},
		{"stack", "where it panicked"},
	}
}

// Level is a level of log messages and what it means.
type Level struct{ Name, About string }

// Levels are the levels, the most serious first.
func Levels() []Level {
	return []Level{
		{"error", "a person has to do something, or this program is wrong: the store cannot be written, a task cannot be driven, a panic"},
		{"warn", "something went wrong that is dealt with: an App Server is out of reach and asked again, a turn is reconciled, a task failed"},
		{"info", "what an operator follows: the daemon starts, reloads and stops, a task ended, a schedule fired, somebody was notified"},
		{"debug", "every turn, handoff and request, for whoever looks for a cause"},
		{"trace", "nothing of its own: all that there is"},
	}
}

// Reference is the part of docs/observability.md about logs, as Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("| level | what it means |\n|---|---|\n")
	for _, l := range Levels() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", l.Name, l.About)
	}
	b.WriteString("\n| key | what it holds |\n|---|---|\n")
	for _, k := range Keys() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k.Name, k.About)
	}
	b.WriteString("\n")
	return b.String()
}
