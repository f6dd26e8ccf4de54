//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/otlpreceiver"
	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestWhatCanBeSeen runs a team of two on the real App Server and compares what the
// metrics, the trace and `orchestrator usage` say about it: they agree with each other,
// and with the tokens that the App Server has told.
func TestWhatCanBeSeen(t *testing.T) {
	t.Parallel()
	receiver := otlpreceiver.New()
	collector := httptest.NewServer(receiver)
	t.Cleanup(collector.Close)
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		if _, step, _ := req.LastUser(); step == 0 {
			return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{"command": "true", "description": "Nothing"})}
		}
		return scriptedmodel.Reply{Text: "done"}
	})
	env, dir, data := environment(t, model), t.TempDir(), t.TempDir()
	teams := filepath.Join(dir, "teams")
	if err := os.Mkdir(teams, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "prices.yaml"), "version: 1\nmodels:\n  "+modelHandle+": {input: 1, output: 2}\n")
	write(t, filepath.Join(teams, "pair.yaml"), `version: 1
name: pair
limits: {turns: 4}
agents:
  one: {prompt: Work., permission_mode: unrestricted, model: `+modelHandle+`}
  two: {prompt: Work., permission_mode: unrestricted, model: `+modelHandle+`}
checks:
  told: {run: test -n "$TRACEPARENT"}
start: one
message: go
handoffs:
  - {from: one, on: end_turn, to: two}
  - {from: two, on: end_turn, to: told}
  - {from: told, on: passed, to: succeeded}
  - {from: "*", on: "*", to: failed}
`)
	write(t, filepath.Join(dir, "orchestrator.yaml"), fmt.Sprintf(
		"version: 1\nlisten: [\"127.0.0.1:0\"]\nteams: teams\nprices: prices.yaml\napp_servers:\n  - {name: real, url: %q}\ntracing: {endpoint: %q}\n",
		startAppServer(t, env).url, collector.URL))
	daemon := serve(t, env, data, "--config", filepath.Join(dir, "orchestrator.yaml"))
	const trace = "0af7651916cd43dd8448eb211c80319c"
	made := orchestrator(t, env, "submit", "pair", "--data-dir", data, "--traceparent", "00-"+trace+"-b7ad6b7169203331-01", "--json")
	var task struct{ Task string }
	decode(t, made.stdout, &task)
	state := daemon.await(task.Task, "the end", ended)
	if state.Status != workflow.TaskSucceeded || state.Usage.TotalTokens == 0 || state.Cost == 0 {
		t.Fatalf("%s, %+v, cost %d: %+v", state.Status, state.Usage, state.Cost, state.Result)
	}

	var sums api.UsageReport
	told := orchestrator(t, env, "usage", "--by", "agent", "--data-dir", data, "--json")
	decode(t, told.stdout, &sums)
	usage := map[string]workflow.Usage{}
	for _, row := range sums.Rows {
		usage[strings.TrimPrefix(row.Key, "pair/")] = row.Usage
	}
	if sums.Total.Turns != 2 || sums.Total.Usage.TotalTokens != state.Usage.TotalTokens || sums.Total.Cost != state.Cost || len(usage) != 2 {
		t.Errorf("usage %s, want %+v", told.stdout, state.Usage)
	}

	metrics := scrape(t, daemon.URL())
	sum := func(pattern string) float64 {
		total := 0.0
		for _, found := range regexp.MustCompile(`(?m)^orchestrator_`+pattern+`(\S+)$`).FindAllStringSubmatch(metrics, -1) {
			value, err := strconv.ParseFloat(found[len(found)-1], 64)
			if err != nil {
				t.Error(err)
			}
			total += value
		}
		return total
	}
	for pattern, want := range map[string]float64{
		`tokens_total\{.*type="input"\} `:                                                           float64(state.Usage.PromptTokens),
		`tokens_total\{.*type="output"\} `:                                                          float64(state.Usage.CompletionTokens),
		`turns_total\{agent="(?:one|two)",kind="agent",reason="end_turn",team="pair"\} `:            2,
		`handoffs_total\{from="one",rule="1",team="pair",to="two"\} `:                               1,
		`handoff_results_total\{from="one",result="end_turn",rule="1",team="pair",to="two"\} `:      1,
		`handoff_tokens_total\{from="one",rule="1",team="pair",to="two",type="(?:input|output)"\} `: float64(usage["one"].PromptTokens + usage["one"].CompletionTokens),
		`handoff_latency_seconds_count `:                                                            1,
		`app_server_up\{server="ws:[^"]+"\} `:                                                       1,
		`app_server_turns\{server="ws:[^"]+"\} `:                                                    0,
		`tasks\{state="succeeded",team="pair"\} `:                                                   1,
		`store_up `: 1,
	} {
		if got := sum(pattern); got != want {
			t.Errorf("%s is %v, want %v", pattern, got, want)
		}
	}
	if got := sum(`cost_usd_total\{.*\} `); int64(got*1e6+0.5) != state.Cost {
		t.Errorf("cost %v, want %d millionths", got, state.Cost)
	}

	spans, err := receiver.Await(t.Context(), func(spans []otlpreceiver.Span) bool {
		for _, s := range spans {
			if s.Name == "invoke_workflow pair" {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]otlpreceiver.Span{}
	for _, s := range spans {
		byName[s.Name] = s
		if s.Trace != trace {
			t.Errorf("%s is in the trace %s", s.Name, s.Trace)
		}
	}
	for _, agent := range []string{"one", "two"} {
		s, used := byName["invoke_agent "+agent], usage[agent]
		for name, want := range map[string]string{
			"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent, "gen_ai.request.model": modelHandle, "gen_ai.response.finish_reasons": "end_turn",
			"gen_ai.usage.input_tokens": fmt.Sprint(used.PromptTokens), "gen_ai.usage.output_tokens": fmt.Sprint(used.CompletionTokens), "orchestrator.task.id": task.Task,
		} {
			if got := s.Attributes[name]; got != want && !strings.HasSuffix(want, "/"+got) {
				t.Errorf("%s of %q is %q, want %q", name, s.Name, got, want)
			}
		}
		if s.Attributes["gen_ai.conversation.id"] == "" || !s.End.After(s.Start) {
			t.Errorf("%+v", s)
		}
	}
	for _, name := range []string{"submit_task pair", "queued", "handoff one → two", "check told", "commit turn_finished"} {
		if byName[name].Trace == "" {
			t.Errorf("there is no span %q", name)
		}
	}
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", response.Status, err, text)
	}
	return string(text)
}
