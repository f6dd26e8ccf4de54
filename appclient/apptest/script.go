package apptest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Script says what the model of each agent answers, turn by turn. It is read from YAML by [ParseScript] or
// built in Go, and not changed once a server has it.
type Script struct {
	// Name stands in front of errors; the file name when parsed.
	Name string
	// Agents maps an agent's name, or the part of it after the last "/", to what it answers.
	Agents map[string]AgentScript
}

// Repeat says what happens when the turns of an agent's script are used up.
type Repeat string

// The ways to repeat.
const (
	// RepeatNone makes a further turn end with an error: "script has no more turns".
	RepeatNone Repeat = ""
	// RepeatLast plays the last turn again and again.
	RepeatLast Repeat = "last"
	// RepeatLoop begins again with the first turn.
	RepeatLoop Repeat = "loop"
)

// AgentScript is what one agent answers.
type AgentScript struct {
	// Turns are played in order, one per turn that is asked.
	Turns []Turn
	// Repeat says what follows the last one.
	Repeat Repeat
	// PerConversation counts turns in each conversation by itself instead of over all of the agent's
	// conversations, for scripts that serve many tasks at once.
	PerConversation bool
}

// Turn is the answer to one input: steps, played in order.
type Turn []Step

// Step is one thing the model, or the server around it, does. Exactly one field besides Expect and
// ChunkDelay is set; a step with only Expect is allowed.
//
// Strings in Say, Reason, tool inputs and outcomes are text/template templates over .cwd, .message, .agent,
// .visit (which turn of this agent it is, from 1) and .tool (the last tool result).
type Step struct {
	// Expect is checked before the step is played.
	Expect *Expect
	// Say streams text to the client in chunks of a word.
	Say string
	// ChunkDelay is the pause after each chunk of Say or Reason.
	ChunkDelay time.Duration
	// Reason streams reasoning.
	Reason string
	// Tool calls a tool of the server: Bash, Read, Write, Edit, or an external tool by its name.
	Tool *Call
	// Tools calls several in one step.
	Tools []Call
	// External calls a tool that a client registered; it is an error of the script when none did.
	External *Call
	// Outcome is short for an external call of report_outcome.
	Outcome *Outcome
	// Error makes the model request fail.
	Error *Failure
	// StopReason ends the turn with this stop reason.
	StopReason string
	// Delay is silence of the model.
	Delay time.Duration
	// Hang is silence for ever.
	Hang bool
	// Drop cuts every socket that is subscribed to the conversation.
	Drop bool
	// Duplicate sends the last frame again so many times, byte by byte the same.
	Duplicate int
	// UnknownFrame sends an event with these fields; its type defaults to "unknown_event".
	UnknownFrame map[string]any
	// Unsolicited makes the server run a turn that nobody asked for, after this one.
	Unsolicited *Unsolicited
	// Usage replaces the numbers of this model request.
	Usage *Usage
}

// Call is one tool call.
type Call struct {
	// Name is the tool's name.
	Name string
	// Input are the arguments.
	Input map[string]any
}

// Outcome is the input of the external tool report_outcome.
type Outcome struct {
	// Outcome is the name of the outcome, Summary its text, Data what else is reported.
	Outcome string
	Summary string
	Data    map[string]any
}

// Failure is a failing model request.
type Failure struct {
	// Status is the HTTP status of the model's provider; default 500.
	Status int
	// Message is its text; default "scripted failure STATUS".
	Message string
	// Times is how many requests fail before the script goes on; 0 means all, so that the server gives up.
	Times int
}

// Unsolicited is a turn that the server starts by itself, as it does when a background task ends.
type Unsolicited struct {
	// Notification is the text that starts it, Say the answer.
	Notification string
	Say          string
}

// Usage are the token counts of one model request.
type Usage struct {
	PromptTokens      int
	CompletionTokens  int
	CachedInputTokens int
	ReasoningTokens   int
}

// Expect is what a script demands of the message that it answers. A demand that is not met ends the turn
// with stop reason error and is reported by [Server.Err].
type Expect struct {
	// MessageContains must all be parts of the message.
	MessageContains []string
	// MessageLacks must not.
	MessageLacks []string
	// Mode must be the permission mode, when set.
	Mode string
}

