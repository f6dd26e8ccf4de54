package teamtest

import (
	"context"
	"maps"
	"slices"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// journal is what the store has of a task.
func (s *simulation) journal(ctx context.Context, task string) ([]workflow.Recorded, error) {
	records, err := s.store.Events(ctx, task, 0)
	if err != nil {
		return nil, err
	}
	journal := make([]workflow.Recorded, len(records))
	for i, r := range records {
		journal[i] = workflow.Recorded{Seq: r.Seq, Event: r.Event, Effects: r.Effects}
	}
	return journal, nil
}

// firedIn are the rules that fired in all tasks, by the revision of their team:
// sub-teams run as tasks of their own.
func (s *simulation) firedIn(ctx context.Context) (map[string][]int, error) {
	s.mu.Lock()
	states := maps.Clone(s.states)
	s.mu.Unlock()
	out := map[string][]int{}
	for task, state := range states {
		journal, err := s.journal(ctx, task)
		if err != nil {
			return nil, err
		}
		rules := slices.Concat(out[state.Revision], fired(journal))
		slices.Sort(rules)
		out[state.Revision] = slices.Compact(rules)
	}
	return out, nil
}

// fired are the rules that a journal tells of, sorted.
func fired(journal []workflow.Recorded) []int {
	var out []int
	for _, r := range journal {
		for _, effect := range r.Effects {
			if h, ok := effect.(workflow.Handoff); ok && h.Rule > 0 {
				out = append(out, h.Rule)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
