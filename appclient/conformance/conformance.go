package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// scenarioLimit bounds one scenario. The longest waits 36 s for a real server to give up on its model.
const scenarioLimit = 90 * time.Second

// Target is a server to run the suite against.
type Target struct {
	// URL and Token say how to connect.
	URL   string
	Token appclient.TokenSource
	// Model is the handle of a model that understands directives.
	Model string
	// Dir is an existing directory, seen under the same path by the server, without symbolic links.
	Dir string
	// ModelRequests counts the requests that reached the model so far; nil when unknown.
	ModelRequests func() int
	// Supports says which scenarios make sense.
	Supports Features
}

// Features are what not all servers can do.
type Features struct {
	// ManyClients: several clients at once (0.29.7 and later).
	ManyClients bool
	// TurnFinished: input_accepted, turn_finished, client_message_id (0.30.3 and later).
	TurnFinished bool
	// ServerInfo: app_server_info (0.29.2 and later).
	ServerInfo bool
	// Retries: a failing model is asked again (0.27.21 and later).
	Retries bool
	// MessageIDs: listed user messages carry an otid (0.27.21 and later).
	MessageIDs bool
}

// Everything are the features of 0.30.28.
func Everything() Features {
	return Features{ManyClients: true, TurnFinished: true, ServerInfo: true, Retries: true, MessageIDs: true}
}

// scenario is one subtest. It runs where supported says so; nil is everywhere.
type scenario struct {
	name      string
	supported func(Features) bool
	run       func(e *env)
}

// Run runs every scenario as a parallel subtest. open is called once to learn what the server supports and
// once per scenario; it may return the same server each time if that takes many clients.
func Run(t *testing.T, open func(t *testing.T) Target) {
	t.Helper()
	features := open(t).Supports
	var all []scenario
	for _, group := range [][]scenario{
		failureScenarios(), runtimeScenarios(), turnScenarios(), toolScenarios(), approvalScenarios(), externalScenarios(),
		abortScenarios(), queueScenarios(), recoveryScenarios(), followScenarios(), managementScenarios(),
	} {
		all = append(all, group...)
	}
	for _, s := range all {
		if s.supported != nil && !s.supported(features) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			target := open(t)
			dir := filepath.Join(target.Dir, strings.ToLower(rand.Text()))
			if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // the server may run as somebody else
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), scenarioLimit)
			defer cancel()
			s.run(&env{T: t, target: target, ctx: ctx, dir: dir})
		})
	}
}

func turnFinished(f Features) bool { return f.TurnFinished }

func manyClients(f Features) bool { return f.ManyClients && f.TurnFinished }

// env is what a scenario works with.
type env struct {
	*testing.T
	target Target
	ctx    context.Context
	dir    string // the scenario's own working directory
}

// dial connects; the connection is closed with the scenario.
func (e *env) dial() *appclient.Client {
	e.Helper()
	return e.dialWith(nil)
}

func (e *env) dialWith(httpClient *http.Client) *appclient.Client {
	e.Helper()
	c, err := appclient.Dial(e.ctx, appclient.Config{
		URL: e.target.URL, Token: e.target.Token, Client: appclient.ClientInfo{Name: "conformance"}, RequestTimeout: 30 * time.Second,
		HTTPClient: httpClient,
	})
	if err != nil {
		e.Fatalf("dial: %v", err)
	}
	e.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, appclient.ErrConnectionLost) {
			e.Errorf("close: %v", err)
		}
	})
	return c
}

// start begins a runtime; without an agent it makes one, without a mode it is unrestricted.
func (e *env) start(c *appclient.Client, start appclient.RuntimeStart) *appclient.Session {
	e.Helper()
	s, err := c.StartRuntime(e.ctx, e.complete(start))
	if err != nil {
		e.Fatalf("start runtime: %v", err)
	}
	return s
}

func (e *env) complete(start appclient.RuntimeStart) appclient.RuntimeStart {
	if start.AgentID == "" && start.CreateAgent == nil {
		start.CreateAgent = &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{Name: "conformance", Model: e.target.Model}}
	}
	if start.Mode == "" {
		start.Mode = appclient.ModeUnrestricted
	}
	if start.CWD == "" {
		start.CWD = e.dir
	}
	return start
}

// session is dial and start with a new agent.
func (e *env) session(tools ...appclient.Tool) *appclient.Session {
	e.Helper()
	return e.start(e.dial(), appclient.RuntimeStart{Tools: tools})
}

// again is the same runtime for another connection.
func again(s *appclient.Session) appclient.RuntimeStart {
	return appclient.RuntimeStart{AgentID: s.Runtime().AgentID, ConversationID: s.Runtime().ConversationID}
}

