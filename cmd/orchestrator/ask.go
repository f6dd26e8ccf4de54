package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// askKind says what a person is asked for.
type askKind string

const (
	askGate     askKind = "gate"     // approve or reject
	askApproval askKind = "approval" // allow or deny the use of a tool
	askText     askKind = "question" // any text, or one of the choices
)

// ask is one thing that waits for a person. It is also what `gates --json` and
// `approvals --json` print.
type ask struct {
	Task string  `json:"task"`
	Team string  `json:"team"`
	Kind askKind `json:"kind"`
	// Node is the gate, or the agent that asks; Branch is the label of its branch.
	Node   string `json:"node"`
	Branch string `json:"branch,omitempty"`
	Turn   int    `json:"turn"`
	// Question is the number of the question within the task; 0 for a gate.
	Question int      `json:"question,omitempty"`
	Text     string   `json:"text"`
	Tool     string   `json:"tool,omitempty"`
	Argument string   `json:"argument,omitempty"`
	Choices  []string `json:"choices,omitempty"`
	// Expires is zero for what waits without a limit of time.
	Expires time.Time `json:"expires,omitzero"`
}

// asksOf lists what a task waits for a person to do, gates first.
func asksOf(s workflow.State) []ask {
	var out []ask
	if s.Status.Terminal() {
		return nil
	}
	for _, t := range s.Turns {
		if t.Kind == workflow.KindGate {
			out = append(out, ask{
				Task: s.Task, Team: s.Team, Kind: askGate, Node: t.Node, Branch: branchLabel(s, t.Branch), Turn: t.ID, Text: t.Message, Expires: t.Expires,
			})
		}
	}
	for _, q := range s.Questions {
		a := ask{
			Task: s.Task, Team: s.Team, Kind: askText, Turn: q.Turn, Question: q.ID, Text: q.Text,
			Tool: q.Tool, Argument: q.Argument, Choices: q.Choices, Expires: q.Expires,
		}
		if q.Kind == workflow.QuestionApproval {
			a.Kind = askApproval
		}
		if i := slices.IndexFunc(s.Turns, func(t workflow.Turn) bool { return t.ID == q.Turn }); i >= 0 {
			a.Node, a.Branch = s.Turns[i].Node, branchLabel(s, s.Turns[i].Branch)
		}
		out = append(out, a)
	}
	return out
}

// branchLabel is the label of a live branch; empty for the task itself.
func branchLabel(s workflow.State, branch int) string {
	for _, b := range s.Branches {
		if b.ID == branch {
			return b.Label
		}
	}
	return ""
}

// same reports whether both are about the same thing.
func (a ask) same(b ask) bool {
	return a.Task == b.Task && a.Turn == b.Turn && a.Question == b.Question
}

// name is how people call the gate or the agent.
func (a ask) name() string { return nodeName(a.Node, a.Branch) }

// question is the text with the answers to choose from, on one line.
func (a ask) question() string {
	return questionText(workflow.QuestionAsked{Text: a.Text, Choices: a.Choices})
}

// how says in a few words which answers there are.
func (a ask) how() string {
	switch {
	case a.Kind == askGate:
		return "y approves, n rejects; a comment may follow"
	case a.Kind == askApproval:
		return "y allows, n denies"
	case len(a.Choices) > 0:
		return "one of the choices, or its number"
	}
	return "your answer"
}

// commands are what to type to answer.
func (a ask) commands(where place) []string {
	var out []string
	for _, command := range a.bareCommands() {
		out = append(out, where.in(command))
	}
	return out
}

func (a ask) bareCommands() []string {
	switch a.Kind {
	case askGate:
		gate := shellWord(a.name())
		return []string{
			fmt.Sprintf("orchestrator approve %s %s", a.Task, gate),
			fmt.Sprintf("orchestrator reject %s %s --comment WHY", a.Task, gate),
		}
	case askApproval:
		return []string{fmt.Sprintf("orchestrator answer %s %d allow", a.Task, a.Question), fmt.Sprintf("orchestrator answer %s %d deny", a.Task, a.Question)}
	case askText:
	}
	if a.Expires.IsZero() { // about a turn that does not run; any of these is right
		var out []string
		for _, choice := range a.Choices {
			out = append(out, fmt.Sprintf("orchestrator answer %s %d %s", a.Task, a.Question, shellWord(choice)))
		}
		return out
	}
	return []string{fmt.Sprintf("orchestrator answer %s %d TEXT", a.Task, a.Question)}
}

// answer is what a person said to an ask.
type answer struct {
	approved bool   // of a gate
	text     string // the comment of a gate; what a question is answered with
}

// read understands what a person typed. The error says in a sentence what can be typed.
func (a ask) read(typed string) (answer, error) {
	typed = strings.TrimSpace(typed)
	word, rest := typed, ""
	if i := strings.IndexAny(typed, " \t:,"); i >= 0 {
		word, rest = typed[:i], strings.TrimLeft(typed[i:], " \t:,")
	}
	yes := slices.Contains([]string{"y", "yes", "approve", "approved", "allow"}, strings.ToLower(word))
	no := slices.Contains([]string{"n", "no", "reject", "rejected", "deny"}, strings.ToLower(word))
	switch {
	case a.Kind == askGate && (yes || no):
		return answer{approved: yes, text: rest}, nil
	case a.Kind == askGate:
		return answer{}, fmt.Errorf("answer y to approve or n to reject; a comment may follow")
	case a.Kind == askApproval && yes && rest == "":
		return answer{text: workflow.AnswerAllow}, nil
	case a.Kind == askApproval && no && rest == "":
		return answer{text: workflow.AnswerDeny}, nil
	case a.Kind == askApproval:
		return answer{}, fmt.Errorf("answer y to allow or n to deny")
	case typed == "":
		return answer{}, fmt.Errorf("the answer is empty")
	case len(a.Choices) > 0:
		return a.choose(typed)
	}
	return answer{text: typed}, nil
}

// choose finds the choice that is meant, by its number or in upper or lower case.
func (a ask) choose(typed string) (answer, error) {
	for i, choice := range a.Choices {
		if strings.EqualFold(choice, typed) || fmt.Sprint(i+1) == typed && !slices.Contains(a.Choices, typed) {
			return answer{text: choice}, nil
		}
	}
	return answer{}, fmt.Errorf("answer one of: %s", strings.Join(a.Choices, " | "))
}
