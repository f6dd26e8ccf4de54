package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ErrKeyTaken means that an idempotency key belongs to a task with another team
// or other input. The error is a *KeyError.
var ErrKeyTaken = errors.New("the idempotency key belongs to another task")

// KeyError names the task that an idempotency key belongs to.
type KeyError struct {
	Key string
	// Task has the key; State is its state.
	Task  string
	State workflow.TaskState
	// Differs says what is not the same: "team", "workspace", "input goal".
	Differs []string
}

// Error implements error.
func (e *KeyError) Error() string {
	return fmt.Sprintf("the key %q belongs to task %s (%s), which was submitted with another %s: take another key, or submit the same again",
		e.Key, e.Task, e.State, strings.Join(e.Differs, " and "))
}

// Is makes errors.Is(err, ErrKeyTaken) true.
func (e *KeyError) Is(target error) bool { return target == ErrKeyTaken }

// sameSubmission compares a submission with the task that has its key. The
// revision of the team does not count: a team file may have been mended since,
// and the same key must not start a second task for that.
func sameSubmission(sub Submission, state workflow.State) error {
	var differs []string
	if sub.Team.Name != state.Team {
		differs = append(differs, "team")
	}
	if sub.Workspace != "" && sub.Workspace != state.Workspace {
		differs = append(differs, "workspace")
	}
	inputs, err := differingInputs(sub.Input, state.Input)
	if err != nil {
		return fmt.Errorf("compare the input with that of task %s: %w", state.Task, err)
	}
	if sub.Team.Name == state.Team { // other teams have other inputs
		differs = append(differs, inputs...)
	}
	if len(differs) == 0 {
		return nil
	}
	return &KeyError{Key: sub.Key, Task: state.Task, State: state.Status, Differs: differs}
}

// differingInputs compares inputs as they are stored.
func differingInputs(given, stored map[string]any) ([]string, error) {
	var differs []string
	names := map[string]bool{}
	for _, input := range []map[string]any{given, stored} {
		for name := range input {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, errA := canonical(given, name)
		b, errB := canonical(stored, name)
		if err := errors.Join(errA, errB); err != nil {
			return nil, err
		}
		if !bytes.Equal(a, b) {
			differs = append(differs, "input "+name)
		}
	}
	return differs, nil
}

// canonical is an input as JSON that was read and written once, nothing where
// it is not there.
func canonical(input map[string]any, name string) ([]byte, error) {
	value, ok := input[name]
	if !ok {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}
