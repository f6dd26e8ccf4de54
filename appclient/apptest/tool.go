package apptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxToolText is where the server cuts the text of a tool's result.
const maxToolText = 30000

// toolResult is what the model sees of a call.
type toolResult struct {
	text        string
	failed      bool
	interrupted bool
	written     string // the file that a Write or Edit changed
	content     string
}

func failed(text string) toolResult { return toolResult{text: text, failed: true} }

func (r toolResult) status() string {
	if r.failed {
		return "error"
	}
	return "success"
}

// requiredInputs are the parameters without which a built-in tool does not start.
func requiredInputs(tool string) []string {
	switch tool {
	case "Bash":
		return []string{"command"}
	case "Read":
		return []string{"file_path"}
	case "Write":
		return []string{"file_path", "content"}
	case "Edit":
		return []string{"file_path", "old_string", "new_string"}
	}
	return nil
}

// missingParameters compares arguments with the schema's required names, which is all the server checks.
func missingParameters(schema json.RawMessage, arguments string) []string {
	var s struct {
		Required []string `json:"required"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	return missing(s.Required, arguments)
}

func missing(required []string, arguments string) []string {
	given := received(arguments)
	return slices.DeleteFunc(slices.Clone(required), func(name string) bool { return slices.Contains(given, name) })
}

// received are the names of the arguments; none when they are not a JSON object.
func received(arguments string) []string {
	var given map[string]json.RawMessage
	if json.Unmarshal([]byte(arguments), &given) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(given))
}

func missingText(tool string, names []string, arguments string) string {
	noun := "parameter"
	if len(names) > 1 {
		noun = "parameters"
	}
	return fmt.Sprintf("%s tool missing required %s: %s. Received parameters: %s",
		tool, noun, strings.Join(names, ", "), strings.Join(received(arguments), ", "))
}

// runTool runs a tool of the server in a directory. ctx ends when the turn is cancelled; output is called
// with what a command has printed so far.
func (s *Server) runTool(ctx context.Context, name, cwd, arguments string, output func(stdout, stderr string)) toolResult {
	if !slices.Contains(builtinTools(), name) {
		return failed(fmt.Sprintf("Tool not found: %s. Available tools: %s", name, strings.Replace(strings.Join(builtinTools(), ", "), "Agent", "Task", 1)))
	}
	if names := missing(requiredInputs(name), arguments); len(names) > 0 {
		return failed(missingText(name, names, arguments))
	}
	if !s.opts.Exec {
		return failed(fmt.Sprintf("%s did not run: tool execution is switched off in this scripted server", name))
	}
	var in struct {
		Command    string `json:"command"`
		FilePath   string `json:"file_path"`
		Content    string `json:"content"`
		Old        string `json:"old_string"`
		New        string `json:"new_string"`
		ReplaceAll bool   `json:"replace_all"`
		Offset     int    `json:"offset"`
		Limit      int    `json:"limit"`
	}
	if err := json.Unmarshal([]byte(arguments), &in); err != nil {
		return failed("invalid arguments: " + err.Error())
	}
	path := in.FilePath
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(cwd, path)
	}
	switch name {
	case "Bash":
		return runCommand(ctx, cwd, in.Command, output)
	case "Read":
		return readFile(path, cwd, in.Offset, in.Limit)
	case "Write":
		return writeFile(path, in.Content)
	case "Edit":
		return editFile(path, cwd, in.Old, in.New, in.ReplaceAll)
	}
	return toolResult{text: name + " done"}
}

func notFound(path, cwd string) toolResult {
	return failed(fmt.Sprintf("File does not exist. Attempted path: %s. Current working directory: %s", path, cwd))
}

func readFile(path, cwd string, offset, limit int) toolResult {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return notFound(path, cwd)
	}
	if err != nil {
		return failed(err.Error())
	}
	lines := strings.Split(string(data), "\n")
	first := max(offset-1, 0)
	last := len(lines)
	if limit > 0 {
		last = min(first+limit, last)
	}
	var b strings.Builder
	for i := first; i < last; i++ {
		if i > first {
			b.WriteByte('\n')
		}
		b.WriteString(strconv.Itoa(i+1) + "\t" + lines[i])
	}
	return toolResult{text: b.String()}
}

func writeFile(path, content string) toolResult {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return failed(err.Error())
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec // a project file, readable like any other
		return failed(err.Error())
	}
	// The server counts as JavaScript does, in UTF-16 units.
	n := len(utf16.Encode([]rune(content)))
	return toolResult{text: fmt.Sprintf("Successfully wrote %d characters to %s", n, path), written: path, content: content}
}

func editFile(path, cwd, old, replacement string, all bool) toolResult {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return notFound(path, cwd)
	}
	if err != nil {
		return failed(err.Error())
	}
	text := string(data)
	if old == "" {
		return failed("old_string cannot be empty. Provide the exact text you want to replace.")
	}
	n := strings.Count(text, old)
	if n == 0 {
		return failed("String to replace not found in file.\nString: " + old +
			"\nPossible mismatch reasons:\n- The snippet may be stale; re-read the file and copy exact text.")
	}
	if !all {
		n = 1 // the first one, even where there are more
	}
	line := 1 + strings.Count(text[:strings.Index(text, old)], "\n")
	text = strings.Replace(text, old, replacement, n)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // as above
		return failed(err.Error())
	}
	noun := "occurrence"
	if n > 1 {
		noun = "occurrences"
	}
	return toolResult{
		text: string(mustJSON(struct {
			Message      string `json:"message"`
			Replacements int    `json:"replacements"`
			StartLine    int    `json:"startLine"`
		}{fmt.Sprintf("Successfully replaced %d %s in %s", n, noun, path), n, line})),
		written: path, content: text,
	}
}
