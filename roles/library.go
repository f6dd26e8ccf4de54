package roles

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
)

//go:embed library/*.md
var builtIn embed.FS

// maxFileSize bounds one role file, in bytes. A prompt is paid for with every model request.
const maxFileSize = 256 << 10

// Library is a set of roles. It does not change after Load.
type Library struct {
	roles map[string]Role
}

// Load reads the roles that come with the program, and over them those in dir,
// where a role of the same name replaces the built-in one. An empty dir means
// the built-in ones alone. Files in dir that do not end in .md are ignored.
//
// All problems of all files are reported together, each as a *FileError.
// Links that lead out of dir are refused.
func Load(dir string) (*Library, error) {
	l := &Library{roles: make(map[string]Role)}
	sub, err := fs.Sub(builtIn, "library")
	if err != nil {
		return nil, fmt.Errorf("read the built-in roles: %w", err)
	}
	if err := l.add(sub, ""); err != nil {
		return nil, fmt.Errorf("read the built-in roles: %w", err)
	}
	if dir == "" {
		return l, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of roles: %w", err)
	}
	// Only read from, so that closing it cannot lose anything.
	defer func() { _ = root.Close() }()
	if err := l.add(root.FS(), dir); err != nil {
		return nil, err
	}
	return l, nil
}

// add reads every *.md of a folder. dir is its name for messages; empty for the built-in one.
func (l *Library) add(folder fs.FS, dir string) error {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return fmt.Errorf("list the folder of roles %s: %w", dir, err)
	}
	var problems []error
	for _, entry := range entries {
		base, isRole := strings.CutSuffix(entry.Name(), ".md")
		if !isRole || strings.HasPrefix(base, ".") {
			continue
		}
		file := ""
		if dir != "" {
			file = filepath.Join(dir, entry.Name())
		}
		role, err := read(folder, entry.Name(), file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		l.roles[role.Name] = role
	}
	return errors.Join(problems...)
}

// read reads one role file. shown is its name in messages and in Role.File.
func read(folder fs.FS, name, shown string) (Role, error) {
	in := shown
	if in == "" {
		in = name
	}
	base := strings.TrimSuffix(name, ".md")
	if !validName(base) {
		return Role{}, &FileError{File: in, Line: 1, Column: 1, Problem: fmt.Sprintf("%q is no name for a role: use lower-case letters, digits, - and _, beginning with a letter", base)}
	}
	f, err := folder.Open(name)
	if err != nil {
		return Role{}, &FileError{File: in, Line: 1, Column: 1, Problem: "cannot be read", Err: err}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return Role{}, &FileError{File: in, Line: 1, Column: 1, Problem: "cannot be read", Err: err}
	case !info.Mode().IsRegular():
		return Role{}, &FileError{File: in, Line: 1, Column: 1, Problem: "is not a file; a role is a Markdown file"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	switch {
	case err != nil:
		return Role{}, &FileError{File: in, Line: 1, Column: 1, Problem: "cannot be read", Err: err}
	case len(data) > maxFileSize:
		return Role{}, &FileError{File: in, Line: 1, Column: 1, Problem: fmt.Sprintf("is larger than %d KiB", maxFileSize>>10)}
	}
	role, err := parse(in, data)
	if err != nil {
		return Role{}, err
	}
	role.Name, role.File = base, shown
	return role, nil
}

func validName(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '_') {
			return false
		}
	}
	return s != ""
}

// Names lists the roles in alphabetical order.
func (l *Library) Names() []string { return slices.Sorted(maps.Keys(l.roles)) }

// Role returns a role by its name, or an *UnknownRoleError. Only names of the
// library are looked up: a name never becomes a path.
func (l *Library) Role(name string) (Role, error) {
	role, ok := l.roles[name]
	if !ok {
		return Role{}, &UnknownRoleError{Name: name, Suggestion: suggest.Nearest(name, l.Names()), Known: l.Names()}
	}
	role.Tools, role.Outcomes = slices.Clone(role.Tools), slices.Clone(role.Outcomes)
	return role, nil
}
