package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxSpawned bounds the tasks that the agents of one task may spawn.
const maxSpawned = 20

// Spawn implements Recorder.
func (r *recorder) Spawn(ctx context.Context, id, name string, input map[string]any) (string, error) {
	e := r.engine
	ent := e.acquire(r.key.task)
	defer e.release(ent)
	state, team, err := e.current(ctx, ent)
	if err != nil {
		return "", fmt.Errorf("spawn a task: %w", err)
	}
	node := team.Teams[name]
	if node == nil {
		return "", &SpawnError{Detail: fmt.Sprintf("there is no team %q", name)}
	}
	bound, err := node.Team.BindInput(input)
	if err != nil {
		return "", &SpawnError{Detail: err.Error()}
	}
	sum := sha256.Sum256([]byte(id))
	child := fmt.Sprintf("%s.%d.s%x", r.key.task, r.key.turn, sum[:4])
	if existing, err := e.o.Store.Task(ctx, child); err == nil && existing.Task == child {
		return child, nil
	}
	if state.Spawned >= maxSpawned {
		return "", &SpawnError{Detail: fmt.Sprintf("this task has spawned %d tasks, which is the most that one may", maxSpawned)}
	}
	err = r.record(ctx, "spawn a task", func() error {
		r.acceptance.flush()
		_, err := e.apply(ctx, r.key.task, workflow.TaskSpawned{Turn: r.key.turn, Attempt: r.key.attempt, Task: child, Team: node.Team.Name})
		return err
	})
	if err != nil {
		return "", err
	}
	// Outside of record: that a task cannot be made is for the agent to deal with,
	// and no reason to stop its turn.
	err = e.makeChild(ctx, child, state, node, bound, workflow.TaskSubmitted{
		Parent: &workflow.Parent{Task: r.key.task, Turn: r.key.turn, Attempt: r.key.attempt, Spawned: true}, Limits: node.Limits,
	})
	switch {
	case err == nil:
		return child, nil
	case ctx.Err() != nil, errors.Is(err, store.ErrStorage), errors.Is(err, ErrStopped):
		return "", fmt.Errorf("spawn a task: %w", err)
	}
	return "", &SpawnError{Detail: err.Error()}
}
