package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The kinds of server-sent events.
const (
	// EventRecord is a committed event, a RecordDocument. Its id can be resumed after.
	EventRecord = "record"
	// EventProgress is what a turn does now, a ProgressDocument. It is not stored, and has no id.
	EventProgress = "progress"
	// EventBegin says, first of all, after which position a stream of all tasks begins, a BeginDocument.
	EventBegin = "begin"
	// EventStorage says that the store does not work, or works again, a StorageDocument.
	EventStorage = "storage"
)

// BeginDocument says where a stream begins, so that whoever loses it before its
// first record can go on without a gap.
type BeginDocument struct {
	After int64 `json:"after"`
}

// ProgressDocument is one live observation of a running turn.
type ProgressDocument struct {
	Task     string         `json:"task"`
	Turn     int            `json:"turn"`
	Attempt  int            `json:"attempt"`
	Node     string         `json:"node"`
	Kind     string         `json:"kind"`
	Text     string         `json:"text,omitempty"`
	Tool     string         `json:"tool,omitempty"`
	Argument string         `json:"argument,omitempty"`
	Usage    workflow.Usage `json:"usage,omitzero"`
}

// StorageDocument says that the store has failed, and perhaps that it works again.
type StorageDocument struct {
	Error string    `json:"error"`
	Since time.Time `json:"since"`
	Over  time.Time `json:"over,omitzero"`
}

const (
	// writeTimeout ends a stream whose client takes nothing.
	writeTimeout = 30 * time.Second
	// eventsPage is how many events are read from the store at once.
	eventsPage = 500
)

func (a *API) registerEvents() {
	stream := &huma.Response{
		Description: "Server-sent events: begin (of all tasks: where the stream begins), record (a committed event, with an id to resume after), progress (of a running turn, without one), storage. A comment is sent every 15 seconds.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	op := huma.Operation{
		OperationID: "stream-task-events", Method: http.MethodGet, Path: "/v1/tasks/{task}/events", Tags: []string{"events"},
		Summary:   "The events of a task, those to come included",
		Responses: map[string]*huma.Response{"200": stream}, Errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
		Security: []map[string][]string{{"token": {}}, {}},
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *struct {
		TaskPath
		EventsQuery
	},
	) (*huma.StreamResponse, error) {
		after, err := in.position()
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		state, err := a.o.Service.Task(ctx, in.Task)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return a.stream(ctx, &taskEvents{a: a, task: state.Task, after: max(after, 0)}, in.Progress, in.Follow)
	})
	op.OperationID, op.Path, op.Summary = "stream-events", "/v1/events", "The events of all tasks from now on, or after one"
	huma.Register(a.huma, op, func(ctx context.Context, in *struct {
		EventsQuery
		Team  string `query:"team" doc:"Only of tasks of this team"`
		Batch string `query:"batch" doc:"Only of tasks of this batch"`
		Tree  string `query:"tree" maxLength:"200" doc:"Only of the task with this whole ID, and of those that it has started"`
	},
	) (*huma.StreamResponse, error) {
		after, err := in.position()
		if err == nil && after < 0 {
			after, err = a.o.Service.LastPosition(ctx)
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return a.stream(ctx, &allEvents{a: a, after: after, team: in.Team, batch: in.Batch, tree: in.Tree, wanted: map[string]bool{}, last: map[string]int64{}}, in.Progress, in.Follow)
	})
}

// EventsQuery are the parameters of a stream.
type EventsQuery struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the last event that was read; counts more than after"`
	After       string `query:"after" maxLength:"20" doc:"Begin after this id; 0 is the beginning"`
	Progress    bool   `query:"progress" doc:"Also what running turns do now"`
	Follow      bool   `query:"follow" default:"true" doc:"Wait for what is to come; false ends when all that there is was sent"`
}

// position is -1 where none is given.
func (q EventsQuery) position() (int64, error) {
	text := q.LastEventID
	if text == "" {
		text = q.After
	}
	if text == "" {
		return -1, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, &requestError{fmt.Sprintf("%q is not the id of an event", text)}
	}
	return after, nil
}

