package api

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func given(token string) func() (string, error) { return func() (string, error) { return token, nil } }

func TestWhoMayWhat(t *testing.T) {
	tokens := &Tokens{Operator: given("operate"), ReadOnly: given("look")}
	broken := &Tokens{Operator: func() (string, error) { return "", errInside }}
	empty := &Tokens{Operator: given("")}
	remote, unix := Listener{}, Listener{Local: true, Unix: true}
	for name, c := range map[string]struct {
		listener Listener
		tokens   *Tokens
		change   func(*http.Request)
		post     bool
		status   int
	}{
		"a user of this machine":             {listener: local(), post: true, status: 200},
		"a Unix socket":                      {listener: unix, post: true, change: func(r *http.Request) { r.Host = "daemon" }, status: 200},
		"another name for this machine":      {listener: local(), change: func(r *http.Request) { r.Host = "evil.example:7717" }, status: 403},
		"a name that ends like this machine": {listener: local(), change: func(r *http.Request) { r.Host = "localhost.evil.example" }, status: 403},
		"IPv6":                               {listener: local(), change: func(r *http.Request) { r.Host = "[::1]:7717" }, status: 200},
		"IPv6 without a port":                {listener: local(), change: func(r *http.Request) { r.Host = "[::1]" }, status: 200},
		"a configured name":                  {listener: Listener{Local: true, Hosts: []string{"Box.lan"}}, change: func(r *http.Request) { r.Host = "box.lan:1" }, status: 200},
		"a page of another site":             {listener: local(), post: true, change: func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, status: 403},
		"the origin of another site":         {listener: local(), post: true, change: func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, status: 403},
		"a form":                             {listener: local(), post: true, change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, status: 415},
		"remote without tokens":              {listener: remote, status: 401},
		"remote without one":                 {listener: remote, tokens: tokens, status: 401},
		"remote with a wrong one":            {listener: remote, tokens: tokens, change: bearer("operatf"), status: 401},
		"remote with half of one":            {listener: remote, tokens: tokens, change: bearer("oper"), status: 401},
		"remote looks":                       {listener: remote, tokens: tokens, change: bearer("look"), status: 200},
		"remote changes by looking":          {listener: remote, tokens: tokens, post: true, change: bearer("look"), status: 403},
		"remote operates":                    {listener: remote, tokens: tokens, post: true, change: bearer("operate"), status: 200},
		"an empty token lets nobody in":      {listener: remote, tokens: empty, change: bearer(""), status: 401},
		"a token that cannot be read":        {listener: remote, tokens: broken, change: bearer("operate"), status: 500},
		"local with tokens for all":          {listener: local(), tokens: &Tokens{Operator: given("operate"), Local: true}, status: 401},
		"another host":                       {listener: Listener{Hosts: []string{"box.lan"}}, tokens: tokens, change: bearer("operate"), status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			a := New(Options{Service: &fake{}, Tokens: c.tokens, Log: zerolog.New(&log)})
			r := get(t, "/v1/health")
			if c.post {
				r = post(t, "/v1/tasks/T1/cancel", "{}")
			}
			if c.change != nil {
				c.change(r)
			}
			w := request(t, a, c.listener, r)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate: %q", w.Header().Get("WWW-Authenticate"))
			}
			if strings.Contains(log.String(), "operate") {
				t.Errorf("the log has a token: %s", &log)
			}
		})
	}
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestCheckListener(t *testing.T) {
	for name, c := range map[string]struct {
		local, token, tls, proxy, ok bool
	}{
		"local":                   {local: true, ok: true},
		"open":                    {},
		"a token in the clear":    {token: true},
		"a token and TLS":         {token: true, tls: true, ok: true},
		"a token behind a proxy":  {token: true, proxy: true, ok: true},
		"TLS without a token":     {tls: true},
		"a proxy without a token": {proxy: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckListener(":7717", c.local, c.token, c.tls, c.proxy)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInsecure) {
				t.Error(err)
			}
		})
	}
}

func TestWorkspacesOfOthers(t *testing.T) {
	allowed, outside := t.TempDir(), t.TempDir()
	inside := filepath.Join(allowed, "repo")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(allowed, "link")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		listener  Listener
		workspace string
		status    int
	}{
		"none":                     {Listener{}, "", 200},
		"inside":                   {Listener{}, inside, 200},
		"the directory itself":     {Listener{}, allowed, 200},
		"outside":                  {Listener{}, outside, 403},
		"up and out":               {Listener{}, allowed + "/../" + filepath.Base(outside), 403},
		"a link out":               {Listener{}, link, 403},
		"not there":                {Listener{}, filepath.Join(allowed, "nothing"), 403},
		"relative":                 {Listener{}, "repo", 422},
		"a user of this machine":   {local(), outside, 200},
		"relative on this machine": {local(), "../repo", 422},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Options{Service: &fake{}, Tokens: &Tokens{Operator: given("operate")}, Workspaces: []string{allowed}})
			r := post(t, "/v1/tasks", `{"team":"t","workspace":"`+c.workspace+`"}`)
			bearer("operate")(r)
			if w := request(t, a, c.listener, r); w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
		})
	}
}

func TestLargeBody(t *testing.T) {
	a := New(Options{Service: &fake{}, MaxBody: 1000})
	body := `{"team":"t","workspace":"/` + strings.Repeat("x", 2000) + `"}`
	w := request(t, a, local(), post(t, "/v1/tasks", body))
	if w.Code != http.StatusRequestEntityTooLarge || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	w := request(t, New(Options{Service: &fake{}, Log: zerolog.New(&log)}), local(), get(t, "/v1/tasks/panic"))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "panics") || !strings.Contains(log.String(), "the service panics") {
		t.Errorf("%d: %s; log: %s", w.Code, w.Body, &log)
	}
}
