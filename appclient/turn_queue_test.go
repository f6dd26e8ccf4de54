package appclient_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// waitsInQueue acknowledges an input as queued; it is the item q-1.
func (w *wire) waitsInQueue(input object) {
	w.accept(input, "queued")
	w.event(object{"type": "update_queue", "queue": []object{{"id": "q-1", "client_message_id": "cm"}}})
}

func (w *wire) leavesQueue(how string) {
	w.event(object{"type": "update_queue", "queue": []object{}, "removed": []object{{"client_message_id": "cm", "disposition": how}}})
}

func (w *wire) answerRemoval(removal object, success bool) {
	w.send(object{"type": "remove_queue_item_response", "request_id": removal["request_id"], "success": success, "item_id": removal["item_id"]})
}

// abortedTurn answers the abort of a turn that has begun.
func (w *wire) abortedTurn() {
	w.answer(w.await("abort_message"))
	w.finished("cancelled", "r2", nil)
}

// TestQueuedInput: what waits too long is taken back. Only what certainly was not consumed is called discarded.
func TestQueuedInput(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		play    func(w *wire, input object)
		want    error
		wantNot []error
	}{
		{"taken back", func(w *wire, input object) {
			w.waitsInQueue(input)
			w.answerRemoval(w.await("remove_queue_item"), true)
			w.leavesQueue("cancelled")
		}, appclient.ErrInputDiscarded, []error{appclient.ErrNoSignOfLife}},
		{"taken back, told before the answer", func(w *wire, input object) {
			w.waitsInQueue(input)
			removal := w.await("remove_queue_item")
			w.leavesQueue("cancelled")
			w.answerRemoval(removal, true)
		}, appclient.ErrInputDiscarded, []error{appclient.ErrNoSignOfLife}},
		{"taken back, its item learnt by a sync", func(w *wire, input object) {
			w.accept(input, "queued")
			sync := w.await("sync")
			w.event(object{"type": "update_queue", "queue": []object{{"id": "q-1", "client_message_id": "cm"}}})
			w.answer(sync)
			w.answerRemoval(w.await("remove_queue_item"), true)
		}, appclient.ErrInputDiscarded, []error{appclient.ErrNoSignOfLife}},
		{"taken up right before", func(w *wire, input object) {
			w.waitsInQueue(input)
			removal := w.await("remove_queue_item")
			w.leavesQueue("dequeued")
			w.answerRemoval(removal, false)
			w.abortedTurn()
		}, appclient.ErrNoSignOfLife, []error{appclient.ErrInputDiscarded, appclient.ErrAbortTimeout}},
		{"taken up right before, told after the answer", func(w *wire, input object) {
			w.waitsInQueue(input)
			w.answerRemoval(w.await("remove_queue_item"), false)
			w.leavesQueue("dequeued")
			w.abortedTurn()
		}, appclient.ErrNoSignOfLife, []error{appclient.ErrInputDiscarded, appclient.ErrAbortTimeout}},
		{"taken up although the removal succeeded", func(w *wire, input object) {
			w.waitsInQueue(input)
			removal := w.await("remove_queue_item")
			w.leavesQueue("dequeued")
			w.answerRemoval(removal, true)
			w.abortedTurn()
		}, appclient.ErrNoSignOfLife, []error{appclient.ErrInputDiscarded, appclient.ErrAbortTimeout}},
		{"taken up right before, seen by its echo", func(w *wire, input object) {
			w.waitsInQueue(input)
			removal := w.await("remove_queue_item")
			w.delta(object{"message_type": "user_message", "otid": "cm", "content": "go"})
			w.event(object{"type": "update_queue", "queue": []object{}})
			w.answerRemoval(removal, false)
			w.abortedTurn()
		}, appclient.ErrNoSignOfLife, []error{appclient.ErrInputDiscarded, appclient.ErrAbortTimeout}},
		{"taken up right before, and done", func(w *wire, input object) {
			w.waitsInQueue(input)
			removal := w.await("remove_queue_item")
			w.leavesQueue("dequeued")
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
			w.answerRemoval(removal, false)
		}, nil, nil},
		{"the removal is not answered", func(w *wire, input object) {
			w.waitsInQueue(input)
			w.await("remove_queue_item")
		}, appclient.ErrAbortTimeout, []error{appclient.ErrInputDiscarded}},
		{"not in the queue, and nothing else known", func(w *wire, input object) {
			w.accept(input, "queued")
			w.answer(w.await("sync"))
			w.answer(w.await("abort_message"))
			w.leavesQueue("dequeued")
			w.abortedTurn()
		}, appclient.ErrNoSignOfLife, []error{appclient.ErrInputDiscarded, appclient.ErrAbortTimeout}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			result, err := turnOn(t, modern(), appclient.Turn{
				ClientMessageID: "cm", StartTimeout: 100 * time.Millisecond, AbortGrace: time.Second,
			}, test.play)
			if !errors.Is(err, test.want) || (test.want == nil && err != nil) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			for _, not := range test.wantNot {
				if errors.Is(err, not) {
					t.Errorf("error %v must not be %v", err, not)
				}
			}
			if result == nil || result.Disposition != appclient.DispositionQueued {
				t.Errorf("result %+v", result)
			}
		})
	}
}

// TestCancelledWhileQueued: the turn that holds the conversation is not touched.
func TestCancelledWhileQueued(t *testing.T) {
	t.Parallel()
	cause := errors.New("the deadline of the test")
	server, aborts := modern(), 0
	server.handle = func(w *wire) {
		w.waitsInQueue(w.await("create_message"))
		for frame := w.read(); frame != nil; frame = w.read() {
			switch frame["type"] {
			case "remove_queue_item":
				w.answerRemoval(frame, true)
			case "abort_message":
				aborts++
			}
		}
	}
	client := dial(t, server.start(t))
	session := startRuntime(t, client)
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := session.RunTurn(ctx, appclient.Turn{Text: "go", ClientMessageID: "cm", OnEvent: func(e appclient.Event) {
		if e.Kind == appclient.EventQueue {
			cancel(cause)
		}
	}})
	wantIs(t, err, appclient.ErrInputDiscarded, cause)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if aborts != 0 {
		t.Errorf("%d aborts", aborts)
	}
}

// TestCancelledBeforeQueued: the abort is on its way when the server says that the input waits.
func TestCancelledBeforeQueued(t *testing.T) {
	t.Parallel()
	cause := errors.New("the deadline of the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	server := modern()
	server.handle = func(w *wire) {
		input := w.await("create_message")
		cancel(cause)
		abort := w.await("abort_message")
		w.waitsInQueue(input)
		w.send(object{"type": "abort_message_response", "request_id": abort["request_id"], "success": true, "aborted": true})
		w.answerRemoval(w.await("remove_queue_item"), true)
		w.drain()
	}
	session := startRuntime(t, dial(t, server.start(t)))
	_, err := session.RunTurn(ctx, appclient.Turn{Text: "go", ClientMessageID: "cm"})
	wantIs(t, err, appclient.ErrInputDiscarded, cause)
}