// source is what a stream tells of.
type source interface {
	// subscribe is told of what is committed from now on.
	subscribe() *engine.Subscription
	// stored sends what is stored and has not been sent.
	stored(ctx context.Context, send sender) error
	// sent says whether an event of a task was sent, as far as that is known.
	sent(task string, seq int64) bool
	// wants says whether the progress of a task belongs to the stream.
	wants(ctx context.Context, task string) bool
}

type sender func(id int64, event string, data any) error

// stream serves a source for as long as the client listens. Nothing waits for the
// client but this goroutine: where it is too slow for the subscription, it goes on
// from the store.
func (a *API) stream(ctx context.Context, from source, progress, follow bool) (*huma.StreamResponse, error) {
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, a.problem(ctx, ErrBusy)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) { //nolint:contextcheck // it has the context of the request in hctx
		defer func() { <-a.streams }()
		r, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		s := &eventWriter{w: w, control: http.NewResponseController(w)}
		w.WriteHeader(http.StatusOK)
		if err := s.flush(); err != nil {
			return
		}
		err := a.follow(r.Context(), from, s, progress, follow)
		if err != nil && r.Context().Err() == nil {
			a.o.Log.Debug().Err(err).Msg("a stream of events has ended")
		}
	}}, nil
}

func (a *API) follow(ctx context.Context, from source, s *eventWriter, progress, follow bool) error {
	for {
		subscription := from.subscribe() // before the store is read, so that nothing is missed between
		err := a.followSubscription(ctx, from, subscription, s, progress, follow)
		subscription.Close()
		if !errors.Is(err, engine.ErrSlowReader) {
			return err
		}
	}
}

func (a *API) followSubscription(ctx context.Context, from source, subscription *engine.Subscription, s *eventWriter, progress, follow bool) error {
	if err := from.stored(ctx, s.send); err != nil || !follow {
		return err
	}
	heartbeat := time.NewTicker(a.o.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-heartbeat.C:
			if err := s.comment("alive"); err != nil {
				return err
			}
		case u, ok := <-subscription.Updates():
			if !ok {
				return subscription.Err()
			}
			if err := a.updates(ctx, from, u, subscription, s, progress); err != nil {
				return err
			}
		}
	}
}

// updates sends an update, and what has come behind it meanwhile, at once.
func (a *API) updates(ctx context.Context, from source, u engine.Update, subscription *engine.Subscription, s *eventWriter, progress bool) error {
	s.hold = true
	defer func() { s.hold = false }()
	for {
		if err := a.update(ctx, from, u, s, progress); err != nil {
			return err
		}
		if len(s.held) < maxHeld {
			select {
			case next, ok := <-subscription.Updates():
				if ok {
					u = next
					continue
				}
			default:
			}
		}
		return s.release()
	}
}

func (a *API) update(ctx context.Context, from source, u engine.Update, s *eventWriter, progress bool) error {
	switch {
	case u.Record != nil && from.sent(u.Task, u.Record.Seq):
		return nil // with those before it
	case u.Record != nil:
		return from.stored(ctx, s.send)
	case u.Progress != nil && progress && from.wants(ctx, u.Task):
		p := u.Progress
		text, err := p.Encoded.Text(func() ([]byte, error) {
			return encodeEvent(0, EventProgress, ProgressDocument{
				Task: u.Task, Turn: p.Turn, Attempt: p.Attempt, Node: p.Node, Kind: string(p.Kind), Text: p.Text, Tool: p.Tool, Argument: p.Argument, Usage: p.Usage,
			})
		})
		if err != nil {
			return err
		}
		return s.write(text)
	case u.Storage != nil:
		return s.send(0, EventStorage, StorageDocument{Error: u.Storage.Err.Error(), Since: u.Storage.Since, Over: u.Storage.Over})
	}
	return nil
}

// taskEvents are those of one task; an id is the number of the event in it.
type taskEvents struct {
	a     *API
	task  string
	after int64
}

func (t *taskEvents) subscribe() *engine.Subscription { return t.a.o.Service.Subscribe(t.task) }

func (t *taskEvents) sent(_ string, seq int64) bool { return seq <= t.after }

func (t *taskEvents) wants(context.Context, string) bool { return true }

