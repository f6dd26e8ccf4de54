package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const scheduled = `version: 1
schedules:
  nightly: {team: maintenance, cron: "0 2 * * *", time_zone: Europe/Berlin, input: {goal: Look, times: 3}, overlap: queue, queue_cap: 2,
    missed: all, missed_cap: 3, jitter: 5m, enabled: false, priority: -1}
  often: {team: t, cron: "@every 5m"}
notifications:
  - {name: chat, on: [approval, gate], webhook: {url: "https://example.org/hook", secret_file: hook.secret}, timeout: 5s}
  - {on: failed, command: [notify-send, "it failed"]}
`

func TestSchedulesAndNotifications(t *testing.T) {
	t.Parallel()
	c, err := Parse("/etc/o/orchestrator.yaml", []byte(scheduled), Options{})
	if err != nil {
		t.Fatal(err)
	}
	const file = "/etc/o/orchestrator.yaml"
	wantSchedules := []schedule.Spec{
		{Name: "nightly", Team: "maintenance", Cron: "0 2 * * *", TimeZone: "Europe/Berlin", Input: map[string]any{"goal": "Look", "times": "3"}, Overlap: "queue", QueueCap: 2,
			Missed: "all", MissedCap: 3, Jitter: 5 * time.Minute, Disabled: true, Priority: -1, Source: file},
		{Name: "often", Team: "t", Cron: "@every 5m", Source: file},
	}
	wantTargets := []notify.Target{
		{Name: "chat", On: []store.NoticeKind{"approval", "gate"}, Webhook: "https://example.org/hook", SecretFile: "/etc/o/hook.secret", Timeout: 5 * time.Second},
		{On: []store.NoticeKind{"failed"}, Command: []string{"notify-send", "it failed"}},
	}
	if d := cmp.Diff(wantSchedules, c.Schedules); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(wantTargets, c.Notifications); d != "" {
		t.Error(d)
	}
	if err := validate(compiledSchema(t), []byte(scheduled)); err != nil {
		t.Error(err)
	}
}

func TestSchedulesAndNotificationsWithMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ src, says string }{
		{"schedules: {a: {cron: '@daily'}}", `schedule "a" has no team`},
		{"schedules: {a: {team: t}}", `schedule "a" has no cron`},
		{"schedules: {a: {team: t, cron: '0 0 30 2 *'}}", "never happens"},
		{"schedules: {a: {team: t, cron: '@daily', time_zone: Berlin}}", "IANA"},
		{"schedules: {a.b: {team: t, cron: '@daily'}}", "cannot be the name"},
		{"schedules: {a: {team: t, cron: '@daily', overlap: never}}", "overlap cannot be"},
		{"schedules: {a: {team: t, cron: '@daily', priority: high}}", "priority must be"},
		{"schedules: {a: {team: t, cron: '@daily', missed_cap: 5000}}", "missed_cap is too large"},
		{"schedules: {a: {team: t, cron: '@daily', input: {x: [1]}}}", "the input x must be"},
		{"notifications: {on: gate}", "is a list"},
		{"notifications: [{on: gate}]", "a webhook or to a command"},
		{"notifications: [{on: [gates], command: [x]}]", `cannot be "gates"`},
		{"notifications: [{command: notify-send}]", "command is a list"},
		{"notifications: [{webhook: {url: 'https://example.org'}}]", "webhook has no secret_file"},
		{"notifications: [{webhook: {url: 'https://me:hidden@example.org', secret_file: x}}]", "must hold no user"},
		{"notifications: [{webhook: {url: 'example.org/hidden', secret_file: x}}]", "no http or https address"},
		{"notifications: [{command: [x], timeout: 1h}]", "timeout"},
	} {
		_, err := Parse("o.yaml", []byte("version: 1\n"+test.src+"\n"), Options{})
		problems, ok := errors.AsType[workflow.Problems](err)
		if !ok || len(problems) != 1 || !strings.Contains(problems[0].Message, test.says) || problems[0].Line != 2 {
			t.Errorf("%s: got %v", test.src, err)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: a secret is in %v", test.src, err)
		}
	}
}
