package workflow

import "time"

// Schedule is one entry of the team file's schedules: when a task of the team is
// submitted by itself. Nothing of it concerns a task that there is.
type Schedule struct {
	Name string
	// Cron and TimeZone are as the file says them; whether they mean anything is
	// what ParseOptions.Cron and TimeZone say. An empty zone is UTC.
	Cron, TimeZone string
	// Input is bound to the inputs of the team, whose texts stand for the values of
	// other types, as on a command line.
	Input map[string]any
	// Overlap is what happens while a task of the schedule has not ended, and
	// QueueCap how many fires may wait then.
	Overlap  string
	QueueCap int
	// Missed is what happens to fires when nothing runs, and MissedCap how many of them are carried out.
	Missed    string
	MissedCap int
	// Jitter is the longest delay of a fire.
	Jitter   time.Duration
	Enabled  bool
	Priority int
	Pos      Position
}

// What Schedule.Overlap can be.
const (
	OverlapSkip           = "skip"
	OverlapQueue          = "queue"
	OverlapAllow          = "allow"
	OverlapCancelPrevious = "cancel_previous"
)

// What Schedule.Missed can be.
const (
	MissedSkip = "skip"
	MissedOnce = "once"
	MissedAll  = "all"
)

// DefaultScheduleCap is Schedule.QueueCap and Schedule.MissedCap where the file does not say.
const DefaultScheduleCap = 10

// mostScheduleCap bounds both caps, and mostPriority a priority in either direction.
const (
	mostScheduleCap = 1000
	mostPriority    = 1000
)

// Overlaps lists what Schedule.Overlap can be, the default first.
func Overlaps() []string {
	return []string{OverlapSkip, OverlapQueue, OverlapAllow, OverlapCancelPrevious}
}

// MissedPolicies lists what Schedule.Missed can be, the default first.
func MissedPolicies() []string { return []string{MissedSkip, MissedOnce, MissedAll} }

func scheduleSection() *section {
	return &section{name: sectionSchedule, fields: []field{
		{name: "cron", typ: typeText, required: true, about: "when it fires: five fields (minute, hour, day of the month, month, day of the week), six with the seconds first, `@daily` and the like, or `@every 90m`"},
		{name: "time_zone", typ: typeText, fallback: "UTC", about: "the time zone of `cron`, as in `Europe/Berlin`"},
		{name: "input", typ: typeInputValues, about: "the inputs of its tasks; what is not given takes its default"},
		{name: "overlap", typ: typeChoice, choices: Overlaps(), fallback: OverlapSkip, about: "what a fire does while a task of the schedule has not ended: it is left out (`skip`), waits (`queue`), starts a task beside it (`allow`), or cancels it first (`cancel_previous`)"},
		{name: "queue_cap", typ: typeCount, least: 1, most: mostScheduleCap, fallback: "10", about: "how many fires wait with `overlap: queue`; further ones are left out"},
		{name: "missed", typ: typeChoice, choices: MissedPolicies(), fallback: MissedSkip, about: "what happens to fires at whose time the daemon did not run: nothing (`skip`), one task for all of them (`once`), or one for each (`all`)"},
		{name: "missed_cap", typ: typeCount, least: 1, most: mostScheduleCap, fallback: "10", about: "how many fires, the last ones, `missed: all` makes up for"},
		{name: "jitter", typ: typeDuration, about: "the longest delay of a fire; each has its own, which never changes; default: none"},
		{name: "enabled", typ: typeBool, fallback: "true", about: "whether it fires; `orchestrator schedules enable` and `disable` change it afterwards"},
		{name: "priority", typ: typeInteger, fallback: "0", least: -mostPriority, most: mostPriority, about: "that of its tasks: those with a higher one are claimed first"},
	}}
}
