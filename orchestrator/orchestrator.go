package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/check"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/pool"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Submission is a task to be made.
type Submission = engine.Submission

// Orchestrator is an open data directory, App Servers, and the engine between them. Its methods may be called concurrently.
type Orchestrator struct {
	store   *store.Store
	servers servers
	pool    *pool.Pool // nil without App Servers
	engine  *engine.Engine
	batches *batch.Driver
	// transcripts is nil where none are kept.
	transcripts *transcript.Files
	places      *places

	secrets *redaction.Redactor
	prices  replaceablePrices
	roles   replaceableRoles

	closing  sync.Once
	closeErr error
}

// New opens the data directory, which nobody else may have open, and then the
// App Servers. Close must be called. Errors: those of store.Open and roles.Load,
// ErrPrices, ErrAppServer, ErrTokenFile, ErrNotInstalled, ErrNotStarted.
func New(ctx context.Context, options Options) (_ *Orchestrator, err error) {
	if options.DataDir == "" {
		if options.DataDir, err = DefaultDataDir(); err != nil {
			return nil, err
		}
	}
	library, err := roles.Load(options.RolesDir)
	if err != nil {
		return nil, fmt.Errorf("load the roles: %w", err)
	}
	o := &Orchestrator{secrets: options.Redact}
	if o.secrets == nil {
		o.secrets = Secrets(nil, nil)
	}
	options.addSecrets(o.secrets)
	o.roles.replace(library)
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close(context.WithoutCancel(ctx)))
		}
	}()
	if o.store, err = store.Open(ctx, store.Options{Dir: options.DataDir, Removed: options.Removed}); err != nil {
		return nil, err
	}
	if o.store.CheckedInPart() {
		options.Log.Warn().Str("dir", o.store.Dir()).Msg("the store is large and was checked in part only; orchestrator verify checks all of it")
	}
	priceTable, err := openPrices(options.PricesFile, o.store.Dir())
	if err != nil {
		return nil, err
	}
	o.prices.replace(priceTable)
	if o.servers, err = openServers(ctx, options.appServers(), o.store.Dir(), options.Log); err != nil {
		return nil, err
	}
	outputs := filepath.Join(o.store.Dir(), "outputs")
	o.places = newPlaces(o.store.Dir(), o.servers.local())
	of := engine.Options{
		Store: o.store, Runner: offline{}, Checks: check.New(check.Options{}), Prices: &o.prices, Log: options.Log,
		Workspaces: o.places, OutputDir: outputs, Redact: o.secrets, Observer: options.Observer, Trace: options.Trace,
	}
	if o.transcripts, err = openTranscripts(options.Transcripts, o.store.Dir(), options.Log); err != nil {
		return nil, err
	}
	if o.transcripts != nil {
		of.Transcripts = o.transcripts
	}
	if len(o.servers) > 0 {
		if o.pool, err = o.servers.pool(ctx, o.store, options, runner.Options{
			Roles: &o.roles, Model: options.Model, OutputDir: outputs, Version: options.Version, Log: options.Log,
		}); err != nil {
			return nil, err
		}
		of.Runner, of.Servers = o.pool, o.pool
	}
	o.engine = engine.New(of)
	o.engine.SetLimits(engine.Limits{Turns: cmp.Or(options.MaxTurns, o.servers.turns()), Teams: options.Teams})
	o.batches = batch.NewDriver(batch.DriverOptions{Store: o.store, Tasks: o.engine, Log: options.Log})
	return o, nil
}

// checkTimeout bounds CheckAppServer.
const checkTimeout = 20 * time.Second

// CheckAppServer connects to the first App Server once, so that a wrong address or
// token is found before a task depends on it. Errors: *ConnectError, which wraps those of appclient.Dial.
func (o *Orchestrator) CheckAppServer(ctx context.Context) (appclient.ServerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s := o.servers[0]
	address, err := s.URL(ctx)
	if err != nil {
		return appclient.ServerInfo{}, err
	}
	client, err := appclient.Dial(ctx, appclient.Config{URL: address, Transport: s.of.Transport, Token: s.token})
	if err != nil {
		return appclient.ServerInfo{}, &ConnectError{Address: address, Err: err}
	}
	info := client.Info()
	if err := client.Close(); err != nil { //nolint:contextcheck // it bounds itself, and must work when ctx has ended
		return info, fmt.Errorf("close the connection to %s: %w", address, err)
	}
	return info, nil
}

// Engine gives access to single tasks: waiting, cancelling, watching.
func (o *Orchestrator) Engine() *engine.Engine { return o.engine }

// Store is the open data directory.
func (o *Orchestrator) Store() *store.Store { return o.store }

// Submit stores a new task; see engine.Engine.Submit.
func (o *Orchestrator) Submit(ctx context.Context, sub Submission) (workflow.State, bool, error) {
	return o.engine.Submit(ctx, sub)
}

// Run drives all tasks and batches until ctx ends, and returns when everything
// that it started has ended. With only given, it drives those tasks and leaves
// all others, and batches, as they are. It may be called once.
func (o *Orchestrator) Run(ctx context.Context, only ...string) error {
	if len(only) > 0 {
		return o.engine.Run(ctx, only...)
	}
	return o.runWithBatches(ctx, nil)
}

// Close disconnects from the App Servers, stops those that New started, and
// closes the data directory. Run must have returned. ctx bounds how long a
// managed App Server may take to stop. It may be called again.
func (o *Orchestrator) Close(ctx context.Context) error {
	o.closing.Do(func() {
		var errs []error
		if o.pool != nil {
			errs = append(errs, o.pool.Close())
		}
		errs = append(errs, o.servers.stop(ctx))
		if o.transcripts != nil {
			errs = append(errs, o.transcripts.Close())
		}
		if o.store != nil {
			errs = append(errs, o.store.Close())
		}
		o.closeErr = errors.Join(errs...)
	})
	return o.closeErr
}
