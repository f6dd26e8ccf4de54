package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// control is where something is to be recorded for a task.
type control struct {
	backend
	app   *app
	place place
	json  bool
	task  workflow.State
	// children are the tasks that it has started, and theirs.
	children []workflow.State
}

// control opens a place, finds the task, and calls do.
func (a *app) control(ctx context.Context, f answerFlags, task string, do func(control) error) (err error) {
	b, err := a.backend(ctx, f.place)
	if err != nil {
		return err
	}
	defer a.closing(&err, b.Close)
	c := control{backend: b, app: a, place: f.place, json: f.json}
	if c.task, err = b.Task(ctx, task); err != nil {
		return err
	}
	if c.children, err = descendants(ctx, b, c.task.Task); err != nil {
		return err
	}
	return do(c)
}

// show is the command that tells the story of the task.
func (c control) show() string { return c.place.in("orchestrator show " + c.task.Task) }

// ended refuses what cannot be done to a task that has ended.
func (c control) ended() error {
	if !c.task.Status.Terminal() {
		return nil
	}
	return usage(fmt.Errorf("task %s has ended as %s\n  the story: %s", c.task.Task, c.task.Status, c.show()))
}

// asks lists what people can answer in the task and in those that belong to it.
func (c control) asks() []ask {
	f := family{c.task.Task: c.task}
	for _, child := range c.children {
		f[child.Task] = child
	}
	return f.asks()
}

// choose finds the open gate, or the use of a tool that is asked for, that is meant.
func (c control) choose(name string) (ask, error) {
	var open, others []ask
	for _, a := range c.asks() {
		if a.Kind == askText {
			others = append(others, a)
		} else {
			open = append(open, a)
		}
	}
	fits := open
	if name != "" {
		fits = slices.DeleteFunc(slices.Clone(open), func(a ask) bool { return !a.called(name) })
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		_, kinds := kindOf(fits)
		return ask{}, usage(fmt.Errorf("task %s has several open %s that fit: %s\n  name one:%s", c.task.Task, kinds, gateNames(fits), c.commandsFor(fits)))
	case len(open) > 0:
		kind, _ := kindOf(open)
		text := fmt.Sprintf("task %s has no open %s %q; open are: %s", c.task.Task, kind, name, gateNames(open))
		if near := suggest.Nearest(name, nodesOf(open)); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return ask{}, usage(errors.New(text))
	case len(others) > 0:
		return ask{}, usage(fmt.Errorf("task %s asks a question that is answered with a text:%s", c.task.Task, c.commandsFor(others)))
	}
	if err := c.answered(name); err != nil {
		return ask{}, err
	}
	if err := c.ended(); err != nil {
		return ask{}, err
	}
	return ask{}, usage(fmt.Errorf("task %s has no open gate: it is %s\n  what it does: %s", c.task.Task, c.task.Status, c.show()))
}

// called reports whether people may mean it by a name.
func (a ask) called(name string) bool {
	if name == a.Node || name == a.name() || name == a.Branch {
		return true
	}
	if a.Kind == askGate {
		return name == strconv.Itoa(a.Turn)
	}
	return name == strconv.Itoa(a.Question)
}

// kindOf says what some asks are, in the singular and the plural.
func kindOf(asks []ask) (one, several string) {
	kind := asks[0].Kind
	if slices.ContainsFunc(asks, func(a ask) bool { return a.Kind != kind }) {
		return "gate or approval", "gates and approvals"
	}
	return string(kind), string(kind) + "s"
}

// commandsFor are what to type for each of some asks, a line each.
func (c control) commandsFor(asks []ask) string {
	var out strings.Builder
	for _, a := range asks {
		for _, command := range a.commands(c.place) {
			out.WriteString("\n    " + command)
		}
	}
	return out.String()
}

// answered says politely that a gate has its answer already.
func (c control) answered(name string) error {
	for node, r := range c.task.Nodes {
		if r.Reason != workflow.ReasonApproved && r.Reason != workflow.ReasonRejected && r.Reason != workflow.ReasonExpired {
			continue
		}
		if name == node || name == "" && r.By != "" {
			by := ""
			if r.By != "" {
				by = " by " + printable(r.By)
			}
			return usage(fmt.Errorf("gate %s of task %s was answered already: %s%s\n  the story: %s", node, c.task.Task, r.Reason, by, c.show()))
		}
	}
	return nil
}

func gateNames(asks []ask) string {
	var names []string
	for _, a := range asks {
		text := a.name()
		if a.Task != asks[0].Task {
			text += " of task " + a.Task
		}
		if a.Question > 0 {
			names = append(names, fmt.Sprintf("%s (question %d: %s)", text, a.Question, oneLine(a.Tool+" "+a.Argument, 60)))
			continue
		}
		names = append(names, text+" (turn "+strconv.Itoa(a.Turn)+")")
	}
	return strings.Join(names, ", ")
}

func nodesOf(asks []ask) []string {
	var names []string
	for _, a := range asks {
		names = append(names, a.name())
	}
	return names
}

// done says what was recorded and how to go on.
func (c control) done(ctx context.Context, what string) error {
	if !c.json {
		fmt.Fprintln(c.app.stdout, what)
	}
	root := c.task
	for root.Parent.Waits() {
		parent, err := c.Task(ctx, root.Parent.Task)
		if err != nil {
			return err
		}
		root = parent
	}
	state, err := c.Task(ctx, root.Task)
	if err != nil {
		return err
	}
	switch {
	case c.json:
		writeJSONLine(c.app.stdout, listEntry(state))
	case state.Status.Terminal():
		fmt.Fprintf(c.app.stdout, "task %s has %s\n  the story: %s\n", state.Task, state.Status, c.place.in("orchestrator show "+state.Task))
	case state.Status == workflow.TaskPaused:
		fmt.Fprintf(c.app.stdout, "task %s is paused: %s\n  go on with: %s\n", state.Task, oneLine(pausedOf(state).Note, 400), pausedOf(state).command(c.place))
	default:
		fmt.Fprintln(c.app.stdout, "  "+goOn(c, c.place, state.Task))
	}
	return nil
}

// goOn says how a task goes on that has not ended.
func goOn(r reader, p place, task string) string {
	command := p.in("orchestrator run --resume " + task)
	if r.URL() != "" {
		return "the daemon goes on with it; watch it with: " + command
	}
	return "go on with: " + command
}

// tooLate turns the errors of an answer that nobody waits for any more into words.
func tooLate(err error, what string) error {
	if invalid, ok := errors.AsType[*workflow.AnswerError](err); ok {
		return usage(fmt.Errorf("%s: answer one of: %s", what, strings.Join(invalid.Choices, " | ")))
	}
	if errors.Is(err, workflow.ErrStale) || errors.Is(err, workflow.ErrTerminal) {
		return usage(fmt.Errorf("%s is not open any more", what))
	}
	return err
}

// byWhom is the name of the person, as --by says or as the system knows them.
func byWhom(flag string) string { return cmp.Or(flag, userName()) }