// ErrNoMoreTurns is reported by [Server.Err] when an agent is asked for a turn its script does not have.
var ErrNoMoreTurns = errors.New("script has no more turns")

// find returns the script of an agent and the name under which it was found.
func (s *Script) find(agent string) (AgentScript, string, bool) {
	if s == nil {
		return AgentScript{}, "", false
	}
	if a, ok := s.Agents[agent]; ok {
		return a, agent, true
	}
	short := agent[strings.LastIndexByte(agent, '/')+1:]
	a, ok := s.Agents[short]
	return a, short, ok
}

// turn returns the n-th turn (from 0).
func (a AgentScript) turn(n int) (Turn, error) {
	switch {
	case n < len(a.Turns):
		return a.Turns[n], nil
	case len(a.Turns) == 0 || a.Repeat == RepeatNone:
		return nil, fmt.Errorf("%w: it has %d, this is number %d", ErrNoMoreTurns, len(a.Turns), n+1)
	case a.Repeat == RepeatLast:
		return a.Turns[len(a.Turns)-1], nil
	default:
		return a.Turns[n%len(a.Turns)], nil
	}
}

func (s *Script) validate() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.Agents)) {
		a := s.Agents[name]
		switch a.Repeat {
		case RepeatNone, RepeatLast, RepeatLoop:
		default:
			errs = append(errs, fmt.Errorf("script %s: agent %q: repeat %q is none of last, loop", s.Name, name, a.Repeat))
		}
		for t, turn := range a.Turns {
			for i, step := range turn {
				if err := step.validate(); err != nil {
					errs = append(errs, fmt.Errorf("script %s: agent %q, turn %d, step %d: %w", s.Name, name, t+1, i+1, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// actions names the actions of a step; exactly one is right.
func (s Step) actions() []string {
	var is []string
	add := func(name string, set bool) {
		if set {
			is = append(is, name)
		}
	}
	add("say", s.Say != "")
	add("reason", s.Reason != "")
	add("tool", s.Tool != nil)
	add("tools", len(s.Tools) > 0)
	add("external", s.External != nil)
	add("outcome", s.Outcome != nil)
	add("error", s.Error != nil)
	add("stop_reason", s.StopReason != "")
	add("delay", s.Delay != 0)
	add("hang", s.Hang)
	add("drop", s.Drop)
	add("duplicate", s.Duplicate != 0)
	add("unknown_frame", s.UnknownFrame != nil)
	add("unsolicited", s.Unsolicited != nil)
	add("usage", s.Usage != nil)
	return is
}

func (s Step) validate() error {
	is := s.actions()
	switch {
	case len(is) > 1:
		return fmt.Errorf("a step does one thing, this one has %s; write them as steps of their own", strings.Join(is, " and "))
	case len(is) == 0 && s.Expect == nil:
		return errors.New("a step that does nothing")
	case s.Delay < 0 || s.ChunkDelay < 0:
		return errors.New("a delay is not negative")
	case s.Duplicate < 0:
		return errors.New("duplicate counts copies and is not negative")
	}
	for _, c := range s.calls() {
		if c.Name == "" {
			return errors.New("a tool call needs a name")
		}
	}
	if s.Outcome != nil && s.Outcome.Outcome == "" {
		return errors.New("an outcome needs its name: outcome: {outcome: NAME}")
	}
	return s.checkTemplates()
}

// calls are the tool calls of a step, whichever way it is written.
func (s Step) calls() []Call {
	switch {
	case s.Tool != nil:
		return []Call{*s.Tool}
	case s.External != nil:
		return []Call{*s.External}
	case s.Outcome != nil:
		input := map[string]any{"outcome": s.Outcome.Outcome}
		if s.Outcome.Summary != "" {
			input["summary"] = s.Outcome.Summary
		}
		if s.Outcome.Data != nil {
			input["data"] = s.Outcome.Data
		}
		return []Call{{Name: "report_outcome", Input: input}}
	}
	return s.Tools
}
