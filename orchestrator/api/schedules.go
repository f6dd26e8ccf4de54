package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// Schedules is the part of a Service that is about schedules and notifications.
type Schedules interface {
	// Schedules lists all schedules, each with so many fires to come.
	Schedules(ctx context.Context, upcoming int) ([]schedule.View, error)
	// Schedule is one of them. Errors: *schedule.UnknownError.
	Schedule(ctx context.Context, name string, upcoming int) (schedule.View, error)
	// Fires are the last fires of a schedule, the newest first. Errors: *schedule.UnknownError.
	Fires(ctx context.Context, name string, limit int) ([]schedule.FireView, error)
	// RunSchedule makes a schedule fire now; the same key is the same fire. Errors: *schedule.UnknownError.
	RunSchedule(ctx context.Context, name, key, by string) (schedule.FireView, error)
	// EnableSchedule lets a schedule fire, or no more. Errors: *schedule.UnknownError.
	EnableSchedule(ctx context.Context, name string, enabled bool) (schedule.View, error)

	// Notifications lists the last notifications, or those that were given up.
	Notifications(ctx context.Context, failed bool, limit int) ([]notify.View, error)
	// TestNotifications tells a target, or all, that this is a test. Errors: *notify.UnknownTargetError.
	TestNotifications(ctx context.Context, target string) ([]notify.View, error)
}

// ScheduleList is all schedules.
type ScheduleList struct {
	Schedules []schedule.View `json:"schedules" nullable:"false"`
}

// FireList is fires of a schedule, the newest first.
type FireList struct {
	Fires []schedule.FireView `json:"fires" nullable:"false"`
}

// NotificationList is notifications, the newest first.
type NotificationList struct {
	Notifications []notify.View `json:"notifications" nullable:"false"`
}

// TestNotificationsRequest says who gets a test.
type TestNotificationsRequest struct {
	Target string `json:"target,omitempty" maxLength:"200" doc:"The name of the target; all when it is left out"`
}

// SchedulePath names a schedule.
type SchedulePath struct {
	Schedule string `path:"schedule" maxLength:"200" doc:"The name of the schedule; one of a team file is TEAM.NAME"`
}

func (a *API) registerSchedules() {
	s := a.o.Service
	operation(a, huma.Operation{
		OperationID: "list-schedules", Method: http.MethodGet, Path: "/v1/schedules", Tags: []string{"schedules"}, Summary: "All schedules, with their next fires",
	}, func(ctx context.Context, in *struct {
		Next int `query:"next" minimum:"0" maximum:"100" default:"1" doc:"How many fires to come"`
	},
	) (*body[ScheduleList], error) {
		list, err := s.Schedules(ctx, in.Next)
		return reply(ScheduleList{Schedules: orEmpty(list)}, err)
	})
	operation(a, huma.Operation{
		OperationID: "get-schedule", Method: http.MethodGet, Path: "/v1/schedules/{schedule}", Tags: []string{"schedules"},
		Summary: "One schedule, with its next fires", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		SchedulePath
		Next int `query:"next" minimum:"0" maximum:"100" default:"5" doc:"How many fires to come"`
	},
	) (*body[schedule.View], error) {
		return reply(s.Schedule(ctx, in.Schedule, in.Next))
	})
	operation(a, huma.Operation{
		OperationID: "list-fires", Method: http.MethodGet, Path: "/v1/schedules/{schedule}/fires", Tags: []string{"schedules"},
		Summary: "What became of the last fires of a schedule", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		SchedulePath
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	},
	) (*body[FireList], error) {
		list, err := s.Fires(ctx, in.Schedule, in.Limit)
		return reply(FireList{Fires: orEmpty(list)}, err)
	})
	operation(a, huma.Operation{
		OperationID: "run-schedule", Method: http.MethodPost, Path: "/v1/schedules/{schedule}/run", Tags: []string{"schedules"},
		Summary: "Make a schedule fire now, whatever its overlap says and also when it is disabled", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		SchedulePath
		Key  string `header:"Idempotency-Key" maxLength:"200" doc:"The same key never fires twice"`
		Body ByRequest
	},
	) (*body[schedule.FireView], error) {
		return reply(s.RunSchedule(ctx, in.Schedule, in.Key, in.Body.By))
	})
	for verb, enabled := range map[string]bool{"enable": true, "disable": false} {
		operation(a, huma.Operation{
			OperationID: verb + "-schedule", Method: http.MethodPost, Path: "/v1/schedules/{schedule}/" + verb, Tags: []string{"schedules"},
			Summary: map[bool]string{true: "Let a schedule fire from now on", false: "Let a schedule fire no more"}[enabled], Errors: []int{http.StatusNotFound},
		}, func(ctx context.Context, in *SchedulePath) (*body[schedule.View], error) {
			return reply(s.EnableSchedule(ctx, in.Schedule, enabled))
		})
	}
	a.registerNotifications()
}

func (a *API) registerNotifications() {
	s := a.o.Service
	operation(a, huma.Operation{
		OperationID: "list-notifications", Method: http.MethodGet, Path: "/v1/notifications", Tags: []string{"notifications"},
		Summary: "The last notifications, with the attempts to deliver them",
	}, func(ctx context.Context, in *struct {
		Failed bool `query:"failed" doc:"Only those that were given up"`
		Limit  int  `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	},
	) (*body[NotificationList], error) {
		list, err := s.Notifications(ctx, in.Failed, in.Limit)
		return reply(NotificationList{Notifications: orEmpty(list)}, err)
	})
	operation(a, huma.Operation{
		OperationID: "test-notifications", Method: http.MethodPost, Path: "/v1/notifications/test", Tags: []string{"notifications"},
		Summary: "Tell targets, once and at once, that this is a test", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct{ Body TestNotificationsRequest }) (*body[NotificationList], error) {
		list, err := s.TestNotifications(ctx, in.Body.Target)
		return reply(NotificationList{Notifications: orEmpty(list)}, err)
	})
}
