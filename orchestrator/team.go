package orchestrator

import (
	"fmt"
	"os"

	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// LoadTeam reads and checks a team file. Roles are checked against the library
// with the additions of rolesDir, which may be empty. What is wrong with the
// file is a workflow.Problems.
func LoadTeam(path, rolesDir string) (*workflow.Team, error) {
	library, err := roles.Load(rolesDir)
	if err != nil {
		return nil, fmt.Errorf("load the roles: %w", err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the team file: %w", err)
	}
	return workflow.Parse(path, source, workflow.ParseOptions{Roles: library.Names()})
}
