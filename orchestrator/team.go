package orchestrator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// LoadTeam reads and checks a team file and the files of its sub-teams, which
// may be anywhere. Roles are checked against the library with the additions of
// rolesDir, which may be empty. What is wrong with the files is a workflow.Problems.
func LoadTeam(path, rolesDir string) (*workflow.Team, error) {
	library, err := roles.Load(rolesDir)
	if err != nil {
		return nil, fmt.Errorf("load the roles: %w", err)
	}
	return readTeamFile(path, library.Names())
}

// LoadTeamUnchecked is LoadTeam for a team whose roles somebody else knows, who checks them.
func LoadTeamUnchecked(path string) (*workflow.Team, error) { return readTeamFile(path, nil) }

func readTeamFile(path string, roleNames []string) (*workflow.Team, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the team file: %w", err)
	}
	return workflow.Parse(path, source, workflow.ParseOptions{
		Roles: roleNames, Load: loadBeside(filepath.Dir(path)), Cron: schedule.CheckCron, TimeZone: schedule.CheckTimeZone,
	})
}

// maxTeamFile bounds what is read of the file of a sub-team, in bytes. Parse
// refuses longer files with a message of its own.
const maxTeamFile = 1<<20 + 1

// loadBeside reads the files of sub-teams relative to a directory.
func loadBeside(directory string) func(string) (string, []byte, error) {
	return func(name string) (file string, src []byte, err error) {
		file = filepath.Join(directory, filepath.FromSlash(name))
		// What is no file could block for ever, or never end.
		info, err := os.Stat(file)
		if err != nil {
			return file, nil, plainPathError(err)
		}
		if !info.Mode().IsRegular() {
			return file, nil, errors.New("it is no regular file")
		}
		opened, err := os.Open(file)
		if err != nil {
			return file, nil, plainPathError(err)
		}
		defer func() { err = errors.Join(err, opened.Close()) }()
		if src, err = io.ReadAll(io.LimitReader(opened, maxTeamFile)); err != nil {
			return file, nil, plainPathError(err)
		}
		return file, src, nil
	}
}

// plainPathError leaves out the path, which the message about a sub-team has already.
func plainPathError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
