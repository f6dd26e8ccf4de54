package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/workspace"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The directories, in the data directory, of what tasks own: their workspaces,
// and the files that their results are published in.
const (
	workspacesName = "workspaces"
	resultsName    = "results"
)

// places gives a task the git worktree or the directory that its team names,
// else a directory of its own. It implements engine.Workspaces.
type places struct {
	dataDir string
	// local says that the App Server has the same files as we.
	local     bool
	worktrees workspace.Worktrees
}

func newPlaces(dataDir string, local bool) *places { return &places{dataDir: dataDir, local: local} }

// remote is the reason for which nothing can be made for an App Server elsewhere.
func remote(what string) error {
	return &engine.PlaceError{
		Detail: "the App Server runs on another machine, where this orchestrator cannot make " + what,
		Fix:    "name a directory that is there with  workspace: {directory: /path/on/that/machine}  or --workspace, or run the orchestrator on that machine",
	}
}

// Check implements engine.Workspaces.
func (p *places) Check(req engine.PlaceRequest) error {
	tree, isTree, err := p.tree(req)
	switch {
	case err != nil:
		return err
	case isTree && !p.local:
		return remote("git worktrees")
	case isTree:
		return workspace.Check(tree)
	}
	directory, err := p.directory(req)
	if err == nil && directory == "" && !p.local {
		return remote("directories")
	}
	return err
}

// tree is the worktree that a task is to have; ok is false where it has none.
func (p *places) tree(req engine.PlaceRequest) (o workspace.Options, ok bool, err error) {
	if req.Given != "" {
		return o, false, nil
	}
	wanted, ok, err := req.Team.WorkspaceWorktree(req.Task, req.Input)
	if err != nil || !ok {
		return o, ok, placeError(err)
	}
	// A relative repository is relative to the working directory.
	repo, err := filepath.Abs(wanted.Repo)
	if err == nil {
		err = inside(repo, wanted.Within, "workspace.worktree.repo")
	}
	if err != nil {
		return o, true, placeError(err)
	}
	o = workspace.Options{Base: wanted.Base, Tree: workspace.Tree{Task: req.Task, Repo: repo, Branch: wanted.Branch}}
	return o, true, nil
}

// own is the directory of a task's own, without symbolic links.
func (p *places) own(task string) (string, error) {
	all, err := filepath.Abs(filepath.Join(p.dataDir, workspacesName))
	if err == nil {
		err = os.MkdirAll(all, 0o700)
	}
	if err == nil {
		all, err = filepath.EvalSymlinks(all)
	}
	if err != nil {
		return "", fmt.Errorf("make the directory for workspaces: %w", err)
	}
	return filepath.Join(all, task), nil
}

// directory is the one that the submission or the team names; empty for none.
func (p *places) directory(req engine.PlaceRequest) (string, error) {
	directory, within := req.Given, ""
	if directory == "" {
		var err error
		if directory, within, err = req.Team.WorkspaceDirectory(req.Task, req.Input); err != nil || directory == "" {
			return "", placeError(err)
		}
	}
	if !p.local {
		if !filepath.IsAbs(directory) {
			return "", &engine.PlaceError{Detail: fmt.Sprintf("the App Server runs on another machine, and the workspace %s is not an absolute path there", directory), Fix: "write it out from / on"}
		}
		return directory, nil
	}
	resolved, err := ResolveWorkspace(directory)
	if err == nil {
		err = inside(resolved, within, "workspace.directory")
	}
	return resolved, err
}

// inside refuses a path that symbolic links lead out of a directory.
func inside(path, within, field string) error {
	if within == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // which is said by those who need it
	}
	if err != nil {
		return fmt.Errorf("find the directory %s: %w", path, err)
	}
	around, err := filepath.Abs(within)
	if err == nil {
		around, err = filepath.EvalSymlinks(around)
	}
	if err != nil {
		return fmt.Errorf("find the directory %s: %w", within, err)
	}
	if name, err := filepath.Rel(around, real); err != nil || !filepath.IsLocal(name) {
		return &engine.PlaceError{Detail: fmt.Sprintf("%s is %s, which leads out of %s to %s", field, path, within, real), Fix: "name another one"}
	}
	return nil
}

// Plan implements engine.Workspaces.
func (p *places) Plan(_ context.Context, req engine.PlaceRequest) (workflow.WorkspacePreparing, error) {
	o, ok, err := p.tree(req)
	if err != nil || !ok {
		return workflow.WorkspacePreparing{}, err
	}
	directory, err := p.own(req.Task)
	return workflow.WorkspacePreparing{Kind: workflow.PlaceWorktree, Directory: directory, GitBranch: o.Branch, Repo: o.Repo}, placeError(err)
}

