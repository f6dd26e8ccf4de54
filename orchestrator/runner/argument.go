package runner

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
	"unicode/utf8"
)

// toolUse is one call of a tool.
type toolUse struct {
	name  string
	input json.RawMessage
	cwd   string // the directory that relative paths start from
}

// field returns an argument that is a string.
func (u toolUse) field(name string) (string, bool) {
	var fields map[string]json.RawMessage
	var value string
	if json.Unmarshal(u.input, &fields) != nil || len(fields[name]) == 0 || fields[name][0] != '"' ||
		json.Unmarshal(fields[name], &value) != nil {
		return "", false
	}
	return value, true
}

// isShell says whether the tool runs a command line.
func (u toolUse) isShell() bool {
	switch u.name {
	case "Bash", "Shell", "shell", "ShellCommand", "shell_command", "RunShellCommand", "run_shell_command", "exec_command":
		return true
	}
	return false
}

// file returns the path that the tool works on, absolute and clean, and
// relative to cwd; relative is empty when the path is outside.
func (u toolUse) file() (absolute, relative string, ok bool) {
	p, ok := u.field("file_path")
	if !ok {
		return "", "", false
	}
	if !path.IsAbs(p) {
		p = path.Join(u.cwd, p)
	}
	absolute = path.Clean(p)
	if rest, inside := strings.CutPrefix(absolute, path.Clean(u.cwd)+"/"); inside {
		relative = rest
	} else if path.Clean(u.cwd) == "/" {
		relative = strings.TrimPrefix(absolute, "/")
	}
	return absolute, relative, true
}

// argument is the argument that says most about the call.
func (u toolUse) argument() string {
	if absolute, relative, ok := u.file(); ok {
		if relative != "" {
			return relative
		}
		return absolute
	}
	for _, name := range []string{"command", "pattern", "path", "url", "query", "skill", "description", "outcome"} {
		if value, ok := u.field(name); ok {
			return value
		}
	}
	return u.compact()
}

// isObject says whether the input is a JSON object.
func (u toolUse) isObject() bool {
	var fields map[string]json.RawMessage
	return json.Unmarshal(u.input, &fields) == nil && fields != nil
}

// compact is the whole input as JSON without spaces.
func (u toolUse) compact() string {
	var b bytes.Buffer
	if json.Compact(&b, u.input) != nil {
		return strings.TrimSpace(string(u.input))
	}
	if b.String() == "{}" || b.String() == "null" {
		return ""
	}
	return b.String()
}

// short puts s on one line of at most n characters.
func short(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
