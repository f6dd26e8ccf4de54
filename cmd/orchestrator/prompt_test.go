package main

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestReadAnswer(t *testing.T) {
	gate, approval := ask{Kind: askGate}, ask{Kind: askApproval}
	text, choice := ask{Kind: askText}, ask{Kind: askText, Choices: []string{"80", "HTTPS"}}
	for _, c := range []struct {
		ask   ask
		typed string
		want  answer
		bad   string
	}{
		{gate, "y", answer{approved: true}, ""},
		{gate, "Approve: looks good", answer{approved: true, text: "looks good"}, ""},
		{gate, " no, not yet ", answer{text: "not yet"}, ""},
		{gate, "maybe", answer{}, "y to approve"},
		{gate, "", answer{}, "y to approve"},
		{approval, "allow", answer{text: workflow.AnswerAllow}, ""},
		{approval, "n", answer{text: workflow.AnswerDeny}, ""},
		{approval, "yes but", answer{}, "y to allow"},
		{text, "Use 8080", answer{text: "Use 8080"}, ""},
		{text, "y", answer{text: "y"}, ""},
		{text, " ", answer{}, "is empty"},
		{choice, "2", answer{text: "HTTPS"}, ""},
		{choice, "https", answer{text: "HTTPS"}, ""},
		{choice, "80", answer{text: "80"}, ""},
		{choice, "3", answer{}, "80 | HTTPS"},
	} {
		got, err := c.ask.read(c.typed)
		if c.bad == "" && (err != nil || got != c.want) || c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s %q: got %+v, %v", c.ask.Kind, c.typed, got, err)
		}
	}
}

func TestPreparedAnswers(t *testing.T) {
	answers, err := parseAnswers([]string{"merge=approve: fine", "Bash(X=1 go test *)=allow", "Bash(rm *)=deny", "Bash=allow", "coder=a=b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ask  ask
		want answer
		ok   bool
	}{
		{ask{Kind: askGate, Node: "merge"}, answer{approved: true, text: "fine"}, true},
		{ask{Kind: askGate, Node: "merge", Branch: "a[1]"}, answer{approved: true, text: "fine"}, true},
		{ask{Kind: askGate, Node: "other"}, answer{}, false},
		{ask{Kind: askApproval, Node: "coder", Tool: "Bash", Argument: "rm -rf x"}, answer{text: workflow.AnswerDeny}, true},
		{ask{Kind: askApproval, Node: "coder", Tool: "Bash", Argument: "X=1 go test ./a"}, answer{text: workflow.AnswerAllow}, true},
		{ask{Kind: askApproval, Node: "coder", Tool: "Write", Argument: "x"}, answer{}, false},
		{ask{Kind: askText, Node: "coder"}, answer{text: "a=b"}, true},
		{ask{Kind: askText, Node: "critic"}, answer{}, false},
	} {
		if got, ok := answerFor(answers, c.ask); ok != c.ok || got != c.want {
			t.Errorf("%+v: got %+v, %v", c.ask, got, ok)
		}
	}
	if _, err := parseAnswers([]string{"merge"}); err == nil {
		t.Error("an answer without a value is accepted")
	}
}

func keys(p prompt, text string) prompt {
	for _, r := range text {
		p = p.key(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
	return p
}

// A person types below what runs, is told what was wrong, and is asked one thing after the other.
func TestPrompt(t *testing.T) {
	answers, interrupted := make(chan typed, 1), 0
	merge := ask{Task: "T", Kind: askGate, Node: "merge", Turn: 3, Text: "Merge it?"}
	port := ask{Task: "T", Kind: askText, Node: "coder", Turn: 4, Question: 1, Text: "Which port?"}
	p := prompt{answers: answers, interrupt: func() { interrupted++ }}
	if lines := keys(p, "ignored").lines(lineStyle{}, 80); lines != nil {
		t.Errorf("nothing is asked, and there is %q", lines)
	}
	p = keys(p.with([]ask{merge}), "may\x1bbe")
	p = p.key(tea.KeyPressMsg{Code: tea.KeyEnter})
	lines := strings.Join(p.lines(lineStyle{}, 80), "\n")
	if !strings.Contains(lines, "? merge: Merge it?") || !strings.Contains(lines, "answer y to approve") || !strings.Contains(lines, "> maybe_") {
		t.Errorf("got\n%s", lines)
	}
	p = p.key(tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl})
	p = keys(p, "y good!")
	p = p.key(tea.KeyPressMsg{Code: tea.KeyBackspace})
	// Another question does not take the line away from somebody who is typing.
	p = p.with([]ask{port, merge})
	p = p.key(tea.KeyPressMsg{Code: tea.KeyEnter})
	if got := <-answers; got.ask.Node != "merge" || got.answer != (answer{approved: true, text: "good"}) {
		t.Errorf("got %+v", got)
	}
	if lines := p.lines(lineStyle{}, 0); len(lines) != 2 || !strings.Contains(lines[0], "Which port?") || !strings.HasSuffix(lines[1], "> _") {
		t.Errorf("got %q", lines)
	}
	p = keys(p, strings.Repeat("long ", 30))
	if lines := p.lines(lineStyle{}, 40); len([]rune(lines[1])) > 40 || !strings.HasSuffix(lines[1], "long _") {
		t.Errorf("got %q", lines)
	}
	p.key(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
	if interrupted != 1 {
		t.Errorf("Ctrl-C asked %d times for the end", interrupted)
	}
}
