package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func approvalScenarios() []scenario {
	return []scenario{
		{"approval allowed", nil, approvalAllowed},
		{"approval denied", nil, approvalDenied},
		{"approval with other input", nil, approvalUpdated},
		{"approval without a decision", nil, approvalError},
		{"two approvals in one step", nil, twoApprovals},
		{"what is asked in which mode", nil, modes},
		{"approval answered by another client", manyClients, approvalElsewhere},
	}
}

// write is a directive that writes a file.
func (e *env) write(name, content string) string {
	return fmt.Sprintf(`[[tool:Write:{"file_path":%q,"content":%q}]]`, filepath.Join(e.dir, name), content)
}

func always(d appclient.Decision) appclient.ApproveFunc {
	return func(context.Context, appclient.ApprovalRequest) (appclient.Decision, error) { return d, nil }
}

// standard is a session in a mode that asks about writing.
func (e *env) standard() *appclient.Session {
	e.Helper()
	return e.start(e.dial(), appclient.RuntimeStart{Mode: appclient.ModeStandard})
}

func approvalAllowed(e *env) {
	var asked []appclient.ApprovalRequest
	r := e.turn(e.standard(), appclient.Turn{Text: "x " + e.write("a.txt", "hi") + " [[say:after]]", Approve: func(_ context.Context, q appclient.ApprovalRequest) (appclient.Decision, error) {
		asked = append(asked, q)
		return appclient.Allow(), nil
	}})
	e.text(r.Text, "after")
	e.equal("approvals", len(asked), 1)
	e.equal("tool", asked[0].ToolName, "Write")
	e.equal("request id", asked[0].RequestID, "perm-"+asked[0].ToolCallID)
	var in struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(asked[0].Input, &in); err != nil {
		e.Error(err)
	}
	e.equal("content", in.Content, "hi")
	e.file("a.txt", "hi")
}

func approvalDenied(e *env) {
	r := e.turn(e.standard(), appclient.Turn{Text: "x " + e.write("d.txt", "hi") + " [[say:after denial]]", Approve: always(appclient.Deny("no writing please"))})
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.text(r.Text, "after denial")
	call := e.use(r, 0)
	e.equal("status", call.Status, "error")
	e.equal("started", call.Started, false)
	e.equal("output", call.Output, "no writing please")
	e.noFile("d.txt")
}

func approvalUpdated(e *env) {
	input := json.RawMessage(fmt.Sprintf(`{"file_path":%q,"content":"other"}`, filepath.Join(e.dir, "other.txt")))
	r := e.turn(e.standard(), appclient.Turn{
		Text: "x " + e.write("asked.txt", "hi") + " [[say:ok]]", Approve: always(appclient.Decision{Behavior: appclient.BehaviorAllow, UpdatedInput: input}),
	})
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.file("other.txt", "other")
	e.noFile("asked.txt")
}

func approvalError(e *env) {
	r := e.turn(e.standard(), appclient.Turn{Text: "x " + e.write("e.txt", "hi") + " [[say:ok]]", Approve: always(appclient.Decision{Error: "nobody is there"})})
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.equal("status", e.use(r, 0).Status, "error")
	e.contains("output", e.use(r, 0).Output, "nobody is there")
	e.noFile("e.txt")
}

func twoApprovals(e *env) {
	var mu sync.Mutex
	asked, open, most := 0, 0, 0
	one := fmt.Sprintf(`[[par:Write:{"file_path":%q,"content":"1"}]]`, filepath.Join(e.dir, "1.txt"))
	two := fmt.Sprintf(`[[par:Write:{"file_path":%q,"content":"2"}]]`, filepath.Join(e.dir, "2.txt"))
	r := e.turn(e.standard(), appclient.Turn{Text: "x " + one + two + " [[say:ok]]", Approve: func(_ context.Context, q appclient.ApprovalRequest) (appclient.Decision, error) {
		mu.Lock()
		asked++
		open++
		most = max(most, open)
		mu.Unlock()
		defer func() { mu.Lock(); open--; mu.Unlock() }()
		var in struct {
			Content string `json:"content"`
		}
		if err := json.Unmarshal(q.Input, &in); err != nil {
			return appclient.Decision{}, err
		}
		if in.Content == "2" {
			return appclient.Deny("one is enough"), nil
		}
		return appclient.Allow(), nil
	}})
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.equal("approvals", asked, 2)
	e.equal("asked at once", most, 1)
	e.file("1.txt", "1")
	e.noFile("2.txt")
}

func modes(e *env) {
	c := e.dial()
	for _, test := range []struct {
		mode appclient.Mode
		want string // the tools that are asked about
	}{
		{appclient.ModeUnrestricted, "[]"},
		{appclient.ModeAcceptEdits, "[Bash]"},
		{appclient.ModeStandard, "[Write Bash]"},
		{appclient.ModeStrict, "[Read Write Bash Bash]"},
	} {
		asked := []string{}
		r := e.turn(e.start(c, appclient.RuntimeStart{Mode: test.mode}), appclient.Turn{
			Text: `x [[tool:Read:{"file_path":"/etc/hostname"}]] ` + e.write("m.txt", "1") +
				` [[tool:Bash:{"command":"ls","description":"d"}]] [[tool:Bash:{"command":"touch t","description":"d"}]] [[say:ok]]`,
			Approve: func(_ context.Context, q appclient.ApprovalRequest) (appclient.Decision, error) {
				asked = append(asked, q.ToolName)
				return appclient.Allow(), nil
			},
		})
		e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
		e.equal("asked in mode "+string(test.mode), fmt.Sprint(asked), test.want)
	}
}

func approvalElsewhere(e *env) {
	s := e.standard()
	asked, release := make(chan appclient.ApprovalRequest, 1), make(chan struct{})
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: "x " + e.write("b.txt", "hi") + " [[say:after]]", Approve: func(ctx context.Context, q appclient.ApprovalRequest) (appclient.Decision, error) {
		asked <- q
		select {
		case <-release:
		case <-ctx.Done():
		}
		return appclient.Deny("too late"), nil
	}})
	if err != nil {
		e.Fatal(err)
	}
	var q appclient.ApprovalRequest
	select {
	case q = <-asked:
	case <-e.ctx.Done():
		e.Fatal("nothing was asked")
	}
	start := again(s)
	start.Mode = appclient.ModeStandard
	other := e.start(e.dial(), start)
	pending := other.DeviceStatus().Pending
	if len(pending) != 1 || pending[0].RequestID != q.RequestID {
		e.Fatalf("the other client sees %v pending, want %s", pending, q.RequestID)
	}
	if err := other.Answer(e.ctx, q.RequestID, appclient.Allow()); err != nil {
		e.Fatal(err)
	}
	close(release)
	r, err := turn.Wait(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.text(r.Text, "after")
	e.file("b.txt", "hi")
}
