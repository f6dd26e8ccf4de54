package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Spec is a schedule as a file says it.
type Spec struct {
	// Name is unique among all schedules. One of a team file is "TEAM.NAME".
	Name string `json:"name"`
	// Team is the name of the team whose tasks are submitted.
	Team string `json:"team"`
	// Cron and TimeZone are as in Compile.
	Cron     string `json:"cron"`
	TimeZone string `json:"time_zone,omitempty"`
	// Input is bound to the team's inputs when a task is submitted.
	Input map[string]any `json:"input,omitempty"`
	// Overlap is one of workflow.Overlaps; empty is the first.
	Overlap string `json:"overlap,omitempty"`
	// QueueCap is how many fires wait with workflow.OverlapQueue; 0 is workflow.DefaultScheduleCap.
	QueueCap int `json:"queue_cap,omitempty"`
	// Missed is one of workflow.MissedPolicies; empty is the first.
	Missed string `json:"missed,omitempty"`
	// MissedCap is how many of them workflow.MissedAll submits; 0 is workflow.DefaultScheduleCap.
	MissedCap int `json:"missed_cap,omitempty"`
	// Jitter is the most by which a fire is delayed. How much is computed from its key.
	Jitter time.Duration `json:"jitter,omitempty"`
	// Priority is that of the tasks.
	Priority int `json:"priority,omitempty"`
	// Disabled says that the file has enabled: false.
	Disabled bool `json:"disabled,omitempty"`
	// Source is the file that has the schedule, for people.
	Source string `json:"-"`
}

// Validate reports the first thing that is wrong with a schedule. Errors:
// ErrCron, ErrTimeZone, and others that say it in a sentence.
func (s Spec) Validate() error {
	if _, err := Compile(s.Cron, s.TimeZone); err != nil {
		return err
	}
	switch {
	case s.Name == "":
		return fmt.Errorf("a schedule needs a name")
	case s.Team == "":
		return fmt.Errorf("schedule %s: name the team whose tasks are submitted", s.Name)
	case s.Overlap != "" && !slices.Contains(workflow.Overlaps(), s.Overlap):
		return fmt.Errorf("schedule %s: overlap cannot be %q: write one of %v", s.Name, s.Overlap, workflow.Overlaps())
	case s.Missed != "" && !slices.Contains(workflow.MissedPolicies(), s.Missed):
		return fmt.Errorf("schedule %s: missed cannot be %q: write one of %v", s.Name, s.Missed, workflow.MissedPolicies())
	case s.QueueCap < 0 || s.MissedCap < 0 || s.Jitter < 0:
		return fmt.Errorf("schedule %s: queue_cap, missed_cap and jitter cannot be negative", s.Name)
	}
	return nil
}

// OfTeam are the schedules of a team file. They are named TEAM.NAME, which no
// schedule of a configuration can be.
func OfTeam(team *workflow.Team) []Spec {
	var specs []Spec
	for _, name := range slices.Sorted(maps.Keys(team.Schedules)) {
		s := team.Schedules[name]
		specs = append(specs, Spec{
			Name: team.Name + "." + name, Team: team.Name, Cron: s.Cron, TimeZone: s.TimeZone, Input: s.Input, Overlap: s.Overlap, QueueCap: s.QueueCap,
			Missed: s.Missed, MissedCap: s.MissedCap, Jitter: s.Jitter, Priority: s.Priority, Disabled: !s.Enabled, Source: team.File,
		})
	}
	return specs
}

// Key is the idempotency key of the task of a fire, and the key of the fire.
func Key(name string, scheduled time.Time) string {
	return "schedule/" + name + "/" + scheduled.UTC().Format(time.RFC3339Nano)
}

// due is when the fire with a key is carried out: later by a part of jitter that
// only the key decides, so that a restart computes the same.
func due(key string, scheduled time.Time, jitter time.Duration) time.Time {
	if jitter <= 0 {
		return scheduled
	}
	sum := sha256.Sum256([]byte(key))
	part := binary.BigEndian.Uint64(sum[:]) % uint64(jitter)
	return scheduled.Add(time.Duration(part)).Truncate(time.Microsecond)
}

// encode is the form in which the store keeps a schedule, and its hash.
func (s Spec) encode() (text []byte, hash string, err error) {
	if text, err = json.Marshal(s); err != nil {
		return nil, "", fmt.Errorf("encode schedule %s: %w", s.Name, err)
	}
	sum := sha256.Sum256(text)
	return text, hex.EncodeToString(sum[:]), nil
}
