package apptest

import (
	"slices"
	"strconv"
	"strings"
)

// openCall is a tool call of the current request and what became of it.
type openCall struct {
	call   toolCall
	plan   call
	id     string // of the delta that announced it
	denied bool
	result toolResult
}

// callChunk remembers under which id a call was announced; its start and end carry the same.
func (t *turn) callChunk(call, chunk string) {
	if t.announced == nil {
		t.announced = map[string]string{}
	}
	t.announced[call] = chunk
}

// runCalls asks for approvals, runs the calls in order and shows the results.
func (t *turn) runCalls(calls []call) error {
	rt := t.rt
	list := make([]*openCall, len(calls))
	rt.mu.Lock()
	t.toolPhase = true
	for i, c := range calls {
		call := toolCall{ID: t.callID(i), Name: c.Name, Arguments: c.raw}
		list[i] = &openCall{call: call, plan: c, id: t.announced[call.ID]}
		rt.openCalls = append(rt.openCalls, call.ID)
	}
	rt.mu.Unlock()
	if err := t.approve(list); err != nil {
		return err
	}
	t.startCalls(list)
	for _, c := range list {
		if c.denied {
			continue
		}
		var err error
		if c.result, err = t.execute(c); err != nil {
			return err
		}
	}
	return t.endCalls(list)
}

// approve asks about the calls that need it, one after the other.
func (t *turn) approve(list []*openCall) error {
	for _, c := range list {
		t.rt.mu.Lock()
		_, external := t.external(c.call.Name)
		ask := asks(t.rt.mode, c.call.Name, external, c.call.Arguments)
		t.rt.mu.Unlock()
		if !ask {
			continue
		}
		answer, err := t.ask(c.call)
		if err != nil {
			return err
		}
		switch {
		case answer.aborted:
			return t.interrupted(list)
		case !answer.allow:
			c.denied, c.result = true, failed(answer.message)
		case answer.input != nil:
			c.call.Arguments = string(answer.input)
		}
	}
	return nil
}

// interrupted ends the calls of an aborted turn. After a disconnection they stay open until the next input.
func (t *turn) interrupted(list []*openCall) error {
	t.rt.mu.Lock()
	defer t.rt.mu.Unlock()
	if t.stopped {
		return errCancelled
	}
	for _, c := range list {
		t.rt.process.server.store.addReturn(t.rt.id, c.call.ID, "error", "Interrupted by user")
	}
	t.rt.openCalls = nil
	return errCancelled
}

// startCalls shows which calls run.
func (t *turn) startCalls(list []*openCall) {
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.cancelling {
		return
	}
	rt.executing = nil
	for _, c := range list {
		if !c.denied {
			rt.executing = append(rt.executing, c.call.ID)
		}
	}
	rt.setStatus(statusTool)
	rt.emitLoop(rt.subscribers)
	rt.emitDevice(rt.subscribers)
	for _, c := range list {
		if !c.denied {
			rt.emitDelta(delta{
				ID: c.id, Date: rt.date(), MessageType: "client_tool_start", RunID: t.runID,
				ToolCallID: c.call.ID, ToolName: c.call.Name, ToolArgs: c.call.Arguments,
			})
		}
	}
}

// execute runs one call: a client's tool, or one of the server's own.
func (t *turn) execute(c *openCall) (toolResult, error) {
	rt := t.rt
	rt.mu.Lock()
	registered, external := t.external(c.call.Name)
	cwd := rt.cwd
	rt.mu.Unlock()
	switch {
	case external:
		return t.callExternal(registered, c.call)
	case c.plan.external:
		fault := &faultError{"tool " + c.call.Name, "no client registered it for this conversation"}
		rt.process.server.reportError(fault)
		return failed("Tool not found: " + c.call.Name), nil
	case t.aborted():
		return toolResult{text: "Interrupted by user", failed: true, interrupted: true}, nil
	case t.input.allowlist != nil && !slices.Contains(*t.input.allowlist, c.call.Name):
		return failed("Tool not found: " + c.call.Name), nil
	}
	result := rt.process.server.runTool(t.ctx, c.call.Name, cwd, c.call.Arguments, func(stdout, stderr string) {
		t.partialOutput(c, stdout, stderr)
	})
	if rt.process.ctx.Err() != nil {
		return result, errStopped
	}
	if result.written != "" {
		rt.mu.Lock()
		rt.emit(rt.subscribers, "file_ops", fileOps{
			Type: "file_ops", Path: result.written, Entries: []string{}, Ops: []string{}, Source: "agent", Content: result.content,
		})
		rt.mu.Unlock()
	}
	return result, nil
}

type fileOps struct {
	Type    string   `json:"type"`
	Path    string   `json:"path"`
	Entries []string `json:"cg_entries"`
	Ops     []string `json:"ops"`
	Source  string   `json:"source"`
	Content string   `json:"document_content"`
}

// partialOutput shows what a command has printed so far.
func (t *turn) partialOutput(c *openCall, stdout, stderr string) {
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.cancelling {
		return
	}
	r := toolReturn{ToolCallID: c.call.ID, Status: "success", Stdout: lines(stdout), Stderr: lines(stderr)}
	r.ToolReturn = strings.Join(append(lines(stdout), lines(stderr)...), "\n")
	rt.emitDelta(delta{
		Type: "message", MessageType: "tool_return_message", ID: "synthetic-tool-return-stream-" + c.call.ID, Date: rt.date(), RunID: t.runID,
		Status: "success", ToolCallID: c.call.ID, ToolReturn: &r.ToolReturn, ToolReturns: []toolReturn{r},
	})
}

func lines(s string) []string {
	if s = strings.TrimSuffix(s, "\n"); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// endCalls shows the results and stores them.
func (t *turn) endCalls(list []*openCall) error {
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	t.toolPhase = false
	for _, c := range list {
		rt.emitDelta(delta{ID: c.id, Date: rt.date(), MessageType: "client_tool_end", RunID: t.runID, ToolCallID: c.call.ID, Status: c.result.status()})
	}
	for _, c := range list {
		if len(c.result.text) > maxToolText {
			c.result.text = c.result.text[:maxToolText]
		}
		r := toolReturn{ToolCallID: c.call.ID, Status: c.result.status(), ToolReturn: c.result.text}
		rt.emitDelta(delta{
			Type: "message", MessageType: "tool_return_message", ID: "synthetic-tool-return-" + string(newUUID()), Date: rt.date(), RunID: t.runID,
			Status: r.Status, ToolCallID: c.call.ID, ToolReturn: &r.ToolReturn, ToolReturns: []toolReturn{r},
		})
		t.lastResult = c.result.text
		if !t.stopped {
			rt.process.server.store.addReturn(rt.id, c.call.ID, r.Status, c.result.text)
		}
	}
	if !t.stopped {
		rt.openCalls = nil
	}
	rt.executing = nil
	return t.checkpoint()
}

// inject lets queued inputs of a client join the running turn after its tools, and returns their text.
func (t *turn) inject() string {
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if len(rt.queue) == 0 || rt.cancelling {
		return ""
	}
	in, _, removed := rt.takeQueue()
	rt.batches++
	t.id = "batch-" + strconv.Itoa(rt.batches)
	t.injected = append(t.injected, in.ids...)
	rt.echo(in)
	rt.process.server.store.addUser(rt.id, in.parts, in.otid)
	rt.emitQueue(rt.subscribers, removed...)
	return joinParts(in.parts)
}
