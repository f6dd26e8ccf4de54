package workflow

import "slices"

// Place is what is known of the workspace of a task. The directory is
// State.Workspace and the branch State.GitBranch. The zero Place is that of a
// task that works in the workspace of another one (State.WorkspaceOf), and of
// one that an older version has made.
type Place struct {
	Status PlaceStatus `json:"status,omitempty"`
	Kind   PlaceKind   `json:"kind,omitempty"`
	// Lock says who else may work in the directory meanwhile.
	Lock PlaceLock `json:"lock,omitempty"`
	// WaitsFor is the task that works in the directory and is waited for.
	WaitsFor string `json:"waits_for,omitempty"`
	// Detail is a sentence for people: what is waited for, or why a worktree was kept.
	Detail string `json:"detail,omitempty"`
	// Repo is the directory of the repository that a worktree belongs to, and
	// BaseCommit the commit that its branch began at.
	Repo       string `json:"repo,omitempty"`
	BaseCommit string `json:"base_commit,omitempty"`
	// Of is the task that a worktree was made for, where this one has taken it over.
	Of string `json:"of,omitempty"`
	// Commit is what the worktree had checked out when the task ended. Files,
	// Insertions and Deletions compare what it held, ignored files not counted,
	// with BaseCommit; a binary file counts as a file alone.
	Commit     string `json:"commit,omitempty"`
	Files      int    `json:"files,omitempty"`
	Insertions int    `json:"insertions,omitempty"`
	Deletions  int    `json:"deletions,omitempty"`
	// SavedRef names what no branch holds: see WorkspaceSaved.
	SavedRef string `json:"saved_ref,omitempty"`
	// Kept says why the worktree must not be removed; empty when it may be.
	Kept string `json:"kept,omitempty"`
	// Uncommitted says why the result could not be committed; empty when it was,
	// or when the team does not want that.
	Uncommitted string `json:"uncommitted,omitempty"`
	// Removed says that the worktree is gone; it can be restored.
	Removed bool `json:"removed,omitempty"`
	// Publish is how far the publishing of the result has come; empty where
	// there is none, or where it has not begun. PublishDetail says where the
	// result is, or what went wrong, and PublishAttempts counts.
	Publish         PublishStatus `json:"publish,omitempty"`
	PublishDetail   string        `json:"publish_detail,omitempty"`
	PublishAttempts int           `json:"publish_attempts,omitempty"`
}

// PlaceStatus says how far the workspace of a task has come.
type PlaceStatus string

// The lifecycle of a workspace. It is prepared while the task is queued, and
// finished when it has ended.
const (
	PlaceWanted    PlaceStatus = "wanted"
	PlaceWaiting   PlaceStatus = "waiting"   // for another task, or until it can be made
	PlacePreparing PlaceStatus = "preparing" // from here on there may be something to clean up
	PlaceReady     PlaceStatus = "ready"
	PlaceSaved     PlaceStatus = "saved" // the task has ended, and nothing is lost if the worktree goes
	PlaceFinished  PlaceStatus = "finished"
)

// PlaceKind says what a workspace is.
type PlaceKind string

// The kinds of workspaces.
const (
	PlaceOwn       PlaceKind = "own"       // an empty directory of the task's own
	PlaceDirectory PlaceKind = "directory" // one that somebody named
	PlaceWorktree  PlaceKind = "worktree"  // a git worktree of the task's own
)

// PlaceLock says which other tasks may work in a directory, or in one within
// or around it, at the same time. Tasks of one family (a task and those that it
// has started) never keep each other out.
type PlaceLock string

// The locks of a directory.
const (
	LockNone      PlaceLock = ""          // the team changes no files: all may
	LockShared    PlaceLock = "shared"    // the team says parallel_writers: others that say so may
	LockExclusive PlaceLock = "exclusive" // no other that changes files
)

// PublishStatus says how far publishing has come.
type PublishStatus string

// What can be said of publishing.
const (
	PublishRunning PublishStatus = "running" // it may have been done
	PublishDone    PublishStatus = "done"
	PublishFailed  PublishStatus = "failed"
)

// PlaceOpen reports whether the task has ended and its workspace is still to be
// finished: saved, published, removed.
func (s State) PlaceOpen() bool {
	return s.Status.Terminal() && slices.Contains([]PlaceStatus{PlacePreparing, PlaceReady, PlaceSaved}, s.Place.Status) && s.Place.Kind == PlaceWorktree
}

