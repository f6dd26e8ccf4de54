package orchestrator

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// curlWord is a word of a command of docs/api.md, perhaps in single quotes.
var curlWord = regexp.MustCompile(`'[^']*'|[^ ']+`)

// TestAPIDocument sends what the curl commands of docs/api.md send.
func TestAPIDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	teams := t.TempDir()
	source := "version: 1\nname: first\ninputs: {goal: {required: true}}\nchecks: {c: {run: \"true\"}}\nstart: c\nhandoffs: [{from: c, on: passed, to: succeeded}, {from: c, on: \"*\", to: failed}]\n"
	if err := os.WriteFile(filepath.Join(teams, "first.yaml"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	d := serving(t, DaemonOptions{Config: config.Config{Teams: teams}})
	socket := strings.TrimPrefix(d.URLs()[0], "unix://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	commands := 0
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ curl --unix-socket ~/.local/state/orchestrator/api.sock ")
		if !ok {
			if strings.HasPrefix(line, "$ ") {
				t.Errorf("not tried: %s", line)
			}
			continue
		}
		commands++
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://daemon", nil)
		if err != nil {
			t.Fatal(err)
		}
		words := curlWord.FindAllString(command, -1)
		for i := 0; i < len(words); i++ {
			word := strings.Trim(words[i], "'")
			switch word {
			case "-H":
				i++
				name, value, _ := strings.Cut(strings.Trim(words[i], "'"), ": ")
				request.Header.Set(name, value)
			case "-d":
				i++
				request.Method, request.Body = http.MethodPost, io.NopCloser(strings.NewReader(strings.Trim(words[i], "'")))
			default:
				if request.URL, err = request.URL.Parse(word); err != nil {
					t.Fatal(err)
				}
			}
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		want := http.StatusOK
		if strings.HasSuffix(command, "/nothing") {
			want = http.StatusNotFound
		}
		if response.StatusCode != want || len(body) == 0 {
			t.Errorf("%s: %d %s", command, response.StatusCode, body)
		}
	}
	if commands < 5 {
		t.Errorf("%d commands", commands)
	}
}
