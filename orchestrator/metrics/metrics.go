package metrics

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// scrapeTimeout bounds what a scrape reads from elsewhere.
const scrapeTimeout = 5 * time.Second

// Options configure Metrics.
type Options struct {
	// Version is that of the program.
	Version string
	// Log is told of what cannot be read at a scrape.
	Log zerolog.Logger
}

// Server is how an App Server is doing.
type Server struct {
	Name string
	Up   bool
	// Turns run there now; Limit is the most, 0 without one.
	Turns, Limit, Conversations, Restarts int
}

// Sources are asked at every scrape. Those that are nil are left out.
type Sources struct {
	// Servers must not wait for a network.
	Servers func() []Server
	// Batches counts the batches that have not ended, and their items.
	Batches func(ctx context.Context) (batches, items []store.StateCount, err error)
}

// Metrics are the measures of one daemon. It is an engine.Observer.
type Metrics struct {
	log      zerolog.Logger
	registry *prometheus.Registry
	vecs     map[string]*vec
	handler  http.Handler

	mu      sync.Mutex
	sources Sources
	// given is by which rule the turns that have not ended were handed over.
	given map[turnKey]rule
}

var _ engine.Observer = (*Metrics)(nil)

// New makes Metrics with a registry of their own.
func New(o Options) *Metrics {
	m := &Metrics{log: o.Log, registry: prometheus.NewRegistry(), vecs: map[string]*vec{}, given: map[turnKey]rule{}}
	read := &scrape{metrics: m, descs: map[string]*prometheus.Desc{}, bounds: map[string]*bound{}}
	for _, s := range specs() {
		if readAtScrape(s.name) {
			read.add(s)
			continue
		}
		v := newVec(s)
		m.vecs[s.name] = v
		m.registry.MustRegister(v.collector())
	}
	m.registry.MustRegister(read, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.vecs[buildInfo].set(1, o.Version, runtime.Version())
	m.vecs[storeUp].set(1)
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: promLog{o.Log}})
	return m
}

// promLog takes what the handler has to say.
type promLog struct{ log zerolog.Logger }

// Println implements promhttp.Logger.
func (l promLog) Println(v ...any) {
	l.log.Warn().Interface("detail", v).Msg("metrics cannot be given out")
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Ask has these sources asked at every scrape.
func (m *Metrics) Ask(s Sources) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = s
}

// AddTasks counts the tasks that there are already. It is called once, before the engine does anything.
func (m *Metrics) AddTasks(counts []store.TaskCount) {
	for _, c := range counts {
		m.vecs[tasks].add(float64(c.Count), c.Team, string(c.Status))
	}
}

// RemoveTasks takes tasks out of the counts that are not kept any more.
func (m *Metrics) RemoveTasks(gone []store.TaskCount) {
	for _, c := range gone {
		m.vecs[tasks].add(-float64(c.Count), c.Team, string(c.Status))
	}
}

// Fired counts a fire of a schedule that was decided.
func (m *Metrics) Fired(f store.Fire) {
	m.vecs[fires].add(1, f.Schedule, string(f.State))
	if f.State != store.FireQueued {
		m.vecs[fireSeconds].observe(max(f.Decided.Sub(f.Due), 0).Seconds())
	}
}
