package scriptedmodel

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, s *Server, messages string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/chat/completions", strings.NewReader(`{"messages":`+messages+`}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close(); http.DefaultClient.CloseIdleConnections() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, string(body) + " " + err.Error()
	}
	return res.StatusCode, string(body)
}

func TestDirectives(t *testing.T) {
	tests := []struct {
		name, messages string
		status         int
		want           []string
	}{
		{"say", `[{"role":"user","content":"[[say:hello world]]"}]`, 200, []string{`"content":"hello "`, `"content":"world "`, `"finish_reason":"stop"`, "[DONE]"}},
		{"parts", `[{"role":"user","content":[{"type":"text","text":"[[say:from parts]]"}]}]`, 200, []string{`"content":"parts "`}},
		{"tool", `[{"role":"user","content":"[[tool:Bash:{\"command\":\"ls\"}]]"}]`, 200, []string{`"name":"Bash"`, `"finish_reason":"tool_calls"`}},
		{"after the tool", `[{"role":"user","content":"[[tool:Bash:{}]] [[say:done]]"},{"role":"assistant","tool_calls":[{}]},{"role":"tool","content":"x"}]`, 200, []string{`"content":"done "`}},
		{"error", `[{"role":"user","content":"[[err:429]]"}]`, 429, []string{"scripted failure 429"}},
		{"length", `[{"role":"user","content":"[[length]]"}]`, 200, []string{`"finish_reason":"length"`}},
		{"drop", `[{"role":"user","content":"[[drop]]"}]`, 0, []string{"EOF"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Start(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			status, body := ask(t, s, tt.messages)
			if status != tt.status {
				t.Errorf("status %d, want %d: %s", status, tt.status, body)
			}
			for _, want := range tt.want {
				if !strings.Contains(body, want) {
					t.Errorf("answer lacks %q:\n%s", want, body)
				}
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests logged, want 1", n)
			}
		})
	}
}

func TestTransientFailure(t *testing.T) {
	s, err := Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	message := `[{"role":"user","content":"[[errn:500:2:key]] [[say:better]]"}]`
	for i, want := range []int{500, 500, 200} {
		if status, body := ask(t, s, message); status != want {
			t.Errorf("request %d: status %d, want %d: %s", i+1, status, want, body)
		}
	}
}
