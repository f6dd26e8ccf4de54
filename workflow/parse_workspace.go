package workflow

import (
	"regexp"
	"time"

	"gopkg.in/yaml.v3"
)

// authorSyntax is what git takes as the author of a commit.
const authorSyntax = `^[^<>\r\n]*[^<>\s] <[^<>\s]+>$`

var author = regexp.MustCompile(authorSyntax)

func cleanups() []string { return []string{CleanupAlways, CleanupOnSuccess, CleanupNever} }

// workspace reads where the tools run.
func (p *parser) workspace(n *yaml.Node) {
	w := &p.team.Workspace
	w.SetupTimeout, w.Cleanup = DefaultSetupTimeout, CleanupNever
	saveIgnored := true
	keys := p.object(n, "workspace", fields{
		"directory":        p.placeTemplate("workspace.directory", &w.Directory),
		"worktree":         p.worktree,
		"parallel_writers": p.boolInto(&w.ParallelWriters, "workspace.parallel_writers"),
		"setup":            p.textsInto(&w.Setup, "workspace.setup"),
		"setup_timeout":    p.durationInto(&w.SetupTimeout, "workspace.setup_timeout", time.Second),
		"commit":           p.resultCommit,
		"publish":          p.publish,
		"cleanup":          p.choiceInto(&w.Cleanup, "workspace.cleanup", cleanups()),
		"save_ignored":     p.boolInto(&saveIgnored, "workspace.save_ignored"),
	})
	w.DropIgnored = !saveIgnored
	if w.Worktree != nil && keys["directory"] != nil {
		p.problem(keys["worktree"], "keep one of them", "workspace has both directory and worktree")
	}
	if keys["setup"] != nil && keys["directory"] != nil {
		p.problem(keys["setup"], "leave it out, or let the task have a worktree of its own", "workspace has setup beside directory, which others use, too")
	}
	if keys["setup_timeout"] != nil && keys["setup"] == nil {
		p.problem(keys["setup_timeout"], "leave it out", "workspace has setup_timeout and no setup")
	}
	if keys["cleanup"] != nil && keys["directory"] != nil {
		p.problem(keys["cleanup"], "leave it out", "workspace has cleanup beside directory, which is not the orchestrator's to remove")
	}
	for _, name := range []string{"commit", "publish", "save_ignored"} {
		if keys[name] != nil && keys["worktree"] == nil {
			p.problem(keys[name], `add the repository:  worktree: {repo: "{{ .input.repo }}"}`, "workspace has %s and no worktree", name)
		}
	}
}

// placeTemplate reads a template over what is known of a task before it begins.
func (p *parser) placeTemplate(what string, target *Template) func(*yaml.Node) {
	return func(n *yaml.Node) { p.compileLater(n, what, into(target), "input", "task.id", "task.team") }
}

func (p *parser) worktree(n *yaml.Node) {
	w := &Worktree{}
	p.team.Workspace.Worktree = w
	keys := p.object(n, "workspace.worktree", fields{
		"repo":   p.placeTemplate("workspace.worktree.repo", &w.Repo),
		"base":   p.placeTemplate("workspace.worktree.base", &w.Base),
		"branch": p.placeTemplate("workspace.worktree.branch", &w.Branch),
	})
	if keys["repo"] == nil {
		p.problem(n, `name the repository:  worktree: {repo: "{{ .input.repo }}"}`, "workspace.worktree has no repo")
	}
}

func (p *parser) resultCommit(n *yaml.Node) {
	c := &ResultCommit{}
	p.team.Workspace.Commit = c
	keys := p.object(n, "workspace.commit", fields{
		"message": func(n *yaml.Node) { p.compileLater(n, "workspace.commit.message", into(&c.Message)) },
		"author": func(n *yaml.Node) {
			if text, ok := p.text(n, "workspace.commit.author"); ok {
				if !author.MatchString(text) {
					p.problem(n, "write, for example:  author: Team <team@example.org>", "workspace.commit.author is not a name and an address: %q", excerpt(text, 60))
				}
				c.Author = text
			}
		},
	})
	if keys["message"] == nil {
		p.problem(n, `say what it holds:  commit: {message: "{{ .input.goal }}"}`, "workspace.commit has no message")
	}
}

func (p *parser) publish(n *yaml.Node) {
	b := &Publish{Timeout: DefaultPublishTimeout}
	p.team.Workspace.Publish = b
	keys := p.object(n, "workspace.publish", fields{
		"patch":   p.placeTemplate("workspace.publish.patch", &b.Patch),
		"bundle":  p.placeTemplate("workspace.publish.bundle", &b.Bundle),
		"timeout": p.durationInto(&b.Timeout, "workspace.publish.timeout", time.Second),
		"push": func(n *yaml.Node) {
			if text, ok := p.text(n, "workspace.publish.push"); ok {
				b.Push = text
				p.warnOfTemplate(n, "workspace.publish.push")
			}
		},
	})
	var given []string
	for _, name := range []string{"patch", "bundle", "push"} {
		if keys[name] != nil {
			given = append(given, name)
		}
	}
	switch len(given) {
	case 0:
		p.problem(n, `say how, for example:  publish: {push: 'git push origin "$ORCHESTRATOR_GIT_BRANCH"'}`, "workspace.publish has none of patch, bundle and push")
	case 1:
	default:
		p.problem(keys[given[1]], "keep one of them", "workspace.publish has both %s and %s", given[0], given[1])
	}
}
