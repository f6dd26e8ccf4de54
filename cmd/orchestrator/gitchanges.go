package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// gitTimeout bounds each git command; the summary is a convenience.
const gitTimeout = 10 * time.Second

// emptyTree is git's name of a tree with nothing in it.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// gitBase is the commit that a task began with: the last one before it was
// submitted. It is empty where the directory is in no git repository.
func gitBase(ctx context.Context, dir string, submitted time.Time) string {
	if strings.TrimSpace(git(ctx, dir, "rev-parse", "--is-inside-work-tree")) != "true" {
		return ""
	}
	base := git(ctx, dir, "rev-list", "-1", "--before="+strconv.FormatInt(submitted.Unix(), 10), "HEAD")
	if base = strings.TrimSpace(base); base != "" {
		return base
	}
	return emptyTree
}

// gitChanges describes what changed in a repository since base, work that is
// not committed included. It is empty where there is nothing to compare.
func gitChanges(ctx context.Context, dir, base string) string {
	if base == "" {
		return ""
	}
	changed, added, removed := 0, 0, 0
	for line := range strings.Lines(git(ctx, dir, "diff", "--numstat", "--no-renames", base)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		changed++
		added, removed = added+number(fields[0]), removed+number(fields[1])
	}
	untracked := 0
	for range strings.Lines(git(ctx, dir, "ls-files", "--others", "--exclude-standard")) {
		untracked++
	}
	branch := strings.TrimSpace(git(ctx, dir, "rev-parse", "--abbrev-ref", "HEAD"))
	where := "branch " + branch
	if branch == "HEAD" || branch == "" {
		where = "detached HEAD"
	}
	if changed == 0 && untracked == 0 {
		return where + ": no changes"
	}
	text := fmt.Sprintf("%s: %s changed, +%d −%d", where, plural(changed, "file"), added, removed)
	if untracked > 0 {
		text += fmt.Sprintf(", %s not yet tracked", plural(untracked, "new file"))
	}
	return text
}

// number reads a count of git's numstat; binary files have "-".
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// git runs a git command that only reads and returns its output, or nothing
// when there is no git, no repository, or no answer in time.
func git(ctx context.Context, dir string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	// Optional locks would make reading fail beside an agent that uses git.
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-C", dir}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second
	if cmd.Run() != nil {
		return ""
	}
	return out.String()
}
