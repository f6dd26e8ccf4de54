package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// transcriptView prints the records of transcripts for people.
type transcriptView struct {
	w       io.Writer
	colours palette
	// lines is how much is printed of a long text; 0 is all of it.
	lines int
	loc   *time.Location

	turn, attempt int // whose records were printed last
	seen          map[[2]int]bool
	// open is the type of a text that may go on, without a line end.
	open     transcript.Type
	subagent string
}

func (v *transcriptView) record(r transcript.Record) {
	if r.Type == transcript.Begin || r.Turn != v.turn || r.Attempt != v.attempt {
		v.head(r)
	}
	switch r.Type {
	case transcript.Begin, transcript.Usage:
	case transcript.Text, transcript.Thinking, transcript.Output:
		v.stream(r)
	case transcript.Prompt:
		v.block("prompt", r.Text)
	case transcript.ToolCall:
		v.line(v.colours.name("→ " + strings.TrimSpace(v.whose(r)+r.Tool+" "+oneLine(r.Argument, 200))))
		if v.lines == 0 || r.Argument == "" {
			v.indented(r.Input)
		}
	case transcript.ToolReturn:
		v.line("← " + strings.TrimSpace(v.whose(r)+r.Tool+" "+v.status(r.Status)))
		v.indented(r.Text)
	case transcript.Approval:
		v.line(strings.TrimSpace(fmt.Sprintf("approval: %s %s: %s", r.Tool, oneLine(r.Argument, 200), r.Text)))
	case transcript.Question:
		v.block("a person is asked", cmp.Or(r.Text, r.Tool+" "+r.Argument))
	case transcript.Answer:
		v.block("answered by "+cmp.Or(r.Argument, "somebody"), r.Text)
	case transcript.Retry, transcript.Contact, transcript.Status, transcript.Stop:
		v.line(v.colours.dim(string(r.Type) + ": " + oneLine(r.Text, 500)))
	case transcript.Cut:
		v.line(v.colours.bad("✗ something is missing here: " + r.Text + cutText(r)))
	case transcript.Found:
		v.line(strings.TrimSuffix("found out: "+findingText(workflow.Finding(r.Status))+": "+oneLine(r.Error, 500), ": "))
		v.indented(r.Text)
		v.used(r)
	case transcript.End:
		v.end(r)
	}
	if r.Bytes > 0 && r.Type != transcript.Cut {
		v.line(v.colours.bad(fmt.Sprintf("✗ the last %s bytes of it are left out", formatCount(r.Bytes))))
	}
}

func cutText(r transcript.Record) string {
	switch {
	case r.Records > 0:
		return fmt.Sprintf(" (%s, %s bytes)", plural(int(r.Records), "record"), formatCount(r.Bytes))
	case r.Bytes > 0:
		return fmt.Sprintf(" (%s bytes)", formatCount(r.Bytes))
	}
	return ""
}

// head says whose records follow.
func (v *transcriptView) head(r transcript.Record) {
	v.finish()
	text := fmt.Sprintf("── turn %d", r.Turn)
	if r.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", r.Attempt)
	}
	key := [2]int{r.Turn, r.Attempt}
	if r.Type == transcript.Begin {
		for _, part := range []string{r.Node, r.Model, r.Server} {
			if part != "" {
				text += " · " + part
			}
		}
		text += " · " + r.At.In(v.loc).Format("2006-01-02 15:04:05")
		if v.seen[key] {
			text += " · taken up again"
		}
	} else if v.seen[key] {
		text += " goes on"
	}
	if v.seen == nil {
		v.seen = map[[2]int]bool{}
	}
	v.seen[key], v.turn, v.attempt = true, r.Turn, r.Attempt
	fmt.Fprintln(v.w, v.colours.bold(printable(text)))
}

// stream prints a piece of text right behind the one before.
func (v *transcriptView) stream(r transcript.Record) {
	if v.open != r.Type || v.subagent != r.Subagent {
		v.finish()
		if r.Type == transcript.Thinking {
			fmt.Fprint(v.w, v.colours.dim(v.whose(r)+"thinking: "))
		} else if who := v.whose(r); who != "" {
			fmt.Fprint(v.w, v.colours.dim(who))
		}
	}
	v.open, v.subagent = r.Type, r.Subagent
	text := printable(r.Text)
	if r.Type == transcript.Thinking {
		text = v.colours.dim(text)
	}
	fmt.Fprint(v.w, text)
	if strings.HasSuffix(r.Text, "\n") && r.Type == transcript.Output {
		v.open = ""
	}
}

// finish ends the line of a text.
func (v *transcriptView) finish() {
	if v.open != "" {
		fmt.Fprintln(v.w)
		v.open = ""
	}
}

func (v *transcriptView) line(text string) {
	v.finish()
	fmt.Fprintln(v.w, text)
}

func (v *transcriptView) block(name, text string) {
	v.line(v.colours.dim(name + ":"))
	v.indented(text)
}

func (v *transcriptView) indented(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	kept, left := excerpt(text, v.lines)
	for _, line := range kept {
		v.line("    " + line)
	}
	if left > 0 {
		v.line(v.colours.dim(fmt.Sprintf("    … %s: --full", plural(left, "more line"))))
	}
}

func (v *transcriptView) whose(r transcript.Record) string {
	if r.Subagent == "" {
		return ""
	}
	return "[" + oneLine(r.Subagent, 40) + "] "
}

func (v *transcriptView) status(status string) string {
	if status == "" || status == "success" {
		return v.colours.good("✓")
	}
	return v.colours.bad("✗ " + oneLine(status, 40))
}

func (v *transcriptView) end(r transcript.Record) {
	mark := v.colours.bad("✗")
	if r.Reason == workflow.ReasonEndTurn || r.Reason == workflow.ReasonPassed {
		mark = v.colours.good("✓")
	}
	text := string(r.Reason)
	if r.Kind == workflow.KindCheck || r.ExitCode != 0 {
		text += fmt.Sprintf(" (exit %d)", r.ExitCode)
	}
	if r.Outcome != "" {
		text += " · " + r.Outcome
	}
	v.line(mark + " " + text)
	if r.Error != "" {
		v.indented(r.Error)
	}
	v.used(r)
	if r.OutputFile != "" {
		v.line("    the whole output: " + r.OutputFile)
	}
}

func (v *transcriptView) used(r transcript.Record) {
	if u := r.Usage; u.TotalTokens > 0 {
		text := fmt.Sprintf("%s tokens (%s in, %s out) · %s", formatCount(u.TotalTokens), formatCount(u.PromptTokens), formatCount(u.CompletionTokens), plural(int(u.Requests), "model request"))
		if money := costOf(&workflow.TurnFinished{Usage: r.Usage, Model: r.Model, Cost: r.Cost, Unpriced: r.Unpriced}); money != "" {
			text += " · " + money
		}
		v.line("    " + text)
	}
}
