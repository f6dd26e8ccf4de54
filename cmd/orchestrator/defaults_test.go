package main

import (
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestDefaultTimeoutsAgree compares what the worst case and the reference of
// the team file say with what the runner does.
func TestDefaultTimeoutsAgree(t *testing.T) {
	if runner.DefaultTurnTimeout != workflow.DefaultTurnTimeout || runner.DefaultStallTimeout != workflow.DefaultStallTimeout {
		t.Errorf("the runner has %v and %v, the team file %v and %v",
			runner.DefaultTurnTimeout, runner.DefaultStallTimeout, workflow.DefaultTurnTimeout, workflow.DefaultStallTimeout)
	}
}
