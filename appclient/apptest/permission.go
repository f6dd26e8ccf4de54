package apptest

import (
	"encoding/json"
	"slices"
	"strings"
)

// builtinTools are the tools that the model of a default agent sees.
func builtinTools() []string {
	return []string{
		"AskUserQuestion", "Bash", "Monitor", "TaskOutput", "EnterWorktree", "ExitWorktree", "SetWorkingDirectory", "Edit", "TaskStop",
		"memory", "Read", "Skill", "Agent", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "Write",
	}
}

// asks reports whether a call needs a client's approval in a permission mode.
func asks(mode, tool string, external bool, arguments string) bool {
	switch {
	case !external && (!slices.Contains(builtinTools(), tool) || len(missing(requiredInputs(tool), arguments)) > 0):
		return false // refused without asking
	case tool == "AskUserQuestion":
		return true
	case mode == "unrestricted":
		return false
	case mode == "strict", external:
		return true
	}
	switch tool {
	case "Read", "memory", "Skill":
		return false
	case "Write", "Edit":
		return mode == "standard"
	case "Bash":
		var input struct {
			Command string `json:"command"`
		}
		return json.Unmarshal([]byte(arguments), &input) != nil || !readOnly(input.Command)
	}
	return true
}

// readOnly recognises commands that only look. What it does not know counts as changing something.
func readOnly(command string) bool {
	if strings.ContainsAny(command, ">`$\n") || strings.Contains(strings.ReplaceAll(command, "&&", ""), "&") {
		return false
	}
	parts := strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune("|;&", r) })
	for _, part := range parts {
		words := strings.Fields(part)
		switch {
		case len(words) == 0:
			return false
		case words[0] == "git":
			if len(words) < 2 || !slices.Contains([]string{"status", "log", "diff", "show", "branch"}, words[1]) {
				return false
			}
		case !slices.Contains([]string{"ls", "cat", "head", "tail", "grep", "wc", "pwd", "echo", "find", "which", "true", "date"}, words[0]):
			return false
		}
	}
	return len(parts) > 0
}
