package workspace

import "errors"

// What a person has to mend, as Error.Kind.
var (
	// ErrNoGit: the program git is not installed.
	ErrNoGit = errors.New("git is not installed")
	// ErrNotRepository: there is no git repository at Options.Repo, or git refuses to use it.
	ErrNotRepository = errors.New("not a git repository")
	// ErrEmptyRepository: the repository has no commit yet.
	ErrEmptyRepository = errors.New("the repository has no commit")
	// ErrUnknownBase: Options.Base names no commit.
	ErrUnknownBase = errors.New("the base is no commit")
	// ErrBranchName: Options.Branch cannot be the name of a branch, or not beside those that there are.
	ErrBranchName = errors.New("not a name for a branch")
	// ErrBranchExists: the branch is there already, with other commits.
	ErrBranchExists = errors.New("the branch exists")
	// ErrBranchInUse: the branch is checked out somewhere else.
	ErrBranchInUse = errors.New("the branch is checked out elsewhere")
	// ErrOccupied: Options.Dir holds something else.
	ErrOccupied = errors.New("the directory is not empty")
)

// Error says why a worktree cannot be made, for people.
type Error struct {
	// Kind is one of the errors above; errors.Is finds it.
	Kind error
	// Detail says what is wrong, in a sentence without full stop.
	Detail string
	// Fix says what to do about it.
	Fix string
}

// Error implements error.
func (e *Error) Error() string { return e.Detail + "; " + e.Fix }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }
