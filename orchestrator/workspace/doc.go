// Package workspace makes the git worktrees in which the agents of tasks work.
//
// A worktree is a checkout of its own, on a branch of its own, that shares the
// objects and branches of a repository. The checkout, the index and the
// configuration of that repository are never touched, and its hooks are not run
// when a worktree is made: they would run without the person whose they are.
package workspace
