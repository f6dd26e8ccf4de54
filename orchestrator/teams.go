package orchestrator

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// scenarioSuffix ends the names of scenario files, which stand beside team files.
const scenarioSuffix = ".test.yaml"

// TeamFile is one file of the teams directory.
type TeamFile struct {
	// Name is the team's. Of a file that cannot be read at all it is the name of the file without .yaml.
	Name string
	File string
	// Team can be submitted; nil when there is none. Where Err is set as well, it
	// is what the file held before somebody broke it.
	Team *workflow.Team
	// Err is what is wrong with the file; a workflow.Problems where it is about its text.
	Err error
}

// teamFiles are the teams of a directory, in the order of their names.
type teamFiles []TeamFile

// ErrNoTeam says that no team has the name. The error of a team whose file is
// broken is a *TeamFileError.
var ErrNoTeam = errors.New("there is no such team")

// TeamFileError says that a team cannot be submitted because of its file.
type TeamFileError struct {
	Name, File string
	Err        error
}

// Error implements error.
func (e *TeamFileError) Error() string {
	return fmt.Sprintf("team %q cannot be used: its file %s has mistakes:\n%v", e.Name, e.File, e.Err)
}

// Unwrap gives the mistakes.
func (e *TeamFileError) Unwrap() error { return e.Err }

// readTeams reads every team file of a directory. What is wrong with one of them
// is in its entry, and stops no other. before is what the directory held: a
// file that was good stays what it was until it is good again. An empty dir has no teams.
func readTeams(dir string, roleNames []string, before teamFiles) (teamFiles, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the teams directory: %w", err)
	}
	var all teamFiles
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || filepath.Ext(name) != ".yaml" || strings.HasSuffix(name, scenarioSuffix) || strings.HasPrefix(name, ".") {
			continue
		}
		read := readTeam(dir, filepath.Join(dir, name), roleNames)
		if read.Err != nil {
			if i := slices.IndexFunc(before, func(old TeamFile) bool { return old.File == read.File && old.Team != nil }); i >= 0 {
				read.Name, read.Team = before[i].Name, before[i].Team
			}
		}
		all = append(all, read)
	}
	slices.SortFunc(all, func(a, b TeamFile) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.File, b.File))
	})
	all.refuseTwins()
	return all, nil
}

func readTeam(dir, file string, roleNames []string) TeamFile {
	out := TeamFile{Name: strings.TrimSuffix(filepath.Base(file), ".yaml"), File: file}
	_, source, err := loadBeside(dir)(filepath.Base(file))
	if err != nil {
		out.Err = fmt.Errorf("read the team file %s: %w", file, err)
		return out
	}
	var head struct{ Name string }
	if err := yaml.Unmarshal(source, &head); err == nil && head.Name != "" {
		out.Name = head.Name
	}
	out.Team, out.Err = workflow.Parse(file, source, workflow.ParseOptions{Roles: roleNames, Load: loadBeside(dir)})
	return out
}

// refuseTwins makes teams with one name unusable: nobody knows which is meant.
func (all teamFiles) refuseTwins() {
	files := map[string][]string{}
	for _, t := range all {
		files[t.Name] = append(files[t.Name], t.File)
	}
	for i, t := range all {
		if len(files[t.Name]) > 1 {
			all[i].Team = nil
			all[i].Err = errors.Join(t.Err, fmt.Errorf("%d files have a team %q: %s: give all but one another name", len(files[t.Name]), t.Name, strings.Join(files[t.Name], ", ")))
		}
	}
}

// team finds a team by its name. Errors: ErrNoTeam, *TeamFileError.
func (all teamFiles) team(name string) (*workflow.Team, error) {
	i := slices.IndexFunc(all, func(t TeamFile) bool { return t.Name == name })
	switch {
	case i < 0 && len(all) == 0:
		return nil, fmt.Errorf("team %q: %w: the daemon has no teams directory, or it is empty", name, ErrNoTeam)
	case i < 0:
		var names []string
		for _, t := range all {
			names = append(names, t.Name)
		}
		return nil, fmt.Errorf("team %q: %w: %s", name, ErrNoTeam, workflow.DidYouMean(name, names))
	case all[i].Team == nil:
		return nil, &TeamFileError{Name: name, File: all[i].File, Err: all[i].Err}
	}
	return all[i].Team, nil
}

// problems are what is wrong with the files, one after the other.
func (all teamFiles) problems() []error {
	var out []error
	for _, t := range all {
		if t.Err != nil {
			out = append(out, t.Err)
		}
	}
	return out
}