// turn runs a turn to its end, whatever its stop reason.
func (e *env) turn(s *appclient.Session, turn appclient.Turn) *appclient.TurnResult {
	e.Helper()
	r, err := s.RunTurn(e.ctx, turn)
	if err != nil {
		e.Fatalf("run turn %q: %v", turn.Text, err)
	}
	return r
}

// say runs a turn that must succeed.
func (e *env) say(s *appclient.Session, text string) *appclient.TurnResult {
	e.Helper()
	r := e.turn(s, appclient.Turn{Text: text})
	if !r.OK() {
		e.Fatalf("turn %q ended with %s: %s", text, r.StopReason, r.Error)
	}
	return r
}

// running begins a turn and waits for the first event that satisfies the condition.
func (e *env) running(s *appclient.Session, turn appclient.Turn, what string, condition func(appclient.Event) bool) *appclient.RunningTurn {
	e.Helper()
	reached := make(chan struct{}, 1)
	turn.OnEvent = func(ev appclient.Event) {
		if condition(ev) {
			select {
			case reached <- struct{}{}:
			default:
			}
		}
	}
	r, err := s.StartTurn(e.ctx, turn)
	if err != nil {
		e.Fatalf("start turn: %v", err)
	}
	select {
	case <-reached:
	case <-r.Done():
		_, err := r.Wait(e.ctx)
		e.Fatalf("turn ended before %s: %v", what, err)
	case <-e.ctx.Done():
		e.Fatalf("waiting for %s: %v", what, context.Cause(e.ctx))
	}
	return r
}

// isDelta is a condition for running.
func isDelta(kind string) func(appclient.Event) bool {
	return func(ev appclient.Event) bool {
		return ev.Kind == appclient.EventDelta && ev.Delta != nil && ev.Delta.MessageType == kind
	}
}

// await reads frames to the first that satisfies the condition.
func (e *env) await(sub *appclient.Subscription, what string, condition func(appclient.Frame) bool) appclient.Frame {
	e.Helper()
	for {
		f, err := sub.Next(e.ctx)
		if err != nil {
			e.Fatalf("waiting for %s: %v", what, err)
		}
		if condition(f) {
			return f
		}
	}
}

// awaitEnd waits for the end of a turn, whosoever it is.
func (e *env) awaitEnd(sub *appclient.Subscription) appclient.Frame {
	e.Helper()
	return e.await(sub, "the end of a turn", func(f appclient.Frame) bool { return f.Type == appclient.TypeTurnFinished })
}

// messages lists a conversation, oldest first.
func (e *env) messages(c *appclient.Client, s *appclient.Session) []appclient.Message {
	e.Helper()
	page, err := c.ListMessages(e.ctx, appclient.MessageQuery{ConversationID: s.Runtime().ConversationID, Order: appclient.OldestFirst})
	if err != nil {
		e.Fatalf("list messages: %v", err)
	}
	return page.Messages
}

// count is how many listed user messages carry an otid.
func count(messages []appclient.Message, otid string) int {
	n := 0
	for _, m := range messages {
		if m.Type == "user_message" && m.OTID == otid {
			n++
		}
	}
	return n
}

func (e *env) equal(what string, got, want any) {
	e.Helper()
	if got != want {
		e.Errorf("%s is %v, want %v", what, got, want)
	}
}

// text compares answers; the scripted model of the real server ends each with a space.
func (e *env) text(got, want string) {
	e.Helper()
	e.equal("text", strings.TrimSpace(got), want)
}

func (e *env) contains(what, got, want string) {
	e.Helper()
	if !strings.Contains(got, want) {
		e.Errorf("%s is %q, want it to contain %q", what, got, want)
	}
}

// object is a JSON object of a raw command.
type object = map[string]any

// input is a raw create_message command.
func input(s *appclient.Session, id, text string) object {
	return object{"type": "input", "runtime": s.RawRuntime(), "payload": object{
		"kind": "create_message", "messages": []object{{"role": "user", "content": text, "client_message_id": id}},
	}}
}

// accepted is the answer to a raw input.
type accepted struct {
	Accepted    bool   `json:"accepted"`
	Disposition string `json:"disposition"`
	Error       string `json:"error"`
}

// request sends a raw command and decodes its answer.
func (e *env) request(c *appclient.Client, command any, into any) {
	e.Helper()
	f, err := c.Request(e.ctx, command)
	if err != nil {
		e.Fatalf("request: %v", err)
	}
	if err := f.Decode(into); err != nil {
		e.Fatalf("decode %s: %v", f.Type, err)
	}
}
