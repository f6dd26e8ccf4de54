package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// notes are transcripts as lines, by the name of the attempt.
type notes struct {
	mu    sync.Mutex
	lines map[string][]string
}

func (n *notes) add(key, line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lines == nil {
		n.lines = map[string][]string{}
	}
	n.lines[key] = append(n.lines[key], strings.TrimSpace(line))
}

func (n *notes) of(key string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines[key])
}

func (n *notes) Begin(start TranscriptStart) Transcript {
	key := fmt.Sprintf("%s.%d.%d", start.Task, start.Turn, start.Attempt)
	n.add(key, "begin "+start.Node+" "+start.Model+": "+start.Prompt)
	return note{n, key}
}

type note struct {
	*notes
	key string
}

func (n note) Add(p Progress) { n.add(n.key, fmt.Sprint(p.Kind, " ", p.Tool, p.Text, p.Input)) }

func (n note) Close(end workflow.EventBody) {
	switch e := end.(type) {
	case workflow.TurnFinished:
		n.add(n.key, fmt.Sprintf("end %s %d", e.Reason, e.Usage.TotalTokens))
	case workflow.TurnReconciled:
		n.add(n.key, "found "+string(e.Finding))
	default:
		n.add(n.key, "left")
	}
}

// Everything of a turn reaches its transcript, without secrets; those who watch
// get only what is for them.
func TestTranscriptOfATurn(t *testing.T) {
	f, kept := &fake{server: newServer(), model: "m"}, &notes{}
	f.answer = func(_ context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		for _, p := range []Progress{
			{Kind: ProgressText, Text: "it is hun"}, {Kind: ProgressText, Text: "ter22!"},
			{Kind: ProgressTool, Tool: "Bash", Argument: "x", Call: "c", Input: `{"command":"echo hunter22"}`},
			{Kind: ProgressToolReturn, Tool: "Bash", Call: "c", Text: "hunter22"},
			{Kind: ProgressStop, Text: "end_turn"},
			{Kind: ProgressText, Subagent: "s", Text: "below"},
			{Kind: ProgressText, Text: "done hunter2"},
		} {
			rec.Progress(p)
		}
		finished := endTurn(req)
		finished.Usage.TotalTokens = 7
		return finished, nil
	}
	s := openStore(t, t.TempDir())
	e := newEngine(s, f, func(o *Options) {
		o.Transcripts, o.Redact = kept, redact.New(redact.Secret{Name: "PW", Value: "hunter22"})
	})
	sub := e.Subscribe("")
	run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	e.wait(t, id)
	sub.Close()
	got := kept.of(id + ".1.1")
	text := strings.Join(got, "\n")
	if strings.Contains(text, "hunter22") {
		t.Errorf("a secret is kept:\n%s", text)
	}
	var kinds []string
	for _, line := range got {
		kind, _, _ := strings.Cut(line, " ")
		if len(kinds) == 0 || kinds[len(kinds)-1] != kind {
			kinds = append(kinds, kind)
		}
	}
	if diff := cmp.Diff([]string{"begin", "text", "tool", "tool_return", "stop", "text", "end"}, kinds); diff != "" || !strings.HasSuffix(text, "done\ntext hunter2\nend end_turn 7") {
		t.Errorf("%s\n%s", diff, text)
	}
	for u := range sub.Updates() {
		if p := u.Progress; p != nil && (p.keptOnly() || p.Input != "" || p.Call != "") {
			t.Errorf("shown: %+v", p.Progress)
		}
	}
}

// An attempt with which contact was lost goes on in its transcript; one that is
// cut off is left open.
func TestTranscriptOfALostTurn(t *testing.T) {
	dir, begun, f, kept := t.TempDir(), make(chan string, 1), &fake{server: newServer()}, &notes{}
	f.answer = blockUntilStopped(begun)
	with := func(o *Options) { o.Transcripts = kept }
	s := openStore(t, dir)
	first := run(t, newEngine(s, f, with))
	id := first.mustSubmit(t, parse(t, single))
	<-begun
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if got := kept.of(id + ".1.1"); len(got) == 0 || got[len(got)-1] != "left" {
		t.Errorf("after the stop: %q", got)
	}
	second := newEngine(s, f, with)
	run(t, second)
	second.wait(t, id)
	if got := kept.of(id + ".1.1"); got[len(got)-1] != "found finished" {
		t.Errorf("at the end: %q", got)
	}
}

// The whole output of a check is kept.
func TestTranscriptOfACheck(t *testing.T) {
	kept, c := &notes{}, &commands{}
	c.end = func(_ context.Context, req CheckRequest) (workflow.TurnFinished, error) {
		req.Output([]byte("all of "))
		req.Output([]byte("it\n"))
		return workflow.TurnFinished{Reason: workflow.ReasonPassed}, nil
	}
	s := openStore(t, t.TempDir())
	e := newEngine(s, &fake{server: newServer()}, withChecks(c), func(o *Options) { o.Transcripts = kept })
	run(t, e)
	id := e.mustSubmit(t, parse(t, `
version: 1
name: checked
checks: {c: {run: make test}}
start: c
handoffs: [{from: c, on: passed, to: succeeded}, {from: c, on: "*", to: failed}]
`))
	e.wait(t, id)
	want := []string{"begin c : make test", "output all of", "output it", "end passed 0"}
	if diff := cmp.Diff(want, kept.of(id+".1.1")); diff != "" {
		t.Error(diff)
	}
}