// The events about workspaces. Those from WorkspaceSaved on come after the end
// of a task; they are the only ones that do.
type (
	// WorkspaceWaits says that the workspace cannot be had now. The task stays
	// queued, and it is tried again when that may have changed.
	WorkspaceWaits struct {
		// Task is the one that works in the directory; empty for another reason.
		Task      string `json:"task,omitempty"`
		Directory string `json:"directory,omitempty"`
		// Detail says for what it waits, for people.
		Detail string `json:"detail"`
	}
	// WorkspacePreparing is committed before a worktree is made, so that after a
	// crash it is known where there may be one.
	WorkspacePreparing struct {
		Kind      PlaceKind `json:"kind"`
		Directory string    `json:"directory"`
		GitBranch string    `json:"git_branch,omitempty"`
		Repo      string    `json:"repo,omitempty"`
	}
	// WorkspaceReady says that the task can begin.
	WorkspaceReady struct {
		Kind       PlaceKind `json:"kind"`
		Directory  string    `json:"directory,omitempty"`
		Lock       PlaceLock `json:"lock,omitempty"`
		GitBranch  string    `json:"git_branch,omitempty"`
		Repo       string    `json:"repo,omitempty"`
		BaseCommit string    `json:"base_commit,omitempty"`
		// Setup is an excerpt of what the setup commands printed.
		Setup string `json:"setup,omitempty"`
	}
	// WorkspaceFailed ends a task whose workspace cannot be made, or whose setup failed.
	WorkspaceFailed struct {
		// Detail says what is wrong, and Fix what to do about it, for people.
		Detail string `json:"detail"`
		Fix    string `json:"fix,omitempty"`
		// Output is an excerpt of what the setup commands printed.
		Output string `json:"output,omitempty"`
		// Directory, GitBranch, Repo and BaseCommit are of a worktree that was made
		// before its setup failed; Directory is empty where there is none.
		Directory  string `json:"directory,omitempty"`
		GitBranch  string `json:"git_branch,omitempty"`
		Repo       string `json:"repo,omitempty"`
		BaseCommit string `json:"base_commit,omitempty"`
	}
	// WorkspaceRestored says that the worktree of a task that goes on is there again.
	WorkspaceRestored struct {
		Directory string `json:"directory"`
		// Ref is what it was restored from; empty for the branch.
		Ref string `json:"ref,omitempty"`
		// Note tells the agents what is not as they left it; it is put before the
		// messages that have not been sent. Empty where all is.
		Note string `json:"note,omitempty"`
	}
	// WorkspaceSaved says what the worktree of a task that has ended holds, and
	// that all of it is in the repository, unless Kept says why it cannot be.
	WorkspaceSaved struct {
		// Commit, Files, Insertions and Deletions are as in Place.
		Commit     string `json:"commit,omitempty"`
		Files      int    `json:"files,omitempty"`
		Insertions int    `json:"insertions,omitempty"`
		Deletions  int    `json:"deletions,omitempty"`
		// Ref is the name in the repository of what no branch holds: changes that
		// are not committed, files that git does not know, commits without a branch.
		Ref string `json:"ref,omitempty"`
		// Saved says what that is, for people; empty when there was nothing.
		Saved string `json:"saved,omitempty"`
		// Uncommitted is as in Place.
		Uncommitted string `json:"uncommitted,omitempty"`
		// Kept says what could not be saved, so that the worktree is not removed.
		Kept string `json:"kept,omitempty"`
	}
	// WorkspacePublishing is committed before the result is published: from here
	// on it may have been.
	WorkspacePublishing struct {
		// Attempt counts from 1.
		Attempt int `json:"attempt"`
		// How names what is done, for people: the command, or the file.
		How string `json:"how"`
	}
	// WorkspacePublished says how publishing ended.
	WorkspacePublished struct {
		Attempt int  `json:"attempt"`
		Done    bool `json:"done"`
		// Detail is where the result is, or what went wrong.
		Detail string `json:"detail"`
		// Output is an excerpt of what the command printed.
		Output string `json:"output,omitempty"`
	}
	// PublishRequested asks for another attempt after one that failed.
	PublishRequested struct {
		By string `json:"by,omitempty"`
	}
	// WorkspaceFinished says that nothing more is done with the workspace.
	WorkspaceFinished struct {
		Removed bool `json:"removed,omitempty"`
		// Detail says why it was kept, for people.
		Detail string `json:"detail,omitempty"`
	}
)

// EventType implements EventBody.
func (WorkspaceWaits) EventType() string { return "workspace_waits" }

// EventType implements EventBody.
func (WorkspacePreparing) EventType() string { return "workspace_preparing" }

// EventType implements EventBody.
func (WorkspaceReady) EventType() string { return "workspace_ready" }

// EventType implements EventBody.
func (WorkspaceFailed) EventType() string { return "workspace_failed" }

// EventType implements EventBody.
func (WorkspaceRestored) EventType() string { return "workspace_restored" }

// EventType implements EventBody.
func (WorkspaceSaved) EventType() string { return "workspace_saved" }

// EventType implements EventBody.
func (WorkspacePublishing) EventType() string { return "workspace_publishing" }

// EventType implements EventBody.
func (WorkspacePublished) EventType() string { return "workspace_published" }

// EventType implements EventBody.
func (PublishRequested) EventType() string { return "publish_requested" }

// EventType implements EventBody.
func (WorkspaceFinished) EventType() string { return "workspace_finished" }
