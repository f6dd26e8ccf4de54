package orchestrator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/metrics"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/tracing"
)

const (
	// answerTimeout is how long requests may take to end when the daemon stops.
	answerTimeout = 5 * time.Second
	// headerTimeout and idleTimeout end connections that ask for nothing.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// DaemonOptions configure a Daemon.
type DaemonOptions struct {
	// Config is what the daemon starts with.
	Config config.Config
	// Load reads the configuration again, for Reload; nil leaves it as it is and
	// reads the files that it names again.
	Load func() (config.Config, error)
	// Logging is told how to log at every reload; nil is not called.
	Logging func(config.Logging) error
	// Version is told to clients and to the App Server.
	Version string
	// Log gets what people do not watch live.
	Log zerolog.Logger
	// Redact takes out of Log what the configuration names as secret: the daemon adds
	// that to it. nil leaves the log as it is.
	Redact *redaction.Redactor
	// Clock is that of the schedules; default the machine's.
	Clock engine.Clock
	// Ready is called once, when the daemon listens, with the URLs; nil is not called.
	Ready func(urls []string)
}

// Daemon drives all tasks of a data directory and serves them to clients.
type Daemon struct {
	*Orchestrator
	options   DaemonOptions
	log       zerolog.Logger
	listeners []*endpointListener
	api       *api.API
	metrics   *metrics.Metrics
	tracer    *tracing.Tracer // nil where nobody wants traces
	started   time.Time
	draining  atomic.Bool

	clock         engine.Clock
	schedules     *schedule.Driver
	notifier      *notify.Notifier
	state         serviceState
	certificate   certificate
	live          atomic.Pointer[loaded]
	reloading     sync.Mutex
	reloadTrouble atomic.Pointer[reloadTrouble]
	// reloaded holds one token when a reload may have changed what is removed.
	reloaded         chan struct{}
	retentionTrouble atomic.Pointer[error]
}

// NewDaemon opens the data directory, the App Server and the addresses.
// Close must be called. Errors: those of New, ErrListen, ErrCertificate.
func NewDaemon(ctx context.Context, options DaemonOptions) (_ *Daemon, err error) {
	if exposed := options.Config.Exposed(); len(exposed) > 0 {
		return nil, fmt.Errorf("%w:\n%w", ErrListen, exposed)
	}
	of := orchestratorOptions(options)
	measures := metrics.New(metrics.Options{Version: options.Version, Log: options.Log})
	of.Observer, of.Removed = engine.Observers(measures, decisionLog{log: options.Log}), measures.RemoveTasks
	tracer, err := newTracer(ctx, options)
	if err != nil {
		return nil, err
	}
	if tracer != nil {
		of.Observer, of.Trace = engine.Observers(of.Observer, tracer), tracer.Context
	}
	o, err := New(ctx, of)
	if err != nil {
		return nil, errors.Join(err, closeTracer(ctx, tracer))
	}
	d := &Daemon{metrics: measures, tracer: tracer, Orchestrator: o, options: options, log: options.Log, started: time.Now(), reloaded: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := d.measure(ctx); err != nil {
		return nil, err
	}
	if d.state, err = newServiceState(); err != nil {
		return nil, err
	}
	first, err := prepare(options.Config, o.store.Dir(), nil)
	if err != nil {
		return nil, err
	}
	clock := options.Clock
	if clock == nil {
		clock = engine.SystemClock()
	}
	d.clock = clock
	d.schedules = schedule.New(schedule.Options{Store: o.store, Tasks: scheduledTasks{d}, Clock: clock, Fired: measures.Fired, Log: d.log})
	d.notifier = notify.New(notify.Options{
		Store: o.store, Clock: clock, Subscribe: func() *engine.Subscription { return o.engine.Subscribe("").WithoutProgress() }, Log: d.log,
		Trace: of.Trace,
	})
	if err := d.apply(ctx, first); err != nil {
		return nil, err
	}
	addresses := options.Config.Listen
	if len(addresses) == 0 {
		addresses = []string{ListenUnix}
	}
	for _, address := range addresses {
		l, err := listen(ctx, address, o.store.Dir())
		if err != nil {
			return nil, err
		}
		if l.socket == "" && options.Config.BehindProxy {
			l.local = false // a proxy on this machine brings in others
		}
		if l.socket == "" && options.Config.TLS != (config.TLS{}) {
			l.encrypt(&tls.Config{GetCertificate: d.certificate.get, MinVersion: tls.VersionTLS12})
		}
		d.listeners = append(d.listeners, l)
	}
	if d.api, err = newAPI(ctx, d); err != nil {
		return nil, err
	}
	return d, nil
}

// Serve drives all tasks and serves clients until ctx ends or Drain is done.
// It returns when everything that it started has ended. It may be called once.
// Errors: those of engine.Engine.Run, and of the listeners.
func (d *Daemon) Serve(ctx context.Context) error {
	driving, stopDriving := context.WithCancel(ctx)
	defer stopDriving()
	// Requests end with the daemon, and not with ctx: while turns end in good
	// order, clients may watch.
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
	var serving sync.WaitGroup
	failures := make(chan error, len(d.listeners))
	servers := make([]*http.Server, len(d.listeners))
	for i, l := range d.listeners {
		servers[i] = d.httpServer(requests, l)
		serving.Go(func() {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failures <- fmt.Errorf("serve at %s: %w", l.url, err)
				stopDriving()
			}
		})
	}
	err := d.announce()
	var tending sync.WaitGroup
	scheduling := make(chan error, 2)
	if err == nil {
		tending.Go(func() { d.keepRetention(driving) })
		tending.Go(func() {
			if err := d.schedules.Run(driving); err != nil {
				scheduling <- err
				stopDriving()
			}
		})
		tending.Go(func() {
			if err := d.notifier.Run(driving); err != nil {
				scheduling <- err
				stopDriving()
			}
		})
		err = d.Run(driving)
	}
	stopDriving()
	tending.Wait()
	close(scheduling)
	for failure := range scheduling {
		err = errors.Join(err, failure)
	}
	d.tellState(stateStopping, "stopping")
	err = errors.Join(err, removeDiscovery(d.store.Dir()))
	endRequests()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	for _, server := range servers {
		if failure := server.Shutdown(ending); failure != nil {
			err = errors.Join(err, fmt.Errorf("end the requests: %w", failure), server.Close())
		}
	}
	serving.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

// announce tells clients, and whoever started the daemon, where it listens.
func (d *Daemon) announce() error {
	urls := d.URLs()
	// A local client prefers what needs no token.
	first := slices.IndexFunc(d.listeners, func(l *endpointListener) bool { return l.local })
	if err := writeDiscovery(d.store.Dir(), Discovery{URL: urls[max(first, 0)], PID: os.Getpid(), Version: d.options.Version}); err != nil {
		return err
	}
	d.tellState(stateReady, "listening at "+strings.Join(urls, ", "))
	d.log.Info().Strs("urls", urls).Str("data_dir", d.store.Dir()).Int("pid", os.Getpid()).Msg("listening")
	if d.options.Ready != nil {
		d.options.Ready(urls)
	}
	return nil
}

// tellState tells the service manager. The daemon works without one that listens.
func (d *Daemon) tellState(state, status string) {
	if err := d.state.tell(state, status); err != nil {
		d.log.Warn().Err(err).Msg("the service manager does not listen")
	}
}

// URLs are the addresses that the daemon listens at.
func (d *Daemon) URLs() []string {
	urls := make([]string, len(d.listeners))
	for i, l := range d.listeners {
		urls[i] = l.url
	}
	return urls
}

func (d *Daemon) httpServer(requests context.Context, l *endpointListener) *http.Server {
	return newHTTPServer(requests, d.api.Handler(api.Listener{Local: l.local, Unix: l.socket != "", Hosts: d.options.Config.Hosts}), d.log)
}

// newHTTPServer serves with bounds on how long a client may take; the API bounds
// bodies and answers.
func newHTTPServer(requests context.Context, handler http.Handler, to zerolog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    log.New(to.With().Str("part", "http").Logger(), "", 0),
	}
}

// Drain makes Serve end in good order: no new turn is started, and those that
// run may go on to their ends, for the grace of the configuration at the longest.
// It returns at once, and may be called again.
func (d *Daemon) Drain() {
	if !d.draining.Swap(true) {
		d.tellState(stateStopping, "waiting for the turns that run")
	}
	d.engine.Drain(d.Grace())
}

// defaultGrace is what service managers and container runtimes commonly allow
// before they kill.
const defaultGrace = 30 * time.Second

// Grace is how long running turns may take to end after Drain.
func (d *Daemon) Grace() time.Duration {
	c := d.live.Load().config
	if !c.GraceSet {
		return defaultGrace
	}
	return c.Grace
}

// Close gives back the addresses and closes what New opened. Serve must have
// returned. ctx bounds how long a managed App Server may take to stop. It may be called again.
func (d *Daemon) Close(ctx context.Context) error {
	var errs []error
	for _, l := range d.listeners {
		errs = append(errs, l.Close())
	}
	errs = append(errs, d.Orchestrator.Close(ctx), closeTracer(ctx, d.tracer))
	return errors.Join(errs...)
}
