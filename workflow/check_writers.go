package workflow

import (
	"fmt"
	"slices"
	"strings"
)

// readingTools change no file of the workspace. The last ones are tools of
// memory, which is the agent's own, and those of the orchestrator.
func readingTools() []string {
	return append([]string{
		"Read", "Grep", "Glob", "LS", "Skill", "TaskOutput", "AskUserQuestion", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate",
		"memory", "report_outcome",
	}, controllerTools()...)
}

func reads(tool string) bool {
	return slices.Contains(readingTools(), tool) || strings.HasPrefix(tool, "memory_")
}

// writes says what lets an agent change files, for people; "" when nothing does.
func (a *Agent) writes() string {
	if a.Tools != nil && !slices.ContainsFunc(a.Tools, func(tool string) bool { return !reads(tool) }) {
		return ""
	}
	if a.PermissionMode == "unrestricted" || a.PermissionMode == "acceptEdits" {
		return "permission_mode: " + a.PermissionMode
	}
	if a.Approvals.Otherwise != "deny" && a.Approvals.Otherwise != "" {
		return "approvals.otherwise: " + a.Approvals.Otherwise
	}
	for _, list := range []struct {
		name     string
		patterns []string
	}{{"allow", a.Approvals.Allow}, {"ask", a.Approvals.Ask}} {
		for _, pattern := range list.patterns {
			tool, _, _ := strings.Cut(pattern, "(")
			if reads(tool) || a.Tools != nil && !strings.Contains(tool, "*") && !slices.Contains(a.Tools, tool) {
				continue
			}
			return fmt.Sprintf("approvals.%s: %s", list.name, pattern)
		}
	}
	return ""
}

// checkWriters reports agents that can change files at the same time.
func (p *parser) checkWriters(x *exploration) {
	if p.team.Workspace.ParallelWriters {
		return
	}
	reported := map[*Rule]bool{}
	for _, g := range x.groups {
		if reported[g.rule] {
			continue
		}
		writers := p.writersOf(x, g)
		h := p.handoffs[g.rule.Number-1]
		if g.rule.ForEach != nil && len(writers) > 0 && g.rule.MaxParallel != 1 && g.rule.MaxItems > 1 {
			reported[g.rule] = true
			p.problem(h.keys["for_each"], "run one after the other with  max_parallel: 1, take the permission away, or allow it:  workspace: {parallel_writers: true}",
				"several branches of handoff %d can change files at the same time: %s", g.rule.Number, p.permission(writers[0]))
		}
		if g.rule.ForEach == nil && len(writers) > 1 {
			reported[g.rule] = true
			p.problem(h.keys["to"], "run them one after the other, take the permission of one away, or allow it:  workspace: {parallel_writers: true}",
				"two branches of handoff %d can change files at the same time: %s, and %s", g.rule.Number, p.permission(writers[0]), p.permission(writers[1]))
		}
	}
}

// permission names a node and what lets it write.
func (p *parser) permission(node string) string {
	return fmt.Sprintf("%q has %s", node, p.team.writes(node))
}

// writes says what lets a node change the files of the task's workspace; "" when nothing
// does. A sub-team works in the workspace of its parent unless it has its own.
func (t *Team) writes(node string) string {
	if a := t.Agents[node]; a != nil {
		return a.writes()
	}
	sub := t.Teams[node]
	if sub == nil || sub.Team == nil || sub.Team.Workspace.own() {
		return ""
	}
	for _, inner := range sub.Team.NodeNames {
		if how := sub.Team.writes(inner); how != "" {
			return fmt.Sprintf("%q, which has %s", inner, how)
		}
	}
	return ""
}

// own reports whether a task of the team works in another place than its parent.
func (w Workspace) own() bool { return !w.Directory.IsZero() || w.Worktree != nil }

// writersOf names one node that can write for every branch of a group that has one.
func (p *parser) writersOf(x *exploration, g *branchGroup) []string {
	var out []string
	for _, b := range g.branches {
		for _, at := range x.places {
			if x.within(at.context, b) && p.team.writes(at.node) != "" {
				out = append(out, at.node)
				break
			}
		}
	}
	return out
}
