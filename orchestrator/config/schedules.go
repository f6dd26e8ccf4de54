package config

import (
	"fmt"
	"regexp"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// scheduleName is that of team files: it has no dot, so that it is none of theirs.
const scheduleName = `^[a-z][a-z0-9_-]{0,63}$`

var scheduleNames = regexp.MustCompile(scheduleName)

// mostCap and mostPriority bound schedules, as in team files.
const (
	mostCap      = 1000
	mostPriority = 1000
)

// schedulesField reads schedules by their names.
func schedulesField(c *Config) field {
	byName := object{
		"type": []string{"object", "null"}, "additionalProperties": ref(section{name: "schedule"}),
		"propertyNames": object{"pattern": scheduleName},
	}
	return field{name: "schedules", typ: "names with fields", about: "when tasks are submitted by themselves", schema: byName, read: func(p *parser, n *yaml.Node) {
		p.Entries(n, "schedules", func(key, value *yaml.Node) {
			if !scheduleNames.MatchString(key.Value) {
				p.Problem(key, "names are lower-case letters, digits, - and _, and begin with a letter", "%q cannot be the name of a schedule", key.Value)
			}
			s := schedule.Spec{Name: key.Value, Source: p.config.File}
			scheduleSection(&s).in(p, value, fmt.Sprintf("schedule %q", key.Value))
			c.Schedules = append(c.Schedules, s)
		})
	}}
}

func scheduleSection(s *schedule.Spec) section {
	return section{name: "schedule", title: "An entry of `schedules`", about: "A team file can have schedules of its own, with the same fields but `team`. See [schedules.md](schedules.md).", fields: []field{
		text("team", "the name of the team whose tasks are submitted", &s.Team).isRequired(),
		checked("cron", "when it fires: five fields (minute, hour, day of the month, month, day of the week), six with the seconds first, `@daily` and the like, or `@every 90m`", &s.Cron, schedule.CheckCron).isRequired(),
		checked("time_zone", "the time zone of `cron`, as in `Europe/Berlin`; default: `UTC`", &s.TimeZone, schedule.CheckTimeZone),
		{name: "input", typ: "names with values", about: "the inputs of its tasks", schema: object{"type": []string{"object", "null"}, "additionalProperties": object{"type": []string{"string", "number", "boolean"}}}, read: func(p *parser, n *yaml.Node) {
			s.Input = map[string]any{}
			p.Entries(n, "input", func(key, value *yaml.Node) {
				if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
					p.Problem(value, "", "the input %s must be a text, a number or a bool", key.Value)
				}
				s.Input[key.Value] = value.Value
			})
		}},
		choice("overlap", "what a fire does while a task of the schedule has not ended; default: `skip`", workflow.Overlaps(), &s.Overlap),
		atMost("queue_cap", "how many fires wait with `overlap: queue`; further ones are left out; default: `10`", mostCap, &s.QueueCap),
		choice("missed", "what happens to fires at whose time the daemon did not run; default: `skip`", workflow.MissedPolicies(), &s.Missed),
		atMost("missed_cap", "how many fires, the last ones, `missed: all` makes up for; default: `10`", mostCap, &s.MissedCap),
		duration("jitter", "the longest delay of a fire; each has its own, which never changes; default: none", time.Second, &s.Jitter),
		{name: "enabled", typ: "bool", about: "whether it fires; `orchestrator schedules enable` and `disable` change it afterwards; default: `true`", schema: object{"type": "boolean"}, read: func(p *parser, n *yaml.Node) {
			s.Disabled = !p.Bool(n, "enabled")
		}},
		{name: "priority", typ: "number", about: "that of its tasks: those with a higher one are claimed first; default: `0`", schema: object{"type": "integer", "minimum": -mostPriority, "maximum": mostPriority}, read: func(p *parser, n *yaml.Node) {
			if n.Tag != "!!int" || n.Decode(&s.Priority) != nil || s.Priority < -mostPriority || s.Priority > mostPriority {
				p.Problem(n, fmt.Sprintf("write a whole number from %d to %d", -mostPriority, mostPriority), "priority must be a whole number")
			}
		}},
	}}
}

