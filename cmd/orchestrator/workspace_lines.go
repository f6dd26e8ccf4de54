package main

import (
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// placeFields are what is to be told of the worktree of a task that has ended,
// as names and values.
func placeFields(s workflow.State) [][2]string {
	p := s.Place
	if p.Kind != workflow.PlaceWorktree {
		return nil
	}
	var out [][2]string
	add := func(name, value string) {
		if value != "" {
			out = append(out, [2]string{name, value})
		}
	}
	if p.Commit != "" {
		add("result", fmt.Sprintf("%.12s · %s changed, +%d −%d", p.Commit, plural(p.Files, "file"), p.Insertions, p.Deletions))
	}
	add("not committed", p.Uncommitted)
	if p.SavedRef != "" {
		add("saved", p.SavedRef+" in "+p.Repo)
	}
	switch p.Publish {
	case workflow.PublishDone:
		add("published", p.PublishDetail)
	case workflow.PublishFailed:
		add("not published", p.PublishDetail+"; again with: orchestrator publish "+s.Task)
	case workflow.PublishRunning:
		add("publishing", p.PublishDetail)
	}
	switch {
	case p.Removed:
		add("worktree", "removed; it comes back when the task goes on")
	case p.Detail != "":
		add("worktree", p.Detail)
	}
	return out
}

// placeWait says what a task waits for that has no workspace yet; empty when
// there is nothing to say.
func placeWait(s workflow.State) string {
	if s.Status != workflow.TaskQueued {
		return ""
	}
	switch s.Place.Status {
	case workflow.PlaceWaiting:
		return printable(s.Place.Detail)
	case workflow.PlacePreparing:
		return "its worktree is being made"
	case workflow.PlaceWanted, workflow.PlaceReady, workflow.PlaceSaved, workflow.PlaceFinished:
	}
	return ""
}

// workspaceLine says where a task works, once that is known.
func workspaceLine(under string, s *story) string {
	if s.GitBranch != "" {
		return "  " + inTaskFirst(under) + "works on branch " + s.GitBranch + " · " + s.Workspace
	}
	return "  " + inTaskFirst(under) + "works in · " + s.Workspace
}

func inTaskFirst(under string) string {
	if under == "" {
		return ""
	}
	return under[:len(under)-1] + " "
}
