package notify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// firstWait and longestWait bound the waits between attempts, which double, and
	// giveUpAfter is when there are no more.
	firstWait   = 5 * time.Second
	longestWait = time.Hour
	giveUpAfter = 24 * time.Hour
	// longestSleep bounds how late a clock that was set is noticed.
	longestSleep = time.Minute
	// retryWait is how long it is waited for a store that does not work.
	retryWait = 15 * time.Second
	// atOnce is how many notices are read at once.
	atOnce = 100
	// defaultKeep is how many notifications are kept.
	defaultKeep = 1000
)

// Store is what a Notifier needs of a store; *store.Store implements it.
type Store interface {
	Task(ctx context.Context, id string) (workflow.State, error)
	OpenNotices(ctx context.Context, limit int) ([]store.Notice, error)
	MakeNotifications(ctx context.Context, notice int64, made []store.Notification, keep int) error
	PendingNotifications(ctx context.Context) ([]store.Notification, error)
	NoteAttempt(ctx context.Context, n store.Notification, a store.NotificationAttempt) error
}

// Options are the parts of a Notifier. Store and Clock are required.
type Options struct {
	Store Store
	Clock engine.Clock
	// Subscribe delivers what happens to all tasks, so that it is told at once; nil
	// tells it within a minute.
	Subscribe func() *engine.Subscription
	Log       zerolog.Logger
	// Keep is how many notifications are kept; default 1000.
	Keep int
	// Client replaces the HTTP client; its redirects must not be followed.
	Client *http.Client
	// Trace is what those who are told of a task are told of its trace; nil tells
	// them what it was submitted with.
	Trace func(state *workflow.State, turn workflow.Turn) *workflow.TraceContext
}

// Notifier delivers notifications. Its methods may be called concurrently.
type Notifier struct {
	o      Options
	client *http.Client
	wake   chan struct{}

	mu      sync.Mutex
	targets map[string]Target
	// busy are the targets to which something is being delivered.
	busy map[string]bool
	// fatal is why nothing can be written down any more, and until then is when it is
	// tried again after the store was unavailable: what cannot be written down must
	// not be delivered over and over.
	fatal error
	until time.Time
	lanes sync.WaitGroup
}

