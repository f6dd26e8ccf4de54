package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// NoticeKind is what people are told of.
type NoticeKind string

// The kinds of notices.
const (
	// NoticeApproval is a question of a turn, or about one: an approval, or something to be answered.
	NoticeApproval NoticeKind = "approval"
	// NoticeGate is a gate that opened.
	NoticeGate NoticeKind = "gate"
	// NoticeFailed is a task that failed, other than one that another task started.
	NoticeFailed NoticeKind = "failed"
	// NoticePaused is a task that a limit paused: it does not go on by itself.
	NoticePaused NoticeKind = "paused"
	// NoticeBatchDone is a batch that is done.
	NoticeBatchDone NoticeKind = "batch_done"
)

// NoticeKinds lists them.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{NoticeApproval, NoticeGate, NoticeFailed, NoticePaused, NoticeBatchDone}
}

// Notice is something that people are to be told of.
type Notice struct {
	// Number counts up.
	Number int64
	// Key is unique: the same thing is told once.
	Key  string
	Kind NoticeKind
	// Task is the task; empty for a batch.
	Task string
	// Ref is the question, or the turn of the gate.
	Ref int
	// Data is what is told of something that is no task, as JSON.
	Data json.RawMessage
	At   time.Time
}

// Notices are what people are told of one decision.
func Notices(state workflow.State, event workflow.Event, effects []workflow.Effect) []Notice {
	var out []Notice
	add := func(kind NoticeKind, ref int) {
		out = append(out, Notice{Key: fmt.Sprintf("task/%s/%s/%d", state.Task, kind, ref), Kind: kind, Task: state.Task, Ref: ref, At: event.At})
	}
	if b, asked := event.Body.(workflow.QuestionAsked); asked && b.Question == 0 {
		// One that was asked before was told before, and one that was answered before is not open.
		if slices.ContainsFunc(state.Questions, func(q workflow.Question) bool { return q.ID == state.LastQuestion }) {
			add(NoticeApproval, state.LastQuestion)
		}
	}
	for _, effect := range effects {
		switch effect := effect.(type) {
		case workflow.AskPerson:
			add(NoticeApproval, effect.Question.ID)
		case workflow.StartTurn:
			if effect.Kind == workflow.KindGate {
				add(NoticeGate, effect.Turn)
			}
		case workflow.PauseTask:
			if _, asked := event.Body.(workflow.PauseRequested); !asked { // who asked for it knows
				add(NoticePaused, int(state.Version))
			}
		case workflow.FinishTask:
			if effect.Result.State == workflow.TaskFailed && state.Parent == nil {
				add(NoticeFailed, int(state.Version))
			}
		}
	}
	return out
}

// notice writes what people are told of a decision, in its transaction.
func (s *Store) notice(ctx context.Context, tx *sql.Tx, notices []Notice) error {
	for _, n := range notices {
		data := n.Data
		if data == nil {
			data = json.RawMessage("null")
		}
		_, err := s.exec(ctx, tx, "INSERT INTO notices (key, kind, task, ref, data, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			n.Key, string(n.Kind), n.Task, n.Ref, string(data), micros(n.At))
		if err != nil {
			return s.fail(ctx, "note what people are told", err)
		}
	}
	return nil
}

// AddNotice tells people of something that is no decision about a task, for
// instance that a batch is done. The same key is told once, so that it may be
// added again where it is not known whether it was. Errors: ErrStorage.
func (s *Store) AddNotice(ctx context.Context, n Notice) error {
	return s.write(ctx, "note what people are told", func(tx *sql.Tx) error { return s.notice(ctx, tx, []Notice{n}) })
}

// OpenNotices returns at most limit notices that no notification was made of yet, the oldest first. Errors: ErrStorage.
func (s *Store) OpenNotices(ctx context.Context, limit int) ([]Notice, error) {
	return query(ctx, s, "look for what people are told", func(rows *sql.Rows) (Notice, error) {
		var n Notice
		var at int64
		var data []byte
		err := rows.Scan(&n.Number, &n.Key, &n.Kind, &n.Task, &n.Ref, &data, &at)
		n.Data, n.At = data, fromMicros(at)
		return n, err
	}, "SELECT number, key, kind, task, ref, data, at FROM notices ORDER BY number LIMIT ?", limit)
}
