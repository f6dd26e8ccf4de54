package workflow

import (
	"errors"
	"fmt"
	"strings"
)

// WorktreePlace is a Worktree for one task.
type WorktreePlace struct {
	// Repo is as the team or the input names it, perhaps relative.
	Repo string
	// Base is empty where HEAD of the repository is meant.
	Base   string
	Branch string
}

// WorkspaceWorktree renders workspace.worktree for one task; ok is false when
// the team has none. The branch is team/TASK where the team does not say.
func (t *Team) WorkspaceWorktree(task string, input map[string]any) (place WorktreePlace, ok bool, err error) {
	w := t.Workspace.Worktree
	if w == nil {
		return WorktreePlace{}, false, nil
	}
	values := scope(t, &State{Task: task, Team: t.Name, Input: input}, nil)
	for _, field := range []struct {
		name     string
		template Template
		to       *string
	}{{"repo", w.Repo, &place.Repo}, {"base", w.Base, &place.Base}, {"branch", w.Branch, &place.Branch}} {
		if field.template.IsZero() {
			continue
		}
		text, err := field.template.Render(values)
		if err != nil {
			return WorktreePlace{}, true, fmt.Errorf("render workspace.worktree.%s of team %s: %w", field.name, t.Name, err)
		}
		*field.to = strings.TrimSpace(text)
	}
	if place.Repo == "" {
		return WorktreePlace{}, true, errors.New("workspace.worktree.repo of team " + t.Name + " is empty for this task")
	}
	if place.Branch == "" {
		place.Branch = "team/" + task
	}
	return place, true, nil
}