// Make implements engine.Workspaces.
func (p *places) Make(ctx context.Context, req engine.PlaceRequest) (engine.Place, error) {
	if err := p.Check(req); err != nil {
		return engine.Place{}, placeError(err)
	}
	o, isTree, err := p.tree(req)
	if err != nil {
		return engine.Place{}, err
	}
	if isTree {
		if o.Dir, err = p.own(req.Task); err != nil {
			return engine.Place{}, placeError(err)
		}
		if req.From != nil && req.From.Place.Kind == workflow.PlaceWorktree && req.From.Place.Repo == o.Repo {
			return p.fork(ctx, req, o.Tree)
		}
		made, err := p.worktrees.Make(ctx, o)
		return engine.Place{Kind: workflow.PlaceWorktree, Directory: made.Dir, GitBranch: o.Branch, Repo: o.Repo, BaseCommit: made.Base}, placeError(err)
	}
	directory, err := p.directory(req)
	if err != nil {
		return engine.Place{}, placeError(err)
	}
	if directory != "" {
		return engine.Place{Kind: workflow.PlaceDirectory, Directory: directory, Lock: req.Team.Lock()}, nil
	}
	if directory, err = p.own(req.Task); err == nil {
		err = os.MkdirAll(directory, 0o700)
	}
	return engine.Place{Kind: workflow.PlaceOwn, Directory: directory}, placeError(err)
}

// fork makes a worktree that holds what that of another task holds, which stays
// as it is, or held when it was removed.
func (p *places) fork(ctx context.Context, req engine.PlaceRequest, tree workspace.Tree) (engine.Place, error) {
	from := req.From.Place
	saved := workspace.RestoreOptions{Ref: from.SavedRef, Head: from.Commit, Base: from.BaseCommit, Fork: true}
	if !from.Removed {
		now, err := p.worktrees.Save(ctx, treeOf(*req.From), saveOptions(req.Team))
		if err != nil {
			return engine.Place{}, placeError(err)
		}
		if now.Kept != "" {
			return engine.Place{}, &engine.PlaceError{
				Detail: fmt.Sprintf("the worktree of task %s cannot be copied: %s", req.From.Task, now.Kept), Fix: "name a directory with --workspace",
			}
		}
		saved.Ref, saved.Head = now.Ref, now.Head
	}
	err := p.worktrees.Restore(ctx, tree, saved)
	return engine.Place{Kind: workflow.PlaceWorktree, Directory: tree.Dir, GitBranch: tree.Branch, Repo: tree.Repo, BaseCommit: from.BaseCommit}, placeError(err)
}

// placeError makes of an error what the engine goes by.
func placeError(err error) error {
	if err == nil {
		return nil
	}
	if _, already := errors.AsType[*engine.PlaceError](err); already {
		return err
	}
	out := &engine.PlaceError{Detail: err.Error(), Err: err, Again: workspace.IsTransient(err), Gone: errors.Is(err, workspace.ErrGone)}
	if told, ok := errors.AsType[*workspace.Error](err); ok {
		out.Detail, out.Fix = told.Detail, told.Fix
	}
	return out
}

// treeOf is the worktree that a task has.
func treeOf(state workflow.State) workspace.Tree {
	return workspace.Tree{Task: cmp.Or(state.Place.Of, state.Task), Repo: state.Place.Repo, Branch: state.GitBranch, Dir: state.Workspace}
}

// Verify implements engine.Workspaces.
func (p *places) Verify(ctx context.Context, state workflow.State) error {
	switch {
	case state.Place.Kind == workflow.PlaceWorktree:
		return placeError(p.worktrees.Verify(ctx, treeOf(state)))
	case !p.local || state.Workspace == "":
		return nil // nobody here can see it
	}
	real, err := ResolveWorkspace(state.Workspace)
	if err == nil && real != state.Workspace {
		err = fmt.Errorf("the workspace %s is a link to %s now", state.Workspace, real)
	}
	return placeError(err)
}

// Restore implements engine.Workspaces.
func (p *places) Restore(ctx context.Context, _ *workflow.Team, state workflow.State) (workflow.WorkspaceRestored, error) {
	tree, place := treeOf(state), state.Place
	body := workflow.WorkspaceRestored{Directory: state.Workspace, Ref: place.SavedRef}
	from := workspace.RestoreOptions{Ref: place.SavedRef, Head: place.Commit, Base: place.BaseCommit}
	if !place.Removed {
		// Somebody else has removed it, while the task runs: what was committed is left.
		tips, err := p.worktrees.Tips(ctx, tree)
		if err != nil {
			return body, placeError(err)
		}
		from.Ref, from.Head, body.Ref = "", tips.Branch, ""
		body.Note = fmt.Sprintf("The directory that you worked in, %s, was removed by somebody, and has been made again from the branch %s. What had not been committed is lost; look at what is there before you go on.",
			state.Workspace, state.GitBranch)
	}
	err := p.worktrees.Restore(ctx, tree, from)
	if told, ok := errors.AsType[*engine.PlaceError](placeError(err)); ok && from.Ref != "" {
		told.Detail += "; the work of the task is saved under " + from.Ref + " in " + tree.Repo
		err = told
	}
	return body, placeError(err)
}
