package notify

import (
	"context"
	"encoding/json"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// View is a notification as people see it.
type View struct {
	ID     string                  `json:"id"`
	Type   string                  `json:"type"`
	Task   string                  `json:"task,omitempty"`
	Target string                  `json:"target"`
	State  store.NotificationState `json:"state"`
	// Status is how the last attempt ended.
	Status   string    `json:"status,omitempty"`
	Attempts int       `json:"attempts"`
	Created  time.Time `json:"created"`
	// Next is when it is tried next.
	Next time.Time `json:"next,omitzero"`
	// Body is what the target gets.
	Body *Event `json:"body,omitempty"`
	// Journal are the attempts.
	Journal []Attempt `json:"journal,omitempty"`
}

// Attempt is one attempt to deliver a notification.
type Attempt struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	// Milliseconds is how long it took.
	Milliseconds int64  `json:"milliseconds"`
	OK           bool   `json:"ok"`
	Status       string `json:"status"`
}

// Reading is what lists of notifications need of a store; *store.Store implements it.
type Reading interface {
	Notifications(ctx context.Context, states []store.NotificationState, limit int) ([]store.Notification, error)
	NotificationAttempts(ctx context.Context, id string) ([]store.NotificationAttempt, error)
}

// List shows the last notifications with their attempts, the newest first; with
// failed, those alone that were given up. 0 means 100. Errors: store.ErrStorage.
func List(ctx context.Context, in Reading, failed bool, limit int) ([]View, error) {
	var states []store.NotificationState
	if failed {
		states = []store.NotificationState{store.NotificationFailed}
	}
	found, err := in.Notifications(ctx, states, limit)
	if err != nil {
		return nil, err
	}
	views := make([]View, len(found))
	for i, n := range found {
		views[i] = ViewOf(n)
		attempts, err := in.NotificationAttempts(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		for _, a := range attempts {
			views[i].Journal = append(views[i].Journal, Attempt{Number: a.Number, At: a.At, Milliseconds: a.Took.Milliseconds(), OK: a.OK, Status: a.Status})
		}
	}
	return views, nil
}

// ViewOf shows one notification without its attempts.
func ViewOf(n store.Notification) View {
	v := View{
		ID: n.ID, Type: n.Type, Task: n.Task, Target: n.Target, State: n.State, Status: n.Status, Attempts: n.Attempts, Created: n.Created, Next: n.Next,
	}
	var e Event
	if json.Unmarshal(n.Body, &e) == nil { // else a newer program wrote it, and the rest can be shown
		v.Body = &e
	}
	return v
}
