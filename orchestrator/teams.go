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

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
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
	out.Team, out.Err = workflow.Parse(file, source, workflow.ParseOptions{
		Roles: roleNames, Load: loadBeside(dir), Cron: schedule.CheckCron, TimeZone: schedule.CheckTimeZone,
	})
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

// file finds the file of a team. Errors: *api.UnknownTeamError.
func (all teamFiles) file(name string) (TeamFile, error) {
	i := slices.IndexFunc(all, func(t TeamFile) bool { return t.Name == name })
	if i >= 0 {
		return all[i], nil
	}
	var known []string
	for _, t := range all {
		known = append(known, t.Name)
	}
	return TeamFile{}, &api.UnknownTeamError{Name: name, Known: known}
}

// team finds a team by its name. Errors: *api.UnknownTeamError, *TeamFileError, *api.InvalidError.
func (all teamFiles) team(name string) (*workflow.Team, error) {
	file, err := all.file(name)
	if err != nil {
		return nil, err
	}
	if file.Team != nil {
		return file.Team, nil
	}
	broken := &TeamFileError{Name: name, File: file.File, Err: file.Err}
	if _, isText := errors.AsType[workflow.Problems](file.Err); isText {
		return nil, broken
	}
	return nil, &api.InvalidError{Detail: broken.Error(), Err: broken}
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
