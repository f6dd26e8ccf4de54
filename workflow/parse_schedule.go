package workflow

import (
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// scheduleNodes are the nodes of a schedule that later checks point at.
type scheduleNodes struct {
	schedule *Schedule
	key      *yaml.Node
	// inputs are the keys and the values of its inputs, by name.
	inputs, values map[string]*yaml.Node
}

// schedule reads one entry of schedules.
func (p *parser) schedule(key, value *yaml.Node) {
	s := &Schedule{Name: key.Value, Enabled: true, Overlap: OverlapSkip, Missed: MissedSkip, QueueCap: DefaultScheduleCap, MissedCap: DefaultScheduleCap, Pos: position(key)}
	nodes := scheduleNodes{schedule: s, key: key, inputs: map[string]*yaml.Node{}, values: map[string]*yaml.Node{}}
	what := fmt.Sprintf("schedule %q", s.Name)
	of := func(field string) string { return field + " of " + what }
	keys := p.object(value, what, fields{
		"cron":       p.checkedText(&s.Cron, of("cron"), p.options.Cron),
		"time_zone":  p.checkedText(&s.TimeZone, of("time_zone"), p.options.TimeZone),
		"input":      func(n *yaml.Node) { p.scheduleInput(n, of("input"), &nodes) },
		"overlap":    p.choiceInto(&s.Overlap, of("overlap"), Overlaps()),
		"queue_cap":  p.rangeInto(&s.QueueCap, of("queue_cap"), 1, mostScheduleCap),
		"missed":     p.choiceInto(&s.Missed, of("missed"), MissedPolicies()),
		"missed_cap": p.rangeInto(&s.MissedCap, of("missed_cap"), 1, mostScheduleCap),
		"jitter":     p.durationInto(&s.Jitter, of("jitter"), time.Second),
		"enabled":    p.boolInto(&s.Enabled, of("enabled")),
		"priority":   p.integerInto(&s.Priority, of("priority"), -mostPriority, mostPriority),
	})
	if keys["cron"] == nil {
		p.problem(key, `say when:  cron: "0 2 * * *"`, "%s has no cron", what)
	}
	p.team.Schedules[s.Name] = s
	p.schedules = append(p.schedules, nodes)
}

// checkedText reads a text that somebody else understands.
func (p *parser) checkedText(target *string, what string, check func(string) error) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, ok := p.text(n, what)
		if !ok {
			return
		}
		*target = text
		if check == nil {
			return
		}
		if err := check(text); err != nil {
			p.problem(n, "", "%s is wrong: %s", what, err)
		}
	}
}

// integerInto reads a whole number between two others.
func (p *parser) integerInto(target *int, what string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var value int
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(&value) != nil {
			p.problem(n, "", "%s must be a whole number, not %s", what, kindOf(n))
			return
		}
		if value < least || value > most {
			p.problem(n, fmt.Sprintf("write a number from %d to %d", least, most), "%s is out of range: %s", what, n.Value)
			return
		}
		*target = value
	}
}

// scheduleInput reads inputs. A number or a truth value is taken as it is written.
func (p *parser) scheduleInput(n *yaml.Node, what string, nodes *scheduleNodes) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.problem(n, `write  goal: "what to do"`, "%s is a mapping of inputs, not %s", what, kindOf(n))
		return
	}
	nodes.schedule.Input = map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if !p.key(key, nodes.inputs, what) {
			continue
		}
		if value.Kind != yaml.ScalarNode || isNull(value) {
			p.problem(value, p.quoteHint(value), "%s in %s must be a text, a number or a bool, not %s", key.Value, what, kindOf(value))
			continue
		}
		nodes.values[key.Value] = value
		nodes.schedule.Input[key.Value] = value.Value
	}
}

// checkSchedules checks the inputs of the schedules against those of the team.
func (p *parser) checkSchedules() {
	for _, s := range p.schedules {
		p.checkScheduleInput(s, p.team)
	}
}

func (p *parser) checkScheduleInput(s scheduleNodes, team *Team) {
	for _, name := range sortedKeys(s.inputs) {
		in, ok := team.Inputs[name]
		value := s.values[name]
		switch {
		case !ok:
			p.problem(s.inputs[name], suggestion(name, sortedKeys(team.Inputs)), "the team %q declares no input %q", team.Name, name)
		case value != nil:
			if _, err := convertInput(in.Type, value.Value); err != nil {
				p.problem(value, in.Description, "the input %q of schedule %q %s", name, s.schedule.Name, err)
			} else if in.Required && value.Value == "" {
				p.problem(value, in.Description, "the input %q of schedule %q is required and is empty", name, s.schedule.Name)
			}
		}
	}
	for _, name := range sortedKeys(team.Inputs) {
		if team.Inputs[name].Required && s.inputs[name] == nil {
			p.problem(s.key, fmt.Sprintf(`add  input: {%s: "…"}`, name), "the schedule %q does not give the input %q, which the team requires", s.schedule.Name, name)
		}
	}
}
