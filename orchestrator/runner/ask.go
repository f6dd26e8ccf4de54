package runner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
	"unicode"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// maxAskedCommand bounds a command line that a person is asked about, in
	// bytes. What they cannot see whole they cannot allow.
	maxAskedCommand = 16 << 10
	// maxAskedArguments bounds the arguments of other tools in a question, in
	// characters; their path is always shown whole.
	maxAskedArguments = 4000
)

// approveOn returns what answers permission requests that come when so many
// connections have been lost.
func (a *attempt) approveOn(lost int) appclient.ApproveFunc {
	return func(ctx context.Context, request appclient.ApprovalRequest) (appclient.Decision, error) {
		return a.approve(ctx, lost, request)
	}
}

// approve answers a permission request by the agent's patterns, and by what a
// person says where these want it.
func (a *attempt) approve(ctx context.Context, lost int, request appclient.ApprovalRequest) (appclient.Decision, error) {
	ctx, done, ok := a.calls.begin(ctx)
	if !ok {
		return a.approveAlone(ctx, request)
	}
	defer done()
	use := a.use(request)
	v := a.decide(use)
	if v.ask {
		a.watch.approval(request, verdict{ask: true})
		var err error
		if v, err = a.askApproval(ctx, asker{request.RequestID, lost}, use, v); err != nil {
			return appclient.Decision{}, err
		}
	}
	a.watch.approval(request, v)
	return v.decision(), nil
}

// approveAlone answers without a person, about calls of turns that are not
// ours: those that the server starts by itself, and those that a dead
// orchestrator left behind.
func (a *attempt) approveAlone(_ context.Context, request appclient.ApprovalRequest) (appclient.Decision, error) {
	use := a.use(request)
	v := a.decide(use)
	if v.ask {
		v = verdict{message: fmt.Sprintf("%s needs an approval, and nobody can be asked in this turn. Go on without it, and say in your last message what you could not do.", described(use))}
	}
	return v.decision(), nil
}

func (a *attempt) use(request appclient.ApprovalRequest) toolUse {
	return toolUse{name: request.ToolName, input: request.Input, cwd: a.cwd}
}

// decide is what the patterns say, and that the outputs which were passed on
// to the agent by file can be read.
func (a *attempt) decide(use toolUse) verdict {
	if use.name == askUserTool && slices.Contains(a.req.Agent.ControllerTools, workflow.ToolAskHuman) {
		return verdict{message: "Nobody sits before this tool. Ask with the tool " + workflow.ToolAskHuman + " instead."}
	}
	v := decideApproval(a.req.Agent.Approvals, use)
	byDeny := !v.allow && !v.ask && v.pattern != ""
	if !v.allow && !byDeny && a.readsOutput(use) {
		return verdict{allow: true}
	}
	return v
}

func (v verdict) decision() appclient.Decision {
	if v.allow {
		return appclient.Allow()
	}
	return appclient.Deny(v.message)
}

// askApproval asks a person. Errors: the end of ctx, or the recorder's, which end the turn.
func (a *attempt) askApproval(ctx context.Context, by asker, use toolUse, asked verdict) (verdict, error) {
	text, ok := a.approvalText(use)
	if !ok {
		return verdict{message: fmt.Sprintf(
			"%s was denied: the command line is longer than %d KiB, which is too long to show to the person who would have to allow it. Write it to a file first, and run that.",
			use.name, maxAskedCommand>>10)}, nil
	}
	argument := short(printable(use.argument()), maxArgument)
	if use.isShell() {
		argument = use.argument() // exact, since answers that were given in advance are compared with it
	}
	answer, err := a.ask(ctx, by, engine.Question{Kind: workflow.QuestionApproval, Text: text, Tool: use.name, Argument: argument})
	switch {
	case err != nil:
		return verdict{}, err
	case answer.Expired:
		return verdict{message: fmt.Sprintf(
			"%s needs an approval, and nobody answered within %v. Go on without it, and say in your last message what you could not do.",
			described(use), a.expires()), by: "nobody answering in time"}, nil
	case answer.Text == workflow.AnswerAllow:
		return verdict{allow: true, pattern: asked.pattern, by: answer.By}, nil
	}
	return verdict{message: fmt.Sprintf(
		"%s was denied by %s. Do not try it in another way: go on without it, and say in your last message what you could not do.",
		described(use), cmp.Or(answer.By, "a person")), pattern: asked.pattern, by: answer.By}, nil
}

// expires is how long a person has to answer.
func (a *attempt) expires() time.Duration {
	return cmp.Or(a.req.Agent.Approvals.Expires, workflow.DefaultAskExpires)
}

// approvalText is what a person reads; ok is false for what cannot be shown whole.
func (a *attempt) approvalText(use toolUse) (string, bool) {
	agent := a.req.Agent.Name
	if use.isShell() {
		command, isText := use.field("command")
		if !isText {
			command = use.compact()
		}
		if len(command) > maxAskedCommand {
			return "", false
		}
		return fmt.Sprintf("%s asks to run this in %s:\n\n%s", agent, a.cwd, printable(command)), true
	}
	arguments := []rune(printable(use.compact()))
	if left := len(arguments) - maxAskedArguments; left > 0 {
		arguments = append(arguments[:maxAskedArguments], []rune(fmt.Sprintf("… (%d more characters)", left))...)
	}
	if absolute, _, ok := use.file(); ok {
		return fmt.Sprintf("%s asks to use %s on %s:\n\n%s", agent, use.name, printable(absolute), string(arguments)), true
	}
	if len(arguments) == 0 {
		return fmt.Sprintf("%s asks to use %s", agent, use.name), true
	}
	return fmt.Sprintf("%s asks to use %s:\n\n%s", agent, use.name, string(arguments)), true
}

// printable replaces what could make a terminal show something else than what is there.
func printable(s string) string {
	var out []rune
	for _, c := range s {
		if c != '\n' && c != '\t' && !unicode.IsPrint(c) {
			c = '\uFFFD'
		}
		out = append(out, c)
	}
	return string(out)
}
