package apptest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// upgrade dials and returns the HTTP status, and the reason phrase of a refusal.
func upgrade(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	ws, resp, err := websocket.Dial(testContext(t), url, &websocket.DialOptions{HTTPHeader: header})
	if err == nil {
		_ = ws.CloseNow()
	}
	if resp == nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	_, reason, _ := strings.Cut(resp.Status, " ")
	return resp.StatusCode, reason
}

func TestUpgradeRules(t *testing.T) {
	t.Parallel()
	bearer := func(v string) http.Header { return http.Header{"Authorization": {v}} }
	origin := http.Header{"Origin": {"http://example.invalid"}}
	both := http.Header{"Origin": {"http://example.invalid"}, "Authorization": {"Bearer sesame"}}
	for _, test := range []struct {
		name, version, token, path string
		header                     http.Header
		want                       int
		reason                     string
	}{
		{"plain", VersionSingle, "", "/ws", nil, 101, ""},
		{"root", VersionSingle, "", "/", nil, 101, ""},
		{"other path", VersionSingle, "", "/other", nil, 404, ""},
		{"trailing slash", VersionSingle, "", "/ws/", nil, 404, ""},
		{"channel on one socket", VersionSingle, "", "/ws?channel=control", nil, 426, ""},
		{"empty channel on one socket", VersionSingle, "", "/ws?channel=", nil, 426, ""},
		{"channel comes before token", VersionSingle, "sesame", "/ws?channel=stream", nil, 426, ""},
		{"control", VersionSplit, "", "/ws?channel=control", nil, 101, ""},
		{"plain is control", VersionSplit, "", "/ws", nil, 101, ""},
		{"stream", VersionSplit, "", "/ws?channel=stream", nil, 101, ""},
		{"bogus channel", VersionSplit, "", "/ws?channel=bogus", nil, 400, ""},
		{"no token", VersionSingle, "sesame", "/ws", nil, 401, "missing websocket bearer token"},
		{"no scheme", VersionSingle, "sesame", "/ws", bearer("sesame"), 401, "invalid authorization header"},
		{"wrong token", VersionSingle, "sesame", "/ws", bearer("Bearer open"), 401, "invalid websocket bearer token"},
		{"token", VersionSingle, "sesame", "/ws", bearer("bearer sesame"), 101, ""},
		{"origin", VersionSingle, "", "/ws", origin, 403, ""},
		{"origin and token", VersionSingle, "sesame", "/ws", both, 101, ""},
		{"origin and token before 0.29.4", VersionJune, "sesame", "/ws", both, 403, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, Options{Version: test.version, Token: test.token})
			status, reason := upgrade(t, strings.TrimSuffix(s.URL(), "/ws")+test.path, test.header)
			if status != test.want || (test.reason != "" && reason != test.reason) {
				t.Errorf("answer is %d %q, want %d %q", status, reason, test.want, test.reason)
			}
		})
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version, token, path, authorization string
		want                                int
		body                                string
	}{
		{VersionSingle, "sesame", "/readyz", "", 200, "ok\n"},
		{VersionSingle, "sesame", "/healthz", "", 200, "ok\n"},
		{VersionSingle, "", "/app-server-info", "", 200, `"letta_code_version":"0.30.28"`},
		{VersionSplit, "", "/app-server-info", "", 200, `"split_channels":true`},
		{VersionJune, "", "/app-server-info", "", 404, ""},
		{VersionSingle, "sesame", "/app-server-info", "", 401, `{"error":"missing websocket bearer token"}`},
		{VersionSingle, "sesame", "/app-server-info", "Bearer sesame", 200, `"success":true`},
		{VersionSingle, "", "/v1/models", "", 404, ""},
	} {
		t.Run(test.version+test.path, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, Options{Version: test.version, Token: test.token})
			url := "http" + strings.TrimPrefix(strings.TrimSuffix(s.URL(), "/ws"), "ws") + test.path
			req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.authorization != "" {
				req.Header.Set("Authorization", test.authorization)
			}
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.want || !strings.Contains(string(body), test.body) {
				t.Errorf("answer is %d %s, want %d with %s", resp.StatusCode, body, test.want, test.body)
			}
		})
	}
}

// closed reads to the end of a connection and returns its close code and reason.
func (c *rawClient) closed() (websocket.StatusCode, string) {
	c.t.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		var closing websocket.CloseError
		if errors.As(err, &closing) {
			return closing.Code, closing.Reason
		}
		return websocket.StatusAbnormalClosure, ""
	}
}

func TestSplitChannels(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{Version: VersionSplit})
	control, stream := dialRaw(t, s.URL()+"?channel=control"), dialRaw(t, s.URL()+"?channel=stream")
	if code, reason := dialRaw(t, s.URL()+"?channel=control").closed(); code != 1008 || reason != "control channel already connected" {
		t.Errorf("second control: %d %q", code, reason)
	}
	if code, reason := dialRaw(t, s.URL()+"?channel=stream").closed(); code != 1008 || reason != "stream channel already connected" {
		t.Errorf("second stream: %d %q", code, reason)
	}
	control.send(frame{"type": "runtime_start", "request_id": "r", "create_agent": frame{"body": frame{}}})
	answer := control.untilType("runtime_start_response")[0]
	stream.untilType("update_subagent_state")
	control.input(answer["runtime"].(frame), "m", "[[say:hello]]")
	list := stream.until("the end", func(f frame) bool { return token(f) == "loop WAITING_ON_INPUT" })
	if got := text(list); got != "hello " {
		t.Errorf("text is %q", got)
	}
	for _, f := range list {
		if f["type"] == "turn_finished" || f["type"] == "input_accepted" {
			t.Errorf("an old server sent %v", f["type"])
		}
	}
	_ = control.ws.CloseNow()
	stream.closed()
	// The slot is free again.
	again := dialRaw(t, s.URL())
	again.send(frame{"type": "runtime_start", "request_id": "r", "create_agent": frame{"body": frame{}}})
	again.untilType("runtime_start_response")
}

func TestJuneShowsApprovalsInTheDeviceStatusOnly(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{Version: VersionJune, Exec: true})
	c := dialRaw(t, s.URL())
	runtime := c.start(frame{"mode": "standard"})
	c.input(runtime, "m", `[[tool:Write:{"file_path":"a","content":"b"}]]`)
	list := c.until("the request", func(f frame) bool {
		d, _ := f["device_status"].(frame)
		pending, _ := d["pending_control_requests"].([]any)
		return len(pending) == 1
	})
	for _, f := range list {
		if f["type"] == "control_request" {
			t.Error("a June server sent control_request")
		}
	}
}
