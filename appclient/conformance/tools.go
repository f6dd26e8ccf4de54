package conformance

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func toolScenarios() []scenario {
	return []scenario{
		{"Bash and Write run for real", nil, realTools},
		{"text around two tool steps", nil, twoSteps},
		{"Edit and Read", nil, editAndRead},
		{"failing tools", nil, failingTools},
		{"two calls in one step", nil, parallelCalls},
		{"tools that are not allowed", nil, allowlist},
	}
}

// use returns the n-th tool call of a turn.
func (e *env) use(r *appclient.TurnResult, n int) appclient.ToolUse {
	e.Helper()
	if len(r.ToolCalls) <= n {
		e.Fatalf("the turn had %d tool calls, want more than %d", len(r.ToolCalls), n)
	}
	return r.ToolCalls[n]
}

func (e *env) file(name, want string) {
	e.Helper()
	data, err := os.ReadFile(filepath.Join(e.dir, name))
	if err != nil {
		e.Error(err)
		return
	}
	e.equal("content of "+name, string(data), want)
}

func (e *env) noFile(name string) {
	e.Helper()
	if _, err := os.Stat(filepath.Join(e.dir, name)); err == nil {
		e.Errorf("%s was written", name)
	}
}

func realTools(e *env) {
	r := e.say(e.session(), fmt.Sprintf(
		`x [[tool:Bash:{"command":"pwd; echo made > made.txt","description":"d"}]] [[tool:Write:{"file_path":%q,"content":"hello\n"}]] [[say:done]]`,
		filepath.Join(e.dir, "written.txt")))
	e.text(r.Text, "done")
	e.equal("requests", r.Usage.Requests, 3)
	bash, write := e.use(r, 0), e.use(r, 1)
	e.equal("status of Bash", bash.Status, "success")
	e.equal("output of Bash", bash.Output, e.dir+"\n")
	e.equal("Bash started", bash.Started, true)
	e.contains("output of Write", write.Output, "Successfully wrote 6 characters to "+e.dir)
	e.file("made.txt", "made\n")
	e.file("written.txt", "hello\n")
}

func twoSteps(e *env) {
	r := e.say(e.session(), `x [[pre:I will look.]] [[tool:Bash:{"command":"echo one","description":"d"}]] [[tool:Bash:{"command":"echo two","description":"d"}]] [[say:final]]`)
	e.text(r.Text, "final")
	e.equal("runs", len(r.Runs), 3)
	e.text(r.Runs[0].Text(), "I will look.")
	e.equal("stop of the first run", r.Runs[0].StopReason, appclient.StopRequiresApproval)
	e.equal("stop of the last run", r.Runs[2].StopReason, appclient.StopEndTurn)
	e.equal("second output", e.use(r, 1).Output, "two\n")
}

func editAndRead(e *env) {
	if err := os.WriteFile(filepath.Join(e.dir, "f.txt"), []byte("a\nb\nc\n"), 0o644); err != nil { //nolint:gosec // the server may run as somebody else
		e.Fatal(err)
	}
	path := filepath.Join(e.dir, "f.txt")
	r := e.say(e.session(), fmt.Sprintf(
		`x [[tool:Edit:{"file_path":%q,"old_string":"b","new_string":"B"}]] [[tool:Read:{"file_path":%q}]] [[say:done]]`, path, path))
	e.contains("output of Edit", e.use(r, 0).Output, "Successfully replaced 1 occurrence in "+path)
	e.equal("output of Read", e.use(r, 1).Output, "1\ta\n2\tB\n3\tc\n4\t")
	e.file("f.txt", "a\nB\nc\n")
}

func failingTools(e *env) {
	r := e.say(e.session(), `x [[tool:Bash:{"command":"echo bad; exit 3","description":"d"}]] [[tool:Read:{"file_path":"/nonexistent/f"}]] `+
		`[[tool:Nope:{"a":1}]] [[tool:Write:{"file_path":"x"}]] [[tool:Bash:{"command":"sleep 5","description":"d"}]] [[say:done]]`)
	for i, want := range []string{
		"Exit code: 3\nbad", "File does not exist.", "Tool not found: Nope", "Write tool missing required parameter: content", "Foreground `sleep` is blocked",
	} {
		e.equal("status", e.use(r, i).Status, "error")
		e.contains("output", e.use(r, i).Output, want)
	}
}

func parallelCalls(e *env) {
	r := e.say(e.session(), `x [[par:Bash:{"command":"echo A","description":"d"}]] [[par:Bash:{"command":"echo B","description":"d"}]] [[say:both]]`)
	e.equal("requests", r.Usage.Requests, 2)
	e.equal("first output", e.use(r, 0).Output, "A\n")
	e.equal("second output", e.use(r, 1).Output, "B\n")
}

func allowlist(e *env) {
	r := e.turn(e.session(), appclient.Turn{
		Text: `x [[tool:Bash:{"command":"echo no > no.txt","description":"d"}]] [[say:done]]`, Tools: []string{"Read"},
	})
	e.equal("status", e.use(r, 0).Status, "error")
	e.contains("output", e.use(r, 0).Output, "Tool not found: Bash")
	e.noFile("no.txt")
}
