package roles

import (
	"fmt"
	"strings"
)

// FileError is one problem in a role file.
type FileError struct {
	File string
	// Line and Column count from 1.
	Line, Column int
	// Problem says what is wrong and how to mend it.
	Problem string
	// Err is the cause outside of the file's content, if there is one.
	Err error
}

// Error renders file:line:column: problem.
func (e *FileError) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// UnknownRoleError says that the library has no such role.
type UnknownRoleError struct {
	Name string
	// Suggestion is the name that was probably meant; empty when none is near.
	Suggestion string
	// Known are all names.
	Known []string
}

// Error implements error.
func (e *UnknownRoleError) Error() string {
	if e.Suggestion != "" {
		return fmt.Sprintf("unknown role %q: did you mean %q?", e.Name, e.Suggestion)
	}
	return fmt.Sprintf("unknown role %q: known are %s", e.Name, strings.Join(e.Known, ", "))
}