// notificationsField reads who is told what.
func notificationsField(c *Config) field {
	list := object{"type": "array", "items": ref(section{name: "notification"})}
	return field{name: "notifications", typ: "list", about: "who is told that people are wanted", schema: list, read: func(p *parser, n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			p.Problem(n, "write, for each:  - {on: [gate], command: [PROGRAM]}", "notifications is a list")
			return
		}
		for _, item := range p.List(n) {
			var t notify.Target
			keys := notificationSection(&t).in(p, item, "a notification")
			if item.Kind != yaml.MappingNode {
				continue
			}
			switch {
			case (keys["webhook"] == nil) == (keys["command"] == nil):
				p.Problem(item, "write one of  webhook: {url: …, secret_file: …}  and  command: [PROGRAM]", "a notification goes to a webhook or to a command")
			case p.broken(item):
			default:
				if err := t.Validate(); err != nil {
					p.Problem(item, "", "%v", err)
				}
			}
			c.Notifications = append(c.Notifications, t)
		}
	}}
}

// broken says whether something was wrong with a node already, or with one in it.
func (p *parser) broken(n *yaml.Node) bool {
	problems, _ := p.Err().(workflow.Problems) //nolint:errorlint // it is never wrapped
	for _, problem := range problems {
		if problem.Line >= n.Line && problem.Line <= lastLine(n) {
			return true
		}
	}
	return false
}

func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, inner := range n.Content {
		last = max(last, lastLine(inner))
	}
	return last
}

func notificationSection(t *notify.Target) section {
	kinds := make([]string, len(store.NoticeKinds()))
	for i, kind := range store.NoticeKinds() {
		kinds[i] = string(kind)
	}
	return section{name: "notification", title: "An entry of `notifications`", about: "One of `webhook` and `command` is required. See [notifications.md](notifications.md).", fields: []field{
		text("name", "what it is called in `orchestrator notifications`; default: made of what it is", &t.Name),
		{name: "on", typ: "text or list", about: "what it is told of: `approval` (also a question), `gate`, `failed` (a task), `paused` (a task, by a limit) and `batch_done`; default: all", schema: object{"anyOf": []object{{"enum": kinds}, {"type": "array", "items": object{"enum": kinds}}}}, read: func(p *parser, n *yaml.Node) {
			for _, item := range p.List(n) {
				if kind, ok := p.Choice(item, "an entry of on", kinds); ok {
					t.On = append(t.On, store.NoticeKind(kind))
				}
			}
		}},
		fields("webhook", "an address that gets a signed POST", webhookSection(t), func(p *parser, n *yaml.Node) {
			p.holdsSecrets(n) // many addresses of webhooks are secret
			webhookSection(t).in(p, n, "webhook")
		}),
		{name: "command", typ: "list", about: "a program and its arguments, which gets JSON on its standard input", schema: object{"type": "array", "minItems": 1, "items": object{"type": "string"}}, read: func(p *parser, n *yaml.Node) {
			if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
				p.Problem(n, `write a list, as in  command: [notify-send, "orchestrator"]`, "command is a list of a program and its arguments")
				return
			}
			for _, item := range p.List(n) {
				argument, _ := p.Text(item, "an entry of command")
				t.Command = append(t.Command, argument)
			}
		}},
		duration("timeout", "how long one attempt may take, at most `10m`; default: `15s` for a webhook, `1m` for a command", time.Second, &t.Timeout),
	}}
}

func webhookSection(t *notify.Target) section {
	return section{name: "webhook", title: "`webhook`", fields: []field{
		{name: "url", typ: "text", required: true, about: "the `http` or `https` address; redirects are not followed", schema: object{"type": "string", "pattern": `^https?://`}, read: func(p *parser, n *yaml.Node) {
			if address, ok := p.Text(n, "url"); ok {
				t.Webhook = address
				if err := (notify.Target{Webhook: address, SecretFile: "-"}).Validate(); err != nil {
					p.Problem(n, "", "%v", err)
				}
			}
		}},
		path("secret_file", "the file with the key of the signature: `whsec_` and base64, or any text", aFile, &t.SecretFile).isRequired(),
	}}
}

// checked is a text that somebody else understands.
func checked(name, about string, target *string, check func(string) error) field {
	return field{name: name, typ: "text", about: about, schema: nonEmpty(), read: func(p *parser, n *yaml.Node) {
		value, ok := p.Text(n, name)
		if !ok {
			return
		}
		*target = value
		if err := check(value); err != nil {
			p.Problem(n, "", "%s is wrong: %v", name, err)
		}
	}}
}

// atMost is count with a bound.
func atMost(name, about string, most int, target *int) field {
	f := count(name, about, target)
	f.schema["maximum"] = most
	read := f.read
	f.read = func(p *parser, n *yaml.Node) {
		if read(p, n); *target > most {
			p.Problem(n, fmt.Sprintf("write at most %d", most), "%s is too large", name)
		}
	}
	return f
}
