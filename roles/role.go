// Package roles is the library of roles: system prompts for the agents of a
// team. Eight come with the program; a folder of the user's can replace them
// and add others.
//
// A role is a Markdown file named after it, such as coder.md. It begins with
// front matter in YAML between two lines "---"; the rest is the prompt:
//
//	---
//	description: Carries out a plan.      # required
//	receives: A goal with a plan.
//	hands_over: The change on disk.
//	permission_mode: acceptEdits
//	tools: [Read, Write, Edit, Bash]
//	outcomes: [done, stuck]
//	---
//	You are the coder …
package roles

// Role is one entry of the library. Everything but Prompt is for people and
// for suggestions: what an agent may do is decided by its team file.
type Role struct {
	Name        string
	Description string
	// Receives and HandsOver say what the role needs as input and what its last message holds.
	Receives  string
	HandsOver string
	// PermissionMode, Tools and Outcomes are suggestions for the team file; empty means none.
	PermissionMode string
	Tools          []string
	Outcomes       []string
	// Prompt is the system prompt.
	Prompt string
	// File is where the role was read; empty for one that comes with the program.
	File string
}

// BuiltIn says whether the role comes with the program.
func (r Role) BuiltIn() bool { return r.File == "" }
