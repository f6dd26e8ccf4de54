package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const verifiedTeam = `
version: 1
name: one
limits: {turns: 3}
agents: {a: {prompt: A}}
start: a
message: go
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// driven commits a task as the engine does, up to the answer of its turn.
func driven(t *testing.T, s *Store) (workflow.State, func(workflow.EventBody)) {
	t.Helper()
	team, err := workflow.Parse("one.yaml", []byte(verifiedTeam), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveRevision(t.Context(), team, at(0)); err != nil {
		t.Fatal(err)
	}
	var state workflow.State
	apply := func(body workflow.EventBody) {
		t.Helper()
		event := workflow.Event{At: at(int(state.Version)), Body: body}
		next, effects, err := workflow.Decide(team, state, event)
		if err != nil {
			t.Fatal(err)
		}
		if state.Version == 0 {
			_, _, err = s.Create(t.Context(), next, event, effects, "")
		} else {
			err = s.Commit(t.Context(), state.Version, next, event, effects)
		}
		if err != nil {
			t.Fatal(err)
		}
		state = next
	}
	apply(workflow.TaskSubmitted{Task: "T", Team: team.Name, Revision: team.Revision, Workspace: "/w"})
	apply(workflow.TaskClaimed{})
	apply(workflow.TurnSending{Turn: 1, Attempt: 1, ClientMessageID: "T.1.1", Runtime: workflow.Runtime{Server: "s", AgentID: "a", ConversationID: "c"}})
	apply(workflow.TurnAccepted{Turn: 1, Attempt: 1, Disposition: "started"})
	return state, apply
}

func TestVerifyTask(t *testing.T) {
	for name, tt := range map[string]struct {
		tamper string // a statement that changes what is stored
		want   string // in the error
	}{
		"untouched":                   {"", ""},
		"state":                       {`UPDATE tasks SET state = json_set(state, '$.attempts', 7)`, "state.attempts: stored is 7, and its events give 1"},
		"status":                      {`UPDATE tasks SET status = 'waiting'`, "the column status is waiting, and the state says running"},
		"version":                     {`UPDATE tasks SET version = 3`, "the column version is 3"},
		"wake time":                   {`UPDATE tasks SET wake_at = 1`, "the column wake_at"},
		"effects":                     {`UPDATE events SET effects = '[]' WHERE seq = 2`, "event 2 of task T: effects: stored is []"},
		"event":                       {`UPDATE events SET event = json_set(event, '$.body.client_message_id', 'x') WHERE seq = 3`, `state.turns[0].client_message_id: stored is "T.1.1", and its events give "x"`},
		"event that cannot happen":    {`UPDATE events SET event = json_set(event, '$.body.turn', 9) WHERE seq = 4`, "event 4 of task T: turn_accepted would be refused"},
		"missing event":               {`DELETE FROM events WHERE seq = 2`, "event 2 is missing"},
		"missing end":                 {`DELETE FROM events WHERE seq = 4`, "event 3 of task T: state."},
		"no events":                   {`DELETE FROM events`, "there are no events"},
		"doubled event":               {`INSERT INTO events SELECT task, 5, at, type, event, effects FROM events WHERE seq = 4`, "event 5 of task T: turn_accepted would be refused"},
		"time that goes back":         {`UPDATE events SET event = json_set(event, '$.at', '2001-01-01T00:00:00Z') WHERE seq = 4`, "older than the event before it"},
		"conversation not given back": {`UPDATE runtimes SET active_attempt = 2`, "marked as held by turn 1, attempt 2"},
		"conversation given back":     {`UPDATE runtimes SET active_task = NULL, active_turn = NULL, active_attempt = NULL`, "not marked as held by it"},
		"usage that is not counted":   {`DELETE FROM turn_usage`, "turn 1, attempt 1, has used is not counted as the journal says: it is missing"},
		"usage counted twice":         {`UPDATE turn_usage SET total = 5`, "turn 1, attempt 1, has used is not counted as the journal says"},
		"event of the future":         {`UPDATE events SET event = '{"type":"x","body":{}}' WHERE seq = 2`, "cannot be decoded"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			driven(t, s)
			if tt.tamper != "" {
				if _, err := s.writes.ExecContext(t.Context(), tt.tamper); err != nil {
					t.Fatal(err)
				}
			}
			events, err := s.VerifyTask(t.Context(), "T")
			_, differs := errors.AsType[*workflow.HistoryError](err)
			switch {
			case tt.want == "" && (err != nil || events != 4):
				t.Errorf("%d events, %v", events, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !differs && !errors.Is(err, ErrUnreadable)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := opened(t).VerifyTask(t.Context(), "X"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no task: %v", err)
	}
}

func TestVerifyTaskLooksForFiles(t *testing.T) {
	s := open(t, t.TempDir())
	_, apply := driven(t, s)
	apply(workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: workflow.ReasonEndTurn, Output: "long …", OutputFile: "/elsewhere/outputs/T/1.1.txt"})
	if _, err := s.VerifyTask(t.Context(), "T"); !errors.Is(err, ErrMissingFile) || !strings.Contains(err.Error(), "/elsewhere/outputs/T/1.1.txt") {
		t.Errorf("got %v", err)
	}
	put(t, filepath.Join(s.Dir(), OutputsName, "T", "1.1.txt"), "long and more")
	if _, err := s.VerifyTask(t.Context(), "T"); err != nil {
		t.Error(err)
	}
	if ids, err := s.TaskIDs(t.Context()); err != nil || len(ids) != 1 || ids[0] != "T" {
		t.Errorf("tasks %v, %v", ids, err)
	}
}

func TestCheckFileFindsWhatIsDamaged(t *testing.T) {
	s := open(t, t.TempDir())
	driven(t, s)
	if err := s.CheckFile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.ExecContext(t.Context(), "PRAGMA foreign_keys = off"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.ExecContext(t.Context(), "DELETE FROM revisions"); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckFile(t.Context()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "revisions") {
		t.Errorf("a task without its team: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(s.file(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt(make([]byte, 4096), 2*4096)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: s.Dir()}); !errors.Is(err, ErrDamaged) {
		t.Errorf("open: %v", err)
	}
}
