package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// NotificationState is what became of a notification.
type NotificationState string

// The states of a notification.
const (
	// NotificationPending waits for its first or its next attempt.
	NotificationPending NotificationState = "pending"
	// NotificationDelivered was taken by its target.
	NotificationDelivered NotificationState = "delivered"
	// NotificationFailed was given up.
	NotificationFailed NotificationState = "failed"
)

// Notification is something that one target is told.
type Notification struct {
	// ID is unique, and the same for every attempt.
	ID string
	// Type is that of the body, such as "gate.opened".
	Type string
	// Task is the task that it is about; empty where it is about none.
	Task   string
	Target string
	// Body is what the target gets, as JSON.
	Body    json.RawMessage
	State   NotificationState
	Created time.Time
	// Next is when it is tried next; zero where it is not.
	Next     time.Time
	Attempts int
	// Status is how the last attempt ended, for people.
	Status string
}

// NotificationAttempt is one attempt to deliver a notification.
type NotificationAttempt struct {
	Notification string
	// Number counts from 1.
	Number int
	At     time.Time
	Took   time.Duration
	OK     bool
	// Status says how it ended, for people. It holds no secret.
	Status string
}

// MakeNotifications takes a notice away and writes what is made of it, in one
// transaction; a notification that there is already is left as it is. All but the
// last keep notifications that have ended are forgotten. Errors: ErrStorage.
func (s *Store) MakeNotifications(ctx context.Context, notice int64, made []Notification, keep int) error {
	return s.write(ctx, "make notifications", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM notices WHERE number = ?", notice); err != nil {
			return s.fail(ctx, "make notifications", err)
		}
		for _, n := range made {
			if err := s.insertNotification(ctx, tx, n); err != nil {
				return err
			}
		}
		if len(made) == 0 {
			return nil
		}
		for _, statement := range []string{
			`DELETE FROM notification_attempts WHERE notification IN (
			   SELECT id FROM notifications WHERE next IS NULL ORDER BY created DESC, id DESC LIMIT -1 OFFSET ?1)`,
			`DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE next IS NULL ORDER BY created DESC, id DESC LIMIT -1 OFFSET ?1)`,
		} {
			if _, err := tx.ExecContext(ctx, statement, keep); err != nil {
				return s.fail(ctx, "forget old notifications", err)
			}
		}
		return nil
	})
}

func (s *Store) insertNotification(ctx context.Context, tx *sql.Tx, n Notification) error {
	_, err := tx.ExecContext(ctx,
		"INSERT INTO notifications (id, type, task, target, body, state, created, next, attempts, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		n.ID, n.Type, n.Task, n.Target, string(n.Body), string(n.State), micros(n.Created), wakeMicros(n.Next), n.Attempts, n.Status)
	return s.fail(ctx, "write a notification", err)
}

// NoteAttempt writes one attempt and what the notification is after it, in one
// transaction. Errors: ErrStorage.
func (s *Store) NoteAttempt(ctx context.Context, n Notification, a NotificationAttempt) error {
	return s.write(ctx, "note an attempt", func(tx *sql.Tx) error {
		if err := s.insertNotification(ctx, tx, n); err != nil { // of a test there is none yet
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE notifications SET state = ?, next = ?, attempts = ?, status = ? WHERE id = ?",
			string(n.State), wakeMicros(n.Next), n.Attempts, n.Status, n.ID)
		if err != nil {
			return s.fail(ctx, "note an attempt", err)
		}
		if a.Number == 0 { // it was given up without one
			return nil
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO notification_attempts (notification, number, at, took, ok, status) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			n.ID, a.Number, micros(a.At), a.Took.Microseconds(), a.OK, a.Status)
		return s.fail(ctx, "note an attempt", err)
	})
}

// PendingNotifications returns what is to be delivered, in the order in which it
// is due. Errors: ErrStorage.
func (s *Store) PendingNotifications(ctx context.Context) ([]Notification, error) {
	return query(ctx, s, "look for notifications", scanNotification, selectNotifications+" WHERE next IS NOT NULL ORDER BY next, created, id")
}

// Notifications returns the last ones, the newest first; 0 means 100. Empty
// states mean all. Errors: ErrStorage.
func (s *Store) Notifications(ctx context.Context, states []NotificationState, limit int) ([]Notification, error) {
	if limit <= 0 {
		limit = 100
	}
	return query(ctx, s, "list the notifications", scanNotification,
		selectNotifications+" WHERE ?1 = '[]' OR state IN (SELECT value FROM json_each(?1)) ORDER BY created DESC, id DESC LIMIT ?2", jsonList(orNone(states)), limit)
}

func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// NotificationAttempts returns the attempts to deliver one, in order. Errors: ErrStorage.
func (s *Store) NotificationAttempts(ctx context.Context, id string) ([]NotificationAttempt, error) {
	return query(ctx, s, "list the attempts", func(rows *sql.Rows) (NotificationAttempt, error) {
		a := NotificationAttempt{Notification: id}
		var at, took int64
		err := rows.Scan(&a.Number, &at, &took, &a.OK, &a.Status)
		a.At, a.Took = fromMicros(at), time.Duration(took)*time.Microsecond
		return a, err
	}, "SELECT number, at, took, ok, status FROM notification_attempts WHERE notification = ? ORDER BY number", id)
}

const selectNotifications = "SELECT id, type, task, target, body, state, created, next, attempts, status FROM notifications"

func scanNotification(rows *sql.Rows) (Notification, error) {
	var n Notification
	var body []byte
	var created int64
	var next sql.NullInt64
	if err := rows.Scan(&n.ID, &n.Type, &n.Task, &n.Target, &body, &n.State, &created, &next, &n.Attempts, &n.Status); err != nil {
		return n, fmt.Errorf("read a notification: %w", err)
	}
	n.Body, n.Created = body, fromMicros(created)
	if next.Valid {
		n.Next = fromMicros(next.Int64)
	}
	return n, nil
}
