package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/check"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Submission is a task to be made.
type Submission = engine.Submission

// Orchestrator is an open data directory, an App Server, and the engine
// between them. Its methods may be called concurrently.
type Orchestrator struct {
	store   *store.Store
	server  *server
	runner  *runner.Runner
	engine  *engine.Engine
	batches *batch.Driver

	transport appclient.Transport
	secrets   *redaction.Redactor
	prices    replaceablePrices
	roles     replaceableRoles

	closing  sync.Once
	closeErr error
}

// New opens the data directory, which nobody else may have open, and then the
// App Server. Close must be called. Errors: those of store.Open and roles.Load,
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
	o := &Orchestrator{transport: options.Transport, secrets: Secrets(append(slices.Clone(options.SecretFiles), options.TokenFile), options.SecretVariables)}
	o.roles.replace(library)
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close(context.WithoutCancel(ctx)))
		}
	}()
	if o.store, err = store.Open(ctx, store.Options{Dir: options.DataDir}); err != nil {
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
	if o.server, err = openServer(ctx, options); err != nil {
		return nil, err
	}
	outputs := filepath.Join(o.store.Dir(), "outputs")
	o.runner = runner.New(runner.Options{
		Server: o.server.Server, Token: o.server.token, Transport: options.Transport, Roles: &o.roles, Model: options.Model,
		Local: o.server.local, OutputDir: outputs, Version: options.Version, Log: options.Log,
	})
	var turns engine.TurnRunner = o.runner
	if options.AppServer == AppServerNone {
		turns = offline{}
	}
	o.engine = engine.New(engine.Options{
		Store: o.store, Runner: turns, Checks: check.New(check.Options{}), Prices: &o.prices, Log: options.Log, MaxTurns: options.MaxTurns,
		Workspaces: newPlaces(o.store.Dir(), o.server.local), OutputDir: outputs, Redact: o.secrets,
	})
	o.batches = batch.NewDriver(batch.DriverOptions{Store: o.store, Tasks: o.engine, Log: options.Log})
	return o, nil
}

// checkTimeout bounds CheckAppServer.
const checkTimeout = 20 * time.Second

// CheckAppServer connects to the App Server once, so that a wrong address or
// token is found before a task depends on it. Errors: *ConnectError, which wraps those of appclient.Dial.
func (o *Orchestrator) CheckAppServer(ctx context.Context) (appclient.ServerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	address, err := o.server.URL(ctx)
	if err != nil {
		return appclient.ServerInfo{}, err
	}
	client, err := appclient.Dial(ctx, appclient.Config{URL: address, Transport: o.transport, Token: o.server.token})
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

// Close disconnects from the App Server, stops it where New started it, and
// closes the data directory. Run must have returned. ctx bounds how long a
// managed App Server may take to stop. It may be called again.
func (o *Orchestrator) Close(ctx context.Context) error {
	o.closing.Do(func() {
		var errs []error
		if o.runner != nil {
			errs = append(errs, o.runner.Close()) //nolint:contextcheck // it bounds itself
		}
		if o.server != nil {
			errs = append(errs, o.server.stop(ctx))
		}
		if o.store != nil {
			errs = append(errs, o.store.Close())
		}
		o.closeErr = errors.Join(errs...)
	})
	return o.closeErr
}