// New returns a Notifier without targets, which does nothing until Run is called.
func New(o Options) *Notifier {
	if o.Store == nil || o.Clock == nil {
		panic("notify.New: Options.Store and Options.Clock are required")
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	client := o.Client
	if client == nil {
		client = newClient()
	}
	return &Notifier{o: o, client: client, wake: make(chan struct{}, 1), targets: map[string]Target{}, busy: map[string]bool{}}
}

// SetTargets makes these the targets that there are, also after a reload. When any
// of them is wrong, nothing is changed. Errors: ErrTarget.
func (n *Notifier) SetTargets(targets []Target) error {
	byName := map[string]Target{}
	for _, t := range targets {
		if err := t.Validate(); err != nil {
			return err
		}
		if _, twice := byName[t.Label()]; twice {
			return fmt.Errorf("%w: two are called %s: give one of them another name", ErrTarget, t.Label())
		}
		byName[t.Label()] = t
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.targets = byName
	n.Wake()
	return nil
}

// Wake makes the Notifier look whether there is something to tell.
func (n *Notifier) Wake() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run delivers notifications until ctx ends; then it waits for the attempts that
// are being made, which end with ctx, and returns nil. While the store is
// unavailable it waits. Errors: store.ErrStorage when the store failed for good.
func (n *Notifier) Run(ctx context.Context) error {
	defer n.client.CloseIdleConnections()
	defer n.lanes.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	var happened <-chan engine.Update
	if n.o.Subscribe != nil {
		sub := n.o.Subscribe()
		defer func() { sub.Close() }()
		happened = sub.Updates()
	}
	for {
		wait, err := n.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // it was asked to end
		case errors.Is(err, store.ErrUnavailable):
			n.o.Log.Warn().Err(err).Msg("the notifications wait: it is tried again")
			wait = retryWait
		case err != nil:
			return fmt.Errorf("deliver the notifications: %w", err)
		}
		timer := n.o.Clock.NewTimer(wait)
		happened = n.await(ctx, timer, happened)
		timer.Stop()
	}
}

// await returns when there may be something to tell. It returns nil for a
// subscription that has ended: then it is looked every minute.
func (n *Notifier) await(ctx context.Context, timer engine.Timer, happened <-chan engine.Update) <-chan engine.Update {
	for {
		select {
		case <-ctx.Done():
			return happened
		case <-timer.C():
			return happened
		case <-n.wake:
			return happened
		case update, open := <-happened:
			if !open {
				return nil
			}
			if r := update.Record; r != nil && len(store.Notices(*r.State, r.Event, r.Effects)) > 0 {
				return happened
			}
		}
	}
}

// pass makes notifications of notices, and begins to deliver what is due. It
// returns how long there is nothing more to do.
func (n *Notifier) pass(ctx context.Context) (time.Duration, error) {
	now := n.now()
	n.mu.Lock()
	fatal, until := n.fatal, n.until
	n.mu.Unlock()
	switch {
	case fatal != nil:
		return 0, fatal
	case until.After(now) && until.Sub(now) <= retryWait: // or the clock was set back
		return until.Sub(now), nil
	}
	if err := n.expand(ctx); err != nil {
		return 0, err
	}
	// Before the list is read: what is delivered meanwhile is in it, and must not be
	// delivered again. The lane to such a target wakes us at its end.
	n.mu.Lock()
	busy := maps.Clone(n.busy)
	n.mu.Unlock()
	pending, err := n.o.Store.PendingNotifications(ctx)
	if err != nil {
		return 0, err
	}
	next := now.Add(longestSleep)
	due := map[string][]store.Notification{}
	for _, p := range pending {
		if p.Next.After(now) {
			if p.Next.Before(next) {
				next = p.Next
			}
			continue
		}
		due[p.Target] = append(due[p.Target], p)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, list := range due {
		if !busy[name] {
			n.busy[name] = true
			n.lanes.Go(func() { n.deliverAll(ctx, name, list) })
		}
	}
	return next.Sub(now), nil
}

// expand makes notifications of all notices.
func (n *Notifier) expand(ctx context.Context) error {
	for {
		notices, err := n.o.Store.OpenNotices(ctx, atOnce)
		if err != nil || len(notices) == 0 {
			return err
		}
		for _, notice := range notices {
			made, err := n.make(ctx, notice)
			if err != nil {
				return err
			}
			if err := n.o.Store.MakeNotifications(ctx, notice.Number, made, n.o.Keep); err != nil {
				return err
			}
		}
	}
}

// make returns what the targets are told of a notice.
func (n *Notifier) make(ctx context.Context, notice store.Notice) ([]store.Notification, error) {
	now := n.now()
	n.mu.Lock()
	var names []string
	for name, t := range n.targets {
		if t.wants(notice.Kind) {
			names = append(names, name)
		}
	}
	n.mu.Unlock()
	if len(names) == 0 || now.Sub(notice.At) > giveUpAfter {
		return nil, nil
	}
	event, err := eventOf(ctx, n.o.Store, notice)
	if err != nil || event == nil {
		return nil, err
	}
	body, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("encode a notification: %w", err)
	}
	made := make([]store.Notification, len(names))
	for i, name := range names {
		// The same notice for the same target has the same id, whoever makes it.
		sum := sha256.Sum256([]byte(notice.Key + "\x00" + name))
		made[i] = store.Notification{
			ID: "msg_" + hex.EncodeToString(sum[:16]), Type: event.Type, Task: notice.Task, Target: name, Body: body,
			State: store.NotificationPending, Created: now, Next: now,
		}
	}
	return made, nil
}

// deliverAll delivers to one target, one after the other. When it fails, the
// others wait for the next time: the target is left alone for a while.
func (n *Notifier) deliverAll(ctx context.Context, name string, list []store.Notification) {
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.busy, name)
		n.Wake()
	}()
	for i, notification := range list {
		tried, err := n.deliver(ctx, notification, giveUpAfter)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.storeFailed(err)
			return
		case tried.State == store.NotificationPending: // the others wait for as long
			for _, other := range list[i+1:] {
				other.Next = tried.Next
				if err := n.o.Store.NoteAttempt(ctx, other, store.NotificationAttempt{}); err != nil {
					n.storeFailed(err)
					return
				}
			}
			return
		}
	}
}

// storeFailed keeps a failure for Run; one that passes is only logged, since what
// was not written down is done again.
func (n *Notifier) storeFailed(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if errors.Is(err, store.ErrUnavailable) {
		n.until = n.now().Add(retryWait)
		n.o.Log.Warn().Err(err).Msg("how a notification was delivered cannot be written down: it may be delivered twice")
		return
	}
	n.fatal = err
}

