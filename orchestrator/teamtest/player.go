package teamtest

import (
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// player hands out the endings of a scenario: to every node those of its script
// one after the other, and to every parallel branch from the first one on.
type player struct {
	mu sync.Mutex
	// scripts are those of the nodes of a task, by task.
	scripts map[string]map[string]*NodeScript
	used    map[usedKey]int
	// handed are how often endings were handed out.
	handed map[*Ending]int
	// playing are the endings of turns that have not ended.
	playing map[turnKey]*Ending
	// silent are the agents that report no outcome when they are reminded, either.
	silent map[usedKey]*Ending
}

type turnKey struct {
	task string
	turn int
}

type usedKey struct {
	script *NodeScript
	label  string
}

func newPlayer() *player {
	return &player{scripts: map[string]map[string]*NodeScript{}, used: map[usedKey]int{}, handed: map[*Ending]int{}, playing: map[turnKey]*Ending{}, silent: map[usedKey]*Ending{}}
}

// next returns how a turn ends. The same turn, asked again before its end was
// delivered, ends as it was to end. The error says that the scenario does not tell.
func (p *player) next(state workflow.State, turn workflow.Turn) (*Ending, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := turnKey{state.Task, turn.ID}
	if e := p.playing[key]; e != nil {
		return e, nil
	}
	keys, label := branchKeys(state, turn.Branch)
	script := p.scripts[state.Task][turn.Node]
	if script != nil {
		script = script.in(keys)
	}
	where := turn.Node
	if label != "" {
		where += " in branch " + label
	}
	if script == nil {
		return nil, fmt.Errorf("the scenario does not say how %s ends", where)
	}
	use := usedKey{script, label}
	if turn.Reminder && p.silent[use] != nil {
		e := p.silent[use]
		delete(p.silent, use)
		p.playing[key] = e
		return e, nil
	}
	e := script.ending(p.used[use])
	if e == nil {
		return nil, fmt.Errorf("the scenario has no more endings for %s: it has %d, and this is the next%s", where, len(script.Endings), what(turn))
	}
	p.used[use]++
	p.handed[e]++
	if e.Reason == string(workflow.ReasonNoOutcome) && !turn.Reminder {
		p.silent[use] = e
	}
	p.playing[key] = e
	return e, nil
}

// what says why a node is asked again, where that is not plain.
func what(turn workflow.Turn) string {
	switch {
	case turn.Reminder:
		return ", a reminder of the missing outcome"
	case turn.Attempt > 1:
		return fmt.Sprintf(", attempt %d at its turn", turn.Attempt)
	}
	return " visit"
}

// delivered says that the turn has ended as it was to end.
func (p *player) delivered(task string, turn int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.playing, turnKey{task, turn})
}

// usedEndings are the endings that were handed out.
func (p *player) usedEndings() map[*Ending]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.handed)
}

// script says how the nodes of a task end.
func (p *player) script(task string, nodes map[string]*NodeScript) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scripts[task] = nodes
}

// in is the script for a branch that is known by these keys.
func (s *NodeScript) in(keys []string) *NodeScript {
	for _, key := range keys {
		for _, b := range s.Branches {
			if b.Key == key {
				return b.Script
			}
		}
	}
	if len(s.Endings) == 0 {
		return nil
	}
	return s
}

// ending is the one with index n, nil when there is none.
func (s *NodeScript) ending(n int) *Ending {
	switch {
	case n < len(s.Endings):
	case len(s.Endings) == 0 || s.Repeat == RepeatNone:
		return nil
	case s.Repeat == RepeatLast:
		n = len(s.Endings) - 1
	default:
		n %= len(s.Endings)
	}
	return &s.Endings[n]
}

// branchKeys are the names by which a scenario can mean a branch, the nearest
// first, and its label.
func branchKeys(state workflow.State, branch int) (keys []string, label string) {
	for branch != 0 {
		found := false
		for _, b := range state.Branches {
			if b.ID != branch {
				continue
			}
			if label == "" {
				label = b.Label
			}
			keys = append(keys, b.Label)
			if b.Item != nil {
				keys = append(keys, itemText(b.Item), strconv.Itoa(b.Index))
			}
			branch, found = b.Parent, true
			break
		}
		if !found {
			break
		}
	}
	return keys, label
}
