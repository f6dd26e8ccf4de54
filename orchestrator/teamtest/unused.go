package teamtest

import (
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// checkUsed reports what the scenario says and nothing asked for: it reads as if
// it were tested, and is not.
func (s *simulation) checkUsed(r *Result) {
	used := s.player.usedEndings()
	s.unusedNodes(r, s.scenario.Nodes, used)
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range used {
		for i := range e.Calls {
			c := &e.Calls[i]
			if fate := s.people.fate(c); c.Answer != "" && fate != CallAsked {
				s.unused(r, c.Pos, fmt.Sprintf("the answer to the call of %s was never needed: nobody is asked, the call was %s", c.Tool, fate))
			}
		}
	}
	for _, resume := range s.scenario.OnPause[s.pauses:] {
		s.unused(r, resume.Pos, "this entry of on_pause was never used: it was not needed so often")
	}
}

func (s *simulation) unused(r *Result, pos workflow.Position, message string) {
	r.Failures = append(r.Failures, Failure{Pos: pos, Message: message})
}

// unusedNodes goes through the scripts of the nodes of one task.
func (s *simulation) unusedNodes(r *Result, nodes map[string]*NodeScript, used map[*Ending]int) {
	for name, script := range nodes {
		s.unusedScript(r, name, script, used)
		for _, b := range script.Branches {
			s.unusedScript(r, name+" in branch "+b.Key, b.Script, used)
		}
	}
}

// unusedScript reports each ending of one script that was never used; of one
// that was, the nodes of its sub-team are looked at.
func (s *simulation) unusedScript(r *Result, name string, script *NodeScript, used map[*Ending]int) {
	played := -1
	for i := range script.Endings {
		if used[&script.Endings[i]] > 0 {
			played = i
		}
	}
	for i := range script.Endings {
		e := &script.Endings[i]
		switch {
		case used[e] > 0:
			s.unusedNodes(r, e.Nodes, used)
		case script.Optional || e.Optional:
		default:
			why := name + " never ran"
			if played >= 0 {
				why = fmt.Sprintf("%s ran no more often", name)
			} else if len(script.Branches) > 0 {
				why = "every branch in which it ran has endings of its own"
			}
			s.unused(r, e.Pos, fmt.Sprintf("the ending %s of %s was never used: %s; remove it, or add  optional: true", e.name(), name, why))
		}
	}
}

// name is the ending as a failure calls it.
func (e *Ending) name() string {
	if e.Nodes != nil {
		return "with nodes"
	}
	text := e.Reason
	if line := firstLine(e.Output); line != "" && len(line) <= 60 && !strings.Contains(line, `"`) {
		text += ` "` + line + `"`
	}
	return text
}
