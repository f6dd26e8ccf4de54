// Package metrics counts what the daemon does, for Prometheus. It is an observer
// of the engine: it asks nobody anything while tasks run, and what it is asked at a
// scrape it knows, or reads from small tables.
//
// The names of teams, agents and models come from files, so that the series of a
// metric are bounded: see MaxSeries.
package metrics
