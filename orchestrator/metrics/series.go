package metrics

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxSeries is how many combinations of names one metric has. Whatever comes
// after them is counted under the name Other. A histogram has at most a fifth.
const MaxSeries = 1000

// Other stands for the names that are too many.
const Other = "other"

// bound keeps the number of combinations of names of a metric small.
type bound struct {
	named, most int

	mu   sync.Mutex
	seen map[string]bool
}

func newBound(s spec) *bound {
	most := MaxSeries
	if s.kind == histogram {
		most /= 5
	}
	return &bound{named: s.named, most: most, seen: map[string]bool{}}
}

// values are those that are used for the given ones.
func (b *bound) values(given []string) []string {
	if b.named == 0 {
		return given
	}
	key := strings.Join(given[:b.named], "\x00")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[key] {
		return given
	}
	if len(b.seen) < b.most {
		b.seen[key] = true
		return given
	}
	given = slices.Clone(given)
	for i := range b.named {
		given[i] = Other
	}
	return given
}

// vec is a metric that is counted up, or observed, while the daemon works.
type vec struct {
	bound      *bound
	counters   *prometheus.CounterVec
	gauges     *prometheus.GaugeVec
	histograms *prometheus.HistogramVec
}

func newVec(s spec) *vec {
	v := &vec{bound: newBound(s)}
	switch s.kind {
	case counter:
		v.counters = prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + s.name, Help: s.help}, s.labels)
	case gauge:
		v.gauges = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + s.name, Help: s.help}, s.labels)
	case histogram:
		v.histograms = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + s.name, Help: s.help, Buckets: s.buckets}, s.labels)
	}
	if len(s.labels) == 0 { // it is there from the first scrape on
		switch s.kind {
		case counter:
			v.counters.WithLabelValues()
		case gauge:
			v.gauges.WithLabelValues()
		case histogram:
			v.histograms.WithLabelValues()
		}
	}
	return v
}

func (v *vec) collector() prometheus.Collector {
	switch {
	case v.counters != nil:
		return v.counters
	case v.gauges != nil:
		return v.gauges
	}
	return v.histograms
}

// add counts a counter up, and changes a gauge.
func (v *vec) add(by float64, labels ...string) {
	labels = v.bound.values(labels)
	if v.counters != nil {
		v.counters.WithLabelValues(labels...).Add(by)
		return
	}
	v.gauges.WithLabelValues(labels...).Add(by)
}

func (v *vec) set(to float64, labels ...string) {
	v.gauges.WithLabelValues(v.bound.values(labels)...).Set(to)
}

func (v *vec) observe(seconds float64, labels ...string) {
	v.histograms.WithLabelValues(v.bound.values(labels)...).Observe(seconds)
}
