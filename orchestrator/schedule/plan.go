package schedule

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// onTime is how late a fire may be noticed without having been missed: more
	// than longestSleep, by which a clock that was set forward is noticed late.
	onTime = 2 * time.Minute
	// mostCounted bounds how many missed fires are counted.
	mostCounted = 1000
)

// Plan is what follows for one schedule from the time that has passed.
type Plan struct {
	// Fires are the rows to write, the oldest first.
	Fires []store.Fire
	// Considered is up to when nothing is left to be planned.
	Considered time.Time
}

// plan says what to do about the times after considered, up to now. It is pure.
// A clock that was set back makes now earlier than considered: then nothing is
// planned, and the times in between come again, as fires that are known by key.
func plan(spec Spec, times Timetable, anchor, considered, now time.Time) Plan {
	p := Plan{Considered: now}
	if !considered.Before(now) {
		return p
	}
	recent := now.Add(-onTime)
	if recent.Before(considered) {
		recent = considered
	}
	var current []time.Time
	for at := times.Next(anchor, recent); !at.After(now); at = times.Next(anchor, at) {
		current = append(current, at)
	}
	missed := missedTimes(times, anchor, considered, recent)
	p.addMissed(spec, missed, len(current) > 0)
	for _, at := range current {
		p.add(spec, at, "")
	}
	return p
}

// missedTimes are the last times after considered and up to until, the newest
// first: all, or the last mostCounted and one more.
func missedTimes(times Timetable, anchor, considered, until time.Time) []time.Time {
	var missed []time.Time
	for at := times.Prev(anchor, until.Add(time.Nanosecond)); at.After(considered) && len(missed) <= mostCounted; at = times.Prev(anchor, at) {
		missed = append(missed, at)
	}
	return missed
}

// addMissed does with what was missed as the schedule says. follows says that a
// fire which was not missed comes right after.
func (p *Plan) addMissed(spec Spec, missed []time.Time, follows bool) {
	if len(missed) == 0 {
		return
	}
	switch {
	case spec.Missed == workflow.MissedAll:
		kept := min(len(missed), orDefault(spec.MissedCap))
		if left := missed[kept:]; len(left) > 0 {
			p.leaveOut(spec, left, fmt.Sprintf("missed_cap is %d", orDefault(spec.MissedCap)))
		}
		for _, at := range slices.Backward(missed[:kept]) {
			p.add(spec, at, "missed, and carried out late")
		}
	case spec.Missed == workflow.MissedOnce && !follows:
		p.add(spec, missed[0], "stands for "+describe(missed))
	case spec.Missed == workflow.MissedOnce:
		p.leaveOut(spec, missed, "the next fire stands for it")
	default:
		p.leaveOut(spec, missed, "missed is "+workflow.MissedSkip)
	}
}

func (p *Plan) add(spec Spec, at time.Time, reason string) {
	p.Fires = append(p.Fires, fire(spec, at, store.FireDue, reason))
}

// leaveOut notes in one row that fires were missed and are not carried out.
func (p *Plan) leaveOut(spec Spec, missed []time.Time, why string) {
	p.Fires = append(p.Fires, fire(spec, missed[0], store.FireMissed, describe(missed)+": "+why))
}

func fire(spec Spec, at time.Time, state store.FireState, reason string) store.Fire {
	key := Key(spec.Name, at)
	return store.Fire{Key: key, Schedule: spec.Name, Scheduled: at.UTC(), Due: due(key, at, spec.Jitter).UTC(), State: state, Reason: reason}
}

// describe says how many fires were missed, and when.
func describe(missed []time.Time) string {
	newest, oldest := missed[0], missed[len(missed)-1]
	switch {
	case len(missed) == 1:
		return "1 missed fire"
	case len(missed) > mostCounted:
		return fmt.Sprintf("more than %d missed fires until %s", mostCounted, newest.Format(time.RFC3339))
	}
	return fmt.Sprintf("%d missed fires from %s to %s", len(missed), oldest.Format(time.RFC3339), newest.Format(time.RFC3339))
}

func orDefault(limit int) int {
	if limit <= 0 {
		return workflow.DefaultScheduleCap
	}
	return limit
}
