package appclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// builtinTools are tools of the App Server itself. An external tool of the
// same name would be validated as the built-in one, and so be unusable.
func builtinTools() []string {
	return []string{
		"Agent", "ApplyPatch", "AskUserQuestion", "Bash", "BashOutput", "Edit", "EnterPlanMode", "EnterWorktree",
		"ExitPlanMode", "ExitWorktree", "Glob", "GlobGemini", "Grep", "KillBash", "LS", "ListDirectory", "Monitor", "MultiEdit",
		"Read", "Replace", "RunShellCommand", "SetWorkingDirectory", "Shell", "ShellCommand", "Skill", "Task", "TaskCreate",
		"TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoWrite", "UpdatePlan", "ViewImage", "Write",
		"WriteTodos", "apply_patch", "grep_files", "list_dir", "memory", "memory_apply_patch", "read_file", "shell",
		"shell_command", "update_plan", "view_image", "web_search", "fetch_webpage", "conversation_search",
	}
}

var (
	// toolName is what model providers accept as a function's name.
	toolName    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	windowsPath = regexp.MustCompile(`^[A-Za-z]:[\\/]`)
)

func quoted(s string) string { return strconv.Quote(s) }

// isObject says whether raw is one JSON object.
func isObject(raw json.RawMessage) bool {
	trimmed := bytes.TrimSpace(raw)
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed)
}

func needID(field, id string) error {
	if id == "" {
		return &ValidationError{field, "must not be empty"}
	}
	return nil
}

func oneOf[T ~string](field string, value T, valid ...T) error {
	if slices.Contains(valid, value) {
		return nil
	}
	names := make([]string, len(valid))
	for i, name := range valid {
		names[i] = string(name)
	}
	return &ValidationError{field, fmt.Sprintf("%q is not one of %s", string(value), strings.Join(names, ", "))}
}

// isAbsolute accepts the absolute paths of any operating system, since the
// server may run on another than the client.
func isAbsolute(path string) bool {
	return strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\\`) || windowsPath.MatchString(path)
}

// validate checks what the server would drop without an answer, or misread.
func (s RuntimeStart) validate() error {
	switch {
	case s.AgentID == "" && s.CreateAgent == nil:
		return &ValidationError{"agent_id", "one of agent_id and create_agent is required"}
	case s.AgentID != "" && s.CreateAgent != nil:
		return &ValidationError{"agent_id", "cannot be combined with create_agent"}
	case s.ConversationID != "" && s.CreateConversation != nil:
		return &ValidationError{"conversation_id", "cannot be combined with create_conversation"}
	case s.CreateAgent != nil && s.ConversationID != "" && s.ConversationID != "default":
		return &ValidationError{"conversation_id", "a new agent has no conversation yet other than \"default\""}
	case s.CWD != "" && !isAbsolute(s.CWD):
		return &ValidationError{"cwd", quoted(s.CWD) + " is not an absolute path"}
	}
	if s.Mode != "" {
		if err := oneOf("mode", s.Mode, ModeStandard, ModeAcceptEdits, ModeUnrestricted, ModeStrict); err != nil {
			return err
		}
	}
	for i, source := range s.SkillSources {
		field := fmt.Sprintf("skill_sources[%d]", i)
		if err := oneOf(field, source, SkillsBundled, SkillsGlobal, SkillsAgent, SkillsProject); err != nil {
			return err
		}
	}
	if s.CreateAgent != nil {
		if err := s.CreateAgent.validate("create_agent.body"); err != nil {
			return err
		}
	}
	return validateTools(s.Tools)
}

func (s AgentSpec) validate(field string) error {
	for name, raw := range map[string]json.RawMessage{
		".model_settings": s.ModelSettings, ".compaction_settings": s.CompactionSettings,
	} {
		if raw != nil && !isObject(raw) {
			return &ValidationError{field + name, "must be a JSON object"}
		}
	}
	for i, block := range s.MemoryBlocks {
		if block.Label == "" {
			return &ValidationError{fmt.Sprintf("%s.memory_blocks[%d].label", field, i), "must not be empty"}
		}
	}
	return nil
}

// body builds the body of agent_create and create_agent.
func (s AgentSpec) body(field string) (json.RawMessage, error) {
	if err := s.validate(field); err != nil {
		return nil, err
	}
	return mergeObject(s, s.Extra)
}

func validateTools(tools []Tool) error {
	seen := make(map[string]bool, len(tools))
	builtins := builtinTools()
	for i, tool := range tools {
		field := fmt.Sprintf("external_tools[%d]", i)
		switch {
		case !toolName.MatchString(tool.Name):
			return &ValidationError{field + ".name", quoted(tool.Name) + " must be 1 to 64 letters, digits, _ or -"}
		case slices.Contains(builtins, tool.Name):
			return &ValidationError{field + ".name", quoted(tool.Name) + " is the name of a built-in tool"}
		case seen[tool.Name]:
			return &ValidationError{field + ".name", quoted(tool.Name) + " is there twice"}
		case tool.Description == "":
			return &ValidationError{field + ".description", "must not be empty"}
		case tool.Handler == nil:
			return &ValidationError{field + ".handler", "must not be nil"}
		}
		seen[tool.Name] = true
		var schema struct {
			Type     string   `json:"type"`
			Required []string `json:"required"`
		}
		if !isObject(tool.Parameters) || json.Unmarshal(tool.Parameters, &schema) != nil || schema.Type != "object" {
			return &ValidationError{field + ".parameters", `must be a JSON schema of "type":"object"`}
		}
	}
	return nil
}

// validate checks a turn before it is sent.
func (t Turn) validate() error {
	switch {
	case t.Text == "" && len(t.Content) == 0:
		return &ValidationError{"content", "the message is empty"}
	case t.Text != "" && t.Content != nil:
		return &ValidationError{"content", "text and content cannot be combined"}
	case t.StartTimeout < 0 || t.StallTimeout < 0 || t.AbortGrace < 0:
		return &ValidationError{"timeouts", "must not be negative"}
	}
	for i, part := range t.Content {
		field := fmt.Sprintf("content[%d]", i)
		if err := oneOf(field+".type", part.Type, "text", "image"); err != nil {
			return err
		}
		if part.Type == "image" && (part.Source == nil || part.Source.Type != "base64" || part.Source.Data == "" || part.Source.MediaType == "") {
			return &ValidationError{field + ".source", "must have type base64, media_type and data: the server drops other images"}
		}
	}
	return nil
}
