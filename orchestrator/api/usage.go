package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// UsageSource is where usage is summed up. A batch and a task are named as in
// Service; one that was removed by its whole ID.
type UsageSource interface {
	// Usage sums up what attempts at turns have used. Errors: store.ErrUsageBy,
	// store.ErrBatchNotFound, store.ErrAmbiguous.
	Usage(ctx context.Context, f store.UsageFilter) ([]store.UsageSum, error)
}

// UsageReport says what turns have used.
type UsageReport struct {
	By store.UsageBy `json:"by"`
	// TimeZone is where days begin and end.
	TimeZone string     `json:"time_zone"`
	Since    time.Time  `json:"since,omitzero"`
	Until    time.Time  `json:"until,omitzero"`
	Rows     []UsageRow `json:"rows"`
	// More groups than Rows were left out. Total counts them too.
	More  int      `json:"more,omitempty"`
	Total UsageRow `json:"total"`
}

// UsageRow is what a group of turns has used.
type UsageRow struct {
	// Key names the group; empty for turns that have none.
	Key string `json:"key"`
	// Turns counts attempts of agents that were sent to an App Server, however they ended.
	Turns int64          `json:"turns"`
	Usage workflow.Usage `json:"usage"`
	// Cost is in millionths of a US dollar, without that of Unpriced turns, which nobody knows.
	Cost     int64 `json:"cost"`
	Unpriced int64 `json:"unpriced,omitempty"`
	// Reconciled turns ended unseen: they may have used more.
	Reconciled int64 `json:"reconciled,omitempty"`
}

// ReportUsage sums up usage, and leaves out what is beyond limit rows; 0 is none.
func ReportUsage(ctx context.Context, s UsageSource, f store.UsageFilter, limit int) (UsageReport, error) {
	sums, err := s.Usage(ctx, f)
	if err != nil {
		return UsageReport{}, err
	}
	zone := f.Location
	if zone == nil {
		zone = time.UTC
	}
	report := UsageReport{By: f.By, TimeZone: zone.String(), Since: f.Since, Until: f.Until, Rows: []UsageRow{}}
	var total store.UsageSum
	for i, sum := range sums {
		total.Add(sum)
		if limit > 0 && i >= limit {
			report.More++
			continue
		}
		report.Rows = append(report.Rows, usageRow(sum))
	}
	report.Total = usageRow(total)
	return report, nil
}

func usageRow(u store.UsageSum) UsageRow {
	return UsageRow{Key: u.Key, Turns: u.Turns, Usage: u.Usage, Cost: u.Cost, Unpriced: u.Unpriced, Reconciled: u.Reconciled}
}

// ParseTimeZone reads the name of a time zone, as Europe/Berlin, or a distance
// from UTC, as +02:00.
func ParseTimeZone(name string) (*time.Location, error) {
	if offset, err := time.Parse("-07:00", name); err == nil {
		_, seconds := offset.Zone()
		return time.FixedZone(name, seconds), nil
	}
	if name == "Local" || name == "" {
		return nil, fmt.Errorf("%q is no time zone: write a name as Europe/Berlin, or a distance from UTC as +02:00", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no time zone: write a name as Europe/Berlin, or a distance from UTC as +02:00", name)
	}
	return zone, nil
}

func (a *API) registerUsage() {
	operation(a, huma.Operation{
		OperationID: "get-usage", Method: http.MethodGet, Path: "/v1/usage", Tags: []string{"usage"},
		Summary: "What turns have used: tokens, and money", Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		Description: "Every attempt at a turn of an agent counts once, with the figures of the App Server, also where its task was removed since. Days are listed in their order, all others by tokens, the most first.",
	}, func(ctx context.Context, in *struct {
		By       string    `query:"by" enum:"team,agent,model,server,day,task,batch,turn" default:"team" doc:"What is summed up by; turn wants task"`
		Since    time.Time `query:"since" doc:"Only turns that ended then or later"`
		Until    time.Time `query:"until" doc:"Only turns that ended before"`
		TimeZone string    `query:"time_zone" maxLength:"100" default:"UTC" doc:"Where days begin and end: a name as Europe/Berlin, or a distance from UTC as +02:00"`
		Team     string    `query:"team" doc:"Only turns of this team"`
		Batch    string    `query:"batch" doc:"Only turns of this batch"`
		Task     string    `query:"task" doc:"Only turns of this task and its sub-teams"`
		Limit    int       `query:"limit" minimum:"1" maximum:"100000" default:"1000"`
	},
	) (*body[UsageReport], error) {
		zone, err := ParseTimeZone(in.TimeZone)
		if err != nil {
			return nil, &requestError{err.Error()}
		}
		return reply(ReportUsage(ctx, a.o.Service, store.UsageFilter{
			By: store.UsageBy(in.By), Since: in.Since, Until: in.Until, Location: zone, Team: in.Team, Batch: in.Batch, Task: in.Task,
		}, in.Limit))
	})
}
