package workflow

import (
	"errors"
	"testing"
)

const scheduledTeam = `version: 1
name: t
agents: {a: {prompt: x}}
start: a
handoffs:
  - {from: "*", on: "*", to: succeeded}
schedules:
  nightly: {cron: sometimes, time_zone: Nowhere}
`

// TestCalendarIsForTheCaller: what a time is the caller says, with its place here.
func TestCalendarIsForTheCaller(t *testing.T) {
	t.Parallel()
	team, err := Parse("t.yaml", []byte(scheduledTeam), ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s := team.Schedules["nightly"]; s == nil || s.Cron != "sometimes" || s.TimeZone != "Nowhere" || !s.Enabled {
		t.Errorf("got %+v", s)
	}
	refuse := func(text string) error { return errors.New(text + " is no time") }
	_, err = Parse("t.yaml", []byte(scheduledTeam), ParseOptions{Cron: refuse, TimeZone: refuse})
	problems, _ := errors.AsType[Problems](err)
	if len(problems) != 2 || problems[0].Line != 8 || problems[0].Column != 19 || problems[1].Column != 41 ||
		problems[0].Message != `cron of schedule "nightly" is wrong: sometimes is no time` {
		t.Errorf("got %v", err)
	}
}
