package engine

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The node of a sub-team names the file that has the whole of a long output, and
// has an excerpt that suits its own team.
func TestLongOutputOfASubTeam(t *testing.T) {
	long := strings.Repeat("a", 70_000) + "END"
	for _, test := range []struct {
		name         string
		inner, outer int
		most         int // bytes of the excerpt
	}{
		{"the same limit", 1024, 1024, 1024 + 400},
		{"a higher one above", 1024, 40_000, 1024 + 400},
		{"a lower one above", 60_000, 1024, 1024 + 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner := fmt.Sprintf("version: 1\nname: inner\noutput_limit: %d\nagents: {a: {prompt: A}}\nstart: a\nmessage: go\nhandoffs: [{from: a, on: end_turn, to: succeeded}, {from: a, on: '*', to: failed}]\n", test.inner)
			outer := fmt.Sprintf("version: 1\nname: outer\noutput_limit: %d\nteams: {s: {team: inner.yaml}}\nstart: s\nhandoffs: [{from: s, on: succeeded, to: succeeded}, {from: s, on: '*', to: failed}]\n", test.outer)
			s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
			f.answer = func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
				return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: long}, nil
			}
			dir := t.TempDir()
			e := newEngine(s, f, func(o *Options) { o.OutputDir = dir })
			run(t, e)
			state := e.wait(t, e.mustSubmit(t, parseFiles(t, map[string]string{"team.yaml": outer, "inner.yaml": inner})))
			node := state.Nodes["s"]
			if len(node.Output) > test.most || !strings.HasSuffix(node.Output, "aEND") || strings.Count(node.Output, "left out here") != 1 || !strings.Contains(node.Output, "of 70003 bytes") {
				t.Errorf("excerpt of %d bytes: %q", len(node.Output), node.Output)
			}
			if whole, err := os.ReadFile(node.OutputFile); err != nil || string(whole) != long || !strings.Contains(node.Output, node.OutputFile) {
				t.Errorf("file %q: %d bytes, %v", node.OutputFile, len(whole), err)
			}
			if state.Result.OutputFile != node.OutputFile {
				t.Errorf("the result names the file %q", state.Result.OutputFile)
			}
		})
	}
}
