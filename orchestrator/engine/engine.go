package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	defaultMaxTurns    = 16
	defaultStopTimeout = 15 * time.Second
)

// Store is what the engine needs of a store; *store.Store implements it.
type Store interface {
	SaveRevision(ctx context.Context, team *workflow.Team, at time.Time) error
	Revision(ctx context.Context, hash string) (store.Revision, error)
	Create(ctx context.Context, state workflow.State, event workflow.Event, effects []workflow.Effect, key string) (id string, created bool, err error)
	CommitAll(ctx context.Context, decisions []store.Decision) error
	Task(ctx context.Context, id string) (workflow.State, error)
	ByKey(ctx context.Context, key string) (workflow.State, error)
	Events(ctx context.Context, task string, after int64) ([]store.Record, error)
	Unfinished(ctx context.Context) ([]store.Ref, error)
	OpenPlaces(ctx context.Context) ([]string, error)
	Due(ctx context.Context, now time.Time, only []string) ([]string, error)
	NextWake(ctx context.Context, now time.Time, only []string) (time.Time, error)
	Runtimes(ctx context.Context, f store.RuntimeFilter) ([]store.Runtime, error)
	SharedConversation(ctx context.Context, team, agent string) (workflow.Runtime, error)
	Children(ctx context.Context, task string) ([]workflow.State, error)
	// Probe finds out whether a store that was unavailable works again, without changing anything.
	Probe(ctx context.Context) error
}

// Options are the parts and limits of an Engine. Store and Runner are required.
type Options struct {
	Store  Store
	Runner TurnRunner
	Log    zerolog.Logger
	// Checks runs the commands of checks; without it they fail.
	Checks CheckRunner
	// Teams takes the place of the tasks of sub-teams; nil runs them.
	Teams TeamRunner
	// Prices says what turns cost; nil knows no price.
	Prices Prices
	// OutputDir keeps long outputs, in a directory for each task; without it they are cut.
	OutputDir string
	// Transcripts keeps the streams of turns; nil keeps none.
	Transcripts Transcripts
	// Redact takes secrets out of everything that is stored or shown; nil knows none.
	Redact *redact.Redactor
	// Clock replaces the clock of the machine.
	Clock Clock
	// Now replaces the time alone; it is not used beside Clock.
	Now func() time.Time
	// MaxTurns is how many turns run at once where SetLimits says nothing else; default 16.
	MaxTurns int
	// Servers says where turns can run; nil is one place without a limit of its own.
	Servers Servers
	// StopTimeout is how long Run waits for running turns when it ends; default 15 s.
	StopTimeout time.Duration
	// IDs makes the ID of a new task; default a ULID.
	IDs func() string
	// Workspaces makes the places of tasks when they are claimed; without it they
	// work in Submission.Workspace as it is.
	Workspaces Workspaces
	// Observer is told what the engine does; nil costs nothing.
	Observer Observer
	// Trace is what commands of a task are told of its trace: in the given turn, or
	// outside of all where its ID is 0. nil tells them what the task was submitted with.
	Trace func(state *workflow.State, turn workflow.Turn) *workflow.TraceContext
}

// Engine drives the tasks of one store. Its methods may be called concurrently.
type Engine struct {
	o     Options // its Store is patient
	raw   Store
	teams teamCache
	hub   hub
	wake  chan struct{} // holds one token when the timers must be looked at again
	done  chan struct{} // closed when Run has ended
	// stopping is closed when Run begins to end.
	stopping chan struct{}
	began    time.Time

	mu    sync.Mutex
	phase phase
	// spawn starts a goroutine that Run waits for, with a ctx that ends when Run
	// does. Work is started by whoever commits the decision that calls for it.
	spawn     func(run func(ctx context.Context))
	stopTurns context.CancelCauseFunc
	endRun    context.CancelFunc
	only      []string // nil: all tasks
	batch     string   // the one whose new tasks are driven although only has others; see DriveBatch
	joined    []string // its tasks that were submitted before Run
	takingUp  bool     // nothing begins yet; see takeUpFirst
	fatal     error
	broken    map[string]error

	entries map[string]*entry
	// questions are asked by turns that run here.
	questions map[questionKey]chan Answer
	queue
	meter
	waiting   waiting
	finishing finishing
	// placeRetries are those of the tasks whose place could not be made.
	placeRetries map[string]*backoff.ExponentialBackOff
	// restoring is held while a worktree is brought back.
	restoring sync.Mutex
	outage    outage
	draining  draining
	running   sync.WaitGroup
	observing observing
}

type phase int

const (
	phaseIdle phase = iota
	phaseRunning
	phaseStopping
	phaseStopped
)

// New returns an engine that does nothing until Run is called. Submit, Cancel
// and Subscribe may be called before.
func New(o Options) *Engine {
	if o.Store == nil || o.Runner == nil {
		panic("engine.New: Options.Store and Options.Runner are required")
	}
	o.MaxTurns = cmp.Or(max(o.MaxTurns, 0), defaultMaxTurns)
	o.StopTimeout = cmp.Or(o.StopTimeout, defaultStopTimeout)
	if o.Clock == nil {
		o.Clock = systemClock{now: o.Now}
	}
	if o.IDs == nil {
		o.IDs = func() string { return ulid.Make().String() }
	}
	e := &Engine{
		o: o, raw: o.Store,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		broken:  map[string]error{},
		entries: map[string]*entry{},
		began:   o.Clock.Now(), queue: newQueue(o.MaxTurns), meter: newMeter(), outage: newOutage(), draining: draining{idle: make(chan struct{})},
		questions: map[questionKey]chan Answer{},
		stopping:  make(chan struct{}),
		waiting:   newWaiting(), finishing: newFinishing(), placeRetries: map[string]*backoff.ExponentialBackOff{},
	}
	if o.Observer != nil {
		e.observing, e.raw = newObserving(), observedStore{o.Store, o.Observer}
	}
	e.o.Store = patientStore{e}
	if o.Servers != nil {
		o.Servers.OnRoom(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.pump()
		})
	}
	return e
}

