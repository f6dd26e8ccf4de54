package workflow

import (
	"cmp"
	"slices"
)

// prepare applies what happens to a workspace before the first turn, and where
// a task goes on.
func (d *decision) prepare(body EventBody) error {
	if b, ok := body.(WorkspaceRestored); ok {
		return d.restored(b)
	}
	p := &d.s.Place
	if d.s.Status != TaskQueued || !slices.Contains([]PlaceStatus{PlaceWanted, PlaceWaiting, PlacePreparing}, p.Status) {
		return d.refusePlace()
	}
	switch b := body.(type) {
	case WorkspaceWaits:
		// What may have to be cleaned up stays known.
		if p.Status != PlacePreparing {
			p.Status = PlaceWaiting
		}
		p.WaitsFor, p.Detail = b.Task, b.Detail
	case WorkspacePreparing:
		p.Status, p.Kind, p.Repo, p.WaitsFor, p.Detail = PlacePreparing, b.Kind, b.Repo, "", ""
		d.s.Workspace, d.s.GitBranch = b.Directory, b.GitBranch
	case WorkspaceReady:
		*p = Place{Status: PlaceReady, Kind: b.Kind, Lock: b.Lock, Repo: b.Repo, BaseCommit: b.BaseCommit}
		d.s.Workspace, d.s.GitBranch = b.Directory, b.GitBranch
	case WorkspaceFailed:
		p.WaitsFor, p.Detail = "", b.Detail
		if b.Directory != "" {
			*p = Place{Status: PlaceReady, Kind: PlaceWorktree, Repo: b.Repo, BaseCommit: b.BaseCommit, Detail: b.Detail}
			d.s.Workspace, d.s.GitBranch = b.Directory, b.GitBranch
		}
		explanation := "the workspace could not be prepared: " + b.Detail
		if b.Fix != "" {
			explanation += "; " + b.Fix
		}
		return d.finish(TaskFailed, Result{Output: b.Output, Explanation: explanation})
	}
	return nil
}

// restored takes up the worktree again that was removed at an earlier end.
func (d *decision) restored(b WorkspaceRestored) error {
	p := &d.s.Place
	if p.Kind != PlaceWorktree {
		return d.refusePlace()
	}
	p.Status, p.Removed, p.Kept, p.Detail = PlaceReady, false, "", ""
	d.s.Workspace = b.Directory
	if b.Note != "" {
		for i := range d.s.Turns {
			if t := &d.s.Turns[i]; t.Kind == KindAgent && t.State == TurnPending {
				t.Message = b.Note + "\n\n" + t.Message
			}
		}
	}
	return nil
}

// refusePlace says that the event cannot happen now.
func (d *decision) refusePlace() error {
	return &TransitionError{Event: d.event, Subject: "workspace", State: cmp.Or(string(d.s.Place.Status), "none")}
}

// finishesPlace reports whether an event may come after the end of a task.
func finishesPlace(body EventBody) bool {
	switch body.(type) {
	case WorkspaceSaved, WorkspacePublishing, WorkspacePublished, PublishRequested, WorkspaceFinished:
		return true
	}
	return false
}

// decideAfterEnd is Decide for a task that has ended. Nothing changes but its
// Place, and what its turns were seen to use.
func decideAfterEnd(team *Team, s State, e Event) (State, []Effect, error) {
	d := decision{team: team, at: e.At, s: s.clone(), event: e.Body.EventType()}
	if b, ok := e.Body.(TurnUsed); ok {
		d.used(b)
	} else if err := d.finishPlace(e.Body); err != nil {
		return s, nil, err
	}
	d.s.Version++
	d.s.Updated = e.At
	return d.s, d.effects, nil
}

// finishPlace applies what is done with a worktree when its task has ended.
func (d *decision) finishPlace(body EventBody) error {
	p := &d.s.Place
	if p.Kind != PlaceWorktree {
		return d.refusePlace()
	}
	switch b := body.(type) {
	case WorkspaceSaved: // again, where something was written since
		if !d.s.PlaceOpen() || p.Publish == PublishRunning {
			return d.refusePlace()
		}
		p.Status, p.Detail = PlaceSaved, ""
		p.Commit, p.Files, p.Insertions, p.Deletions = b.Commit, b.Files, b.Insertions, b.Deletions
		p.SavedRef, p.Kept, p.Uncommitted = b.Ref, b.Kept, b.Uncommitted
	case WorkspacePublishing:
		if p.Status != PlaceSaved || p.Publish != "" || b.Attempt != p.PublishAttempts+1 {
			return d.refusePlace()
		}
		p.Publish, p.PublishAttempts, p.PublishDetail = PublishRunning, b.Attempt, b.How
	case WorkspacePublished:
		if p.Status != PlaceSaved || p.Publish != PublishRunning || b.Attempt != p.PublishAttempts {
			return d.refusePlace()
		}
		p.Publish, p.PublishDetail = PublishFailed, b.Detail
		if b.Done {
			p.Publish = PublishDone
		}
	case PublishRequested:
		if p.Status != PlaceFinished || p.Publish != PublishFailed {
			return d.refusePlace()
		}
		p.Status, p.Publish = PlaceSaved, ""
	case WorkspaceFinished:
		if !d.s.PlaceOpen() || p.Publish == PublishRunning {
			return d.refusePlace()
		}
		p.Status, p.Removed, p.Detail = PlaceFinished, b.Removed, b.Detail
	}
	return nil
}