func (t *taskEvents) stored(ctx context.Context, send sender) error {
	records, err := t.a.o.Service.Events(ctx, t.task, t.after)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := sendRecord(send, r.Seq, r); err != nil {
			return err
		}
		t.after = r.Seq
	}
	return nil
}

// allEvents are those of all tasks; an id is the position in the order of all commits.
type allEvents struct {
	a           *API
	after       int64
	team, batch string
	tree        string
	begun       bool            // EventBegin was sent
	wanted      map[string]bool // by task
	// last is the number of the last event of a task that was looked at.
	last map[string]int64
}

func (t *allEvents) subscribe() *engine.Subscription { return t.a.o.Service.Subscribe("") }

func (t *allEvents) sent(task string, seq int64) bool { return seq <= t.last[task] }

// maxWanted bounds what is remembered of tasks.
const maxWanted = 10_000

func (t *allEvents) wants(ctx context.Context, task string) bool {
	if !t.below(task) {
		return false
	}
	if t.team == "" && t.batch == "" {
		return true
	}
	wanted, known := t.wanted[task]
	if !known {
		state, err := t.a.o.Service.Task(ctx, task)
		wanted = err == nil && t.fits(state.Team, state.Batch)
		if len(t.wanted) >= maxWanted {
			clear(t.wanted)
		}
		t.wanted[task] = wanted
	}
	return wanted
}

func (t *allEvents) fits(team, batch string) bool {
	return (t.team == "" || t.team == team) && (t.batch == "" || t.batch == batch)
}

// below says whether a task is the one of the tree, or one that it started.
func (t *allEvents) below(task string) bool {
	return t.tree == "" || task == t.tree || strings.HasPrefix(task, t.tree+".")
}

func (t *allEvents) stored(ctx context.Context, send sender) error {
	if !t.begun {
		t.begun = true
		if err := send(0, EventBegin, BeginDocument{After: t.after}); err != nil {
			return err
		}
	}
	for {
		events, err := t.a.o.Service.EventsAfter(ctx, t.after, eventsPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if t.below(e.Task) && t.fits(e.Team, e.Batch) {
				if err := sendRecord(send, e.Position, e.Record); err != nil {
					return err
				}
			}
			if t.after = e.Position; len(t.last) >= maxWanted {
				clear(t.last)
			}
			t.last[e.Task] = e.Seq
		}
		if len(events) < eventsPage {
			return nil
		}
	}
}

func sendRecord(send sender, id int64, r store.Record) error {
	document, err := recordDocument(r)
	if err != nil {
		return err
	}
	return send(id, EventRecord, document)
}

// maxHeld is how many bytes of events are held back at most, to be sent together.
const maxHeld = 64 << 10

// eventWriter writes server-sent events.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	// hold keeps what is written in held until release.
	hold bool
	held []byte
}

// bound begins the time that the next write may take. What is longer than a
// buffer is written at once.
func (s *eventWriter) bound() error {
	// Not every connection has deadlines; those that have not are bounded by the server.
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("bound the write of events: %w", err)
	}
	return nil
}

func (s *eventWriter) flush() error {
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}

// send writes an event; an id of 0 is none.
func (s *eventWriter) send(id int64, event string, data any) error {
	text, err := encodeEvent(id, event, data)
	if err != nil {
		return err
	}
	return s.write(text)
}

// encodeEvent is an event as it is sent.
func encodeEvent(id int64, event string, data any) ([]byte, error) {
	text, err := json.Marshal(data) // on one line
	if err != nil {
		return nil, fmt.Errorf("encode an event: %w", err)
	}
	if id > 0 {
		return fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", id, event, text), nil
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, text), nil
}

// write sends text, or holds it back.
func (s *eventWriter) write(text []byte) error {
	if s.held = append(s.held, text...); s.hold && len(s.held) < maxHeld {
		return nil
	}
	return s.release()
}

// release sends what is held back.
func (s *eventWriter) release() error {
	if len(s.held) == 0 {
		return nil
	}
	if err := s.bound(); err != nil {
		return err
	}
	_, err := s.w.Write(s.held)
	if s.held = s.held[:0]; err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	return s.flush()
}

func (s *eventWriter) comment(text string) error {
	return s.write(fmt.Appendf(nil, ": %s\n\n", text))
}
