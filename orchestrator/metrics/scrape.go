package metrics

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// readAtScrape says which metrics are asked for at a scrape.
func readAtScrape(name string) bool {
	return slices.Contains([]string{serverUp, serverTurns, serverLimit, serverConversations, serverRestarts, batches, batchItems}, name)
}

// scrape collects what is asked for at a scrape.
type scrape struct {
	metrics *Metrics
	descs   map[string]*prometheus.Desc
	bounds  map[string]*bound
}

func (c *scrape) add(s spec) {
	c.descs[s.name] = prometheus.NewDesc(prefix+s.name, s.help, s.labels, nil)
	c.bounds[s.name] = newBound(s)
}

// Describe implements prometheus.Collector.
func (c *scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *scrape) Collect(ch chan<- prometheus.Metric) {
	c.metrics.mu.Lock()
	sources := c.metrics.sources
	c.metrics.mu.Unlock()
	if sources.Servers != nil {
		for _, s := range sources.Servers() {
			up := 0
			if s.Up {
				up = 1
			}
			c.give(ch, serverUp, prometheus.GaugeValue, up, s.Name)
			c.give(ch, serverTurns, prometheus.GaugeValue, s.Turns, s.Name)
			c.give(ch, serverLimit, prometheus.GaugeValue, s.Limit, s.Name)
			c.give(ch, serverConversations, prometheus.GaugeValue, s.Conversations, s.Name)
			c.give(ch, serverRestarts, prometheus.CounterValue, s.Restarts, s.Name)
		}
	}
	if sources.Batches == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	open, items, err := sources.Batches(ctx)
	if err != nil {
		c.metrics.log.Warn().Err(err).Msg("the metrics of batches cannot be given out")
		return
	}
	for _, b := range open {
		c.give(ch, batches, prometheus.GaugeValue, int(b.Count), b.State)
	}
	for _, i := range items {
		c.give(ch, batchItems, prometheus.GaugeValue, int(i.Count), i.State)
	}
}

func (c *scrape) give(ch chan<- prometheus.Metric, name string, kind prometheus.ValueType, value int, label string) {
	// What is too many here is left out: two values cannot have the same labels.
	if labels := c.bounds[name].values([]string{label}); labels[0] == label {
		ch <- prometheus.MustNewConstMetric(c.descs[name], kind, float64(value), label)
	}
}