// deliver makes one attempt and writes it down. The next one is not later than so
// long after the notification was made.
func (n *Notifier) deliver(ctx context.Context, notification store.Notification, last time.Duration) (store.Notification, error) {
	n.mu.Lock()
	target, known := n.targets[notification.Target]
	n.mu.Unlock()
	if !known {
		notification.State, notification.Next, notification.Status = store.NotificationFailed, time.Time{}, "no such target is configured any more"
		return notification, n.o.Store.NoteAttempt(ctx, notification, store.NotificationAttempt{})
	}
	began := n.now()
	r := n.attempt(ctx, target, notification, began)
	if ctx.Err() != nil {
		return notification, nil //nolint:nilerr // it was cut off, which says nothing
	}
	ended := n.now()
	notification.Attempts++
	notification.Status = r.status
	attempt := store.NotificationAttempt{
		Notification: notification.ID, Number: notification.Attempts, At: began, Took: max(ended.Sub(began), 0), OK: r.ok, Status: r.status,
	}
	after := max(backOff(notification.ID, notification.Attempts), r.after)
	switch {
	case r.ok:
		notification.State, notification.Next = store.NotificationDelivered, time.Time{}
	case r.final || ended.Add(after).Sub(notification.Created) > last:
		notification.State, notification.Next = store.NotificationFailed, time.Time{}
	default:
		notification.Next = ended.Add(after)
	}
	log := n.o.Log.Info()
	if !r.ok {
		log = n.o.Log.Warn()
	}
	log.Str("notification", notification.ID).Str("type", notification.Type).Str("target", notification.Target).Int("attempt", notification.Attempts).
		Str("state", string(notification.State)).Str("status", r.status).Msg("a notification")
	return notification, n.o.Store.NoteAttempt(ctx, notification, attempt)
}

func (n *Notifier) attempt(ctx context.Context, t Target, notification store.Notification, now time.Time) result {
	if t.Webhook != "" {
		return post(ctx, n.client, t, notification, n.trace(ctx, notification), now)
	}
	return run(ctx, t, notification, n.trace(ctx, notification))
}

// trace is the trace of the task that a notification is about; nil when there is none.
func (n *Notifier) trace(ctx context.Context, notification store.Notification) *workflow.TraceContext {
	if notification.Task == "" {
		return nil
	}
	state, err := n.o.Store.Task(ctx, notification.Task)
	switch {
	case err != nil:
		return nil // it has been removed since, and people are told all the same
	case n.o.Trace != nil:
		return n.o.Trace(&state, workflow.Turn{})
	}
	return state.Trace
}

// backOff is how long to wait after an attempt. It doubles, and is up to a fifth
// longer or shorter, which the id decides.
func backOff(id string, attempts int) time.Duration {
	wait := longestWait
	if attempts <= 10 {
		wait = min(firstWait<<(attempts-1), longestWait)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s.%d", id, attempts))
	part := time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(2*wait/5))
	return wait - wait/5 + part
}

// Test tells a target, or with an empty name all, that this is a test, once and
// at once, and returns how that went. Errors: *UnknownTargetError, store.ErrStorage.
func (n *Notifier) Test(ctx context.Context, name string) ([]store.Notification, error) {
	n.mu.Lock()
	names := slices.Sorted(maps.Keys(n.targets))
	n.mu.Unlock()
	if name != "" || len(names) == 0 {
		if !slices.Contains(names, name) {
			return nil, &UnknownTargetError{Name: name, Known: names}
		}
		names = []string{name}
	}
	out := []store.Notification{}
	for _, label := range names {
		now := n.now()
		body, err := json.Marshal(Event{Type: "test", Timestamp: now, Data: Data{Text: "this is a test"}})
		if err != nil {
			return nil, fmt.Errorf("encode a notification: %w", err)
		}
		tried, err := n.deliver(ctx, store.Notification{
			ID: "msg_" + ulid.Make().String(), Type: "test", Target: label, Body: body, State: store.NotificationPending, Created: now,
		}, 0)
		if err == nil && ctx.Err() != nil {
			err = fmt.Errorf("test %s: %w", label, context.Cause(ctx))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, tried)
	}
	return out, nil
}

// now is in UTC, in the precision that the store keeps.
func (n *Notifier) now() time.Time { return n.o.Clock.Now().UTC().Truncate(time.Microsecond) }