// Run drives tasks until ctx ends, or until Drain is done, and then stops: running turns are cancelled
// through their ctx, nothing is recorded for them, and Run returns when their
// goroutines have ended, at the latest after Options.StopTimeout. With only
// given, it drives those tasks and leaves all others as they are.
//
// While the store is unavailable (store.ErrUnavailable) it waits; see
// StorageTrouble. It returns nil when ctx ended. Errors: store.ErrStorage when
// the store failed for good, after stopping, or was unavailable at the end;
// ErrStopTimeout. An Engine runs once.
func (e *Engine) Run(ctx context.Context, only ...string) error {
	ctx, endRun := context.WithCancel(ctx)
	defer endRun()
	if err := e.start(ctx, endRun, only); err != nil {
		return err
	}
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	e.mu.Lock()
	if e.draining.stopLooking = stopLooking; e.draining.asked {
		stopLooking()
	}
	e.mu.Unlock()
	err := e.recoverTasks(looking)
	if err == nil {
		err = e.keepTimers(looking)
	}
	if err == nil {
		e.drain(ctx)
	}
	return e.stop(err)
}

func (e *Engine) start(ctx context.Context, endRun context.CancelFunc, only []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != phaseIdle {
		return errors.New("run the engine: it has been run already; make a new one")
	}
	if e.fatal != nil {
		return e.fatal
	}
	e.phase, e.endRun = phaseRunning, endRun
	// Not a child of ctx, so that a turn always sees ErrStopping as its cause.
	turns, stopTurns := context.WithCancelCause(context.WithoutCancel(ctx))
	e.stopTurns = stopTurns
	e.spawn = func(run func(context.Context)) {
		e.running.Go(func() { run(turns) })
	}
	if len(only) > 0 || e.batch != "" {
		e.only = append(append([]string{}, only...), e.joined...)
	}
	return nil
}

// stop ends everything that Run started.
func (e *Engine) stop(err error) error {
	e.mu.Lock()
	e.phase = phaseStopping
	e.stopTurns(ErrStopping)
	close(e.stopping)
	trouble := e.outage.trouble
	e.mu.Unlock()
	if trouble != nil && err == nil {
		err = fmt.Errorf("stopped while nothing could be recorded; the next start asks what became of the turns: %w", trouble.Err)
	}

	ended := make(chan struct{})
	go func() { // outlives stop only when a runner ignores its ctx, which is reported
		e.running.Wait()
		close(ended)
	}()
	timeout := time.NewTimer(e.o.StopTimeout)
	defer timeout.Stop()
	select {
	case <-ended:
	case <-timeout.C:
		err = errors.Join(err, fmt.Errorf("stop the engine: %w: %s after %s", ErrStopTimeout, strings.Join(e.liveTurns(), ", "), e.o.StopTimeout))
	}

	e.mu.Lock()
	e.phase = phaseStopped
	if e.fatal != nil && !errors.Is(err, e.fatal) {
		err = errors.Join(e.fatal, err)
	}
	e.mu.Unlock()
	close(e.done)
	e.hub.closeAll(ErrStopped)
	return err
}

func (e *Engine) liveTurns() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for key, w := range e.known {
		if w.cancel != nil {
			names = append(names, key.String())
		}
	}
	slices.Sort(names)
	return names
}

// fail stops the engine because the store failed: a decision that cannot be
// committed must not be carried out.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fatal != nil {
		return
	}
	e.fatal = err
	if e.endRun != nil {
		e.endRun()
	}
}

// giveUp leaves one task alone that cannot be driven, with those that wait for
// it as their sub-team; others go on.
func (e *Engine) giveUp(task string, err error) {
	e.o.Log.Error().Err(err).Str("task", task).Msg("the task cannot be driven and is left as it is")
	e.mu.Lock()
	e.broken[task] = err
	e.mu.Unlock()
	e.hub.ended(task)
	if parent, ok := waitingParent(task); ok {
		e.giveUp(parent, fmt.Errorf("its sub-team's task %s cannot be driven: %w", task, err))
	}
}

// DriveBatch makes Run drive, besides those that it is given, the tasks that are
// submitted for a batch from now on, and no others. It is called before Run.
func (e *Engine) DriveBatch(batch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.batch = batch
}

// joinsRun adds a new task of the batch that is driven to those that Run drives.
func (e *Engine) joinsRun(task, batch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.batch == "" || batch != e.batch:
	case e.phase == phaseIdle:
		e.joined = append(e.joined, task)
	default:
		e.only = append(e.only, task)
	}
}

// driven are the tasks that Run is restricted to; nil is all.
func (e *Engine) driven() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.only[:len(e.only):len(e.only)]
}

// drives reports whether the engine starts work for a task now. e.mu is held.
func (e *Engine) drives(task string) bool {
	if e.phase != phaseRunning || e.fatal != nil || e.broken[task] != nil {
		return false
	}
	return e.only == nil || descends(task, e.only)
}

// now is the time of an event: in UTC, in the precision that the store keeps.
func (e *Engine) now() time.Time { return e.o.Clock.Now().UTC().Truncate(time.Microsecond) }
