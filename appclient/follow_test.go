package appclient_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func invalid(err error) bool {
	_, ok := errors.AsType[*appclient.ValidationError](err)
	return ok
}

// TestFollowedTurnEnds is about what a turn that another connection has sent is
// taken to have ended with.
func TestFollowedTurnEnds(t *testing.T) {
	t.Parallel()
	mine := func(run string, ids ...string) object {
		return object{"type": "update_loop_status", "loop_status": object{"status": "PROCESSING_API_RESPONSE",
			"client_message_ids_by_run_id": object{run: ids}}}
	}
	for name, test := range map[string]struct {
		play func(w *wire)
		want string // stop reason, text
	}{
		"the late end of a cancelled turn": {func(w *wire) {
			w.finished("cancelled", "", nil)
			w.loop("SENDING_API_REQUEST")
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine"},
		"a turn in another's name": {func(w *wire) {
			w.event(mine("r1", "theirs"))
			w.finished("end_turn", "r1", nil)
			w.event(mine("r2", "cm"))
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine"},
		"an unsolicited turn in between": {func(w *wire) {
			w.event(mine("r2", "cm"))
			w.finished("end_turn", "r9", nil)
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine"},
		"an end that comes twice": {func(w *wire) {
			w.loop("SENDING_API_REQUEST")
			w.say("r1", "mine")
			w.finished("end_turn", "r1", nil)
			w.seq--
			w.finished("error", "r1", nil)
		}, "end_turn mine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := modern()
			server.handle = func(w *wire) {
				w.await("play")
				test.play(w)
				w.drain()
			}
			client := dial(t, server.start(t))
			session := startRuntime(t, client)
			turn, err := session.FollowTurn(t.Context(), appclient.Turn{ClientMessageID: "cm"})
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Send(t.Context(), []byte(`{"type":"play"}`)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			result, err := turn.Wait(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(result.StopReason) + " " + result.Text; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	server := modern()
	server.handle = func(w *wire) { w.drain() }
	session := startRuntime(t, dial(t, server.start(t)))
	if _, err := session.FollowTurn(t.Context(), appclient.Turn{}); !invalid(err) {
		t.Errorf("without an id: %v", err)
	}
}
