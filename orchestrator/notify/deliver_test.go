package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook.secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestSignature is the example of the specification of Standard Webhooks.
func TestSignature(t *testing.T) {
	t.Parallel()
	secret, err := readSecret(secretFile(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	const secret = "a secret that nobody sees"
	n := store.Notification{ID: "msg_1", Type: "test", Body: []byte(`{"type":"test"}`)}
	now := time.Unix(1700000000, 0)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			body, _ := io.ReadAll(r.Body)
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + string(body)))
			if r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) || r.Header.Get("webhook-timestamp") != "1700000000" ||
				r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || string(body) != string(n.Body) {
				t.Errorf("got %s %v %s", r.Method, r.Header, body)
			}
			w.WriteHeader(http.StatusAccepted)
		case "/busy":
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/elsewhere":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/hang":
			<-hang
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	defer close(hang)
	closed := httptest.NewServer(nil)
	closed.Close()
	client := newClient()
	defer client.CloseIdleConnections()
	file := secretFile(t, secret)
	for _, test := range []struct {
		address, file string
		want          result
	}{
		{server.URL + "/ok", file, result{ok: true, status: "202 Accepted"}},
		{server.URL + "/fails?token=hidden", file, result{status: "500 Internal Server Error"}},
		{server.URL + "/busy", file, result{status: "503 Service Unavailable", after: 90 * time.Second}},
		{server.URL + "/gone", file, result{status: "410 Gone", final: true}},
		{server.URL + "/elsewhere", file, result{status: "307 Temporary Redirect: redirects are not followed; give the address itself"}},
		{server.URL + "/hang", file, result{status: "no answer within 50ms"}},
		{closed.URL + "/?token=hidden", file, result{status: "no connection: dial tcp"}},
		{server.URL + "/ok", file + ".not", result{status: "the secret cannot be read"}},
		{server.URL + "/ok", secretFile(t, "\n"), result{status: "the file"}},
		{server.URL + "/ok", secretFile(t, "whsec_%%"), result{status: "the secret in"}},
	} {
		got := post(t.Context(), client, Target{Webhook: test.address, SecretFile: test.file, Timeout: 50 * time.Millisecond}, n, nil, now)
		if got.ok != test.want.ok || got.final != test.want.final || got.after != test.want.after || !strings.HasPrefix(got.status, test.want.status) {
			t.Errorf("%s: got %+v, want %+v", test.address, got, test.want)
		}
		if strings.Contains(got.status, "hidden") || strings.Contains(got.status, secret) || strings.Contains(got.status, "%%") {
			t.Errorf("%s: a secret is in %q", test.address, got.status)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("ORCHESTRATOR_TOKEN", "hidden")
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	script := filepath.Join(dir, "tell")
	text := "#!/bin/sh\ncat >\"$1\"\necho \"$2 $NOTIFICATION_ID $NOTIFICATION_TYPE [$ORCHESTRATOR_TOKEN]\" >>\"$1\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	n := store.Notification{ID: "msg_1", Type: "test", Body: []byte("{}\n")}
	for _, test := range []struct {
		command []string
		want    result
	}{
		{[]string{script, out, "$(x); `y`"}, result{ok: true, status: "exit status 0"}},
		{[]string{"sh", "-c", "echo no such user >&2; exit 3"}, result{status: "exit status 3: no such user"}},
		{[]string{filepath.Join(dir, "not")}, result{status: "it cannot be run: "}},
		{[]string{"sh", "-c", "sleep 60 & sleep 60"}, result{status: "it did not end within 200ms and was stopped"}},
	} {
		began := time.Now()
		got := run(t.Context(), Target{Command: test.command, Timeout: 200 * time.Millisecond}, n, nil)
		if got.ok != test.want.ok || !strings.HasPrefix(got.status, test.want.status) {
			t.Errorf("%q: got %+v, want %+v", test.command, got, test.want)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%q took %s", test.command, took)
		}
	}
	got, err := os.ReadFile(out)
	if want := "{}\n$(x); `y` msg_1 test []\n"; err != nil || string(got) != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestTargetsAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target Target
		says   string
	}{
		{Target{}, "one of both"},
		{Target{Webhook: "https://x", Command: []string{"y"}, SecretFile: "z"}, "one of both"},
		{Target{Webhook: "ftp://x", SecretFile: "z"}, "no http or https address"},
		{Target{Webhook: "https://user:hidden@x", SecretFile: "z"}, "no user"},
		{Target{Webhook: "https://x"}, "secret_file"},
		{Target{Command: []string{" "}}, "no program"},
		{Target{Command: []string{"y"}, On: []store.NoticeKind{"all"}}, "cannot be told"},
		{Target{Command: []string{"y"}, Timeout: time.Hour}, "timeout"},
	} {
		err := test.target.Validate()
		if !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%+v: got %v", test.target, err)
		}
	}
	a, b := Target{Webhook: "https://example.org/secret", SecretFile: "z"}, Target{Command: []string{"/bin/tell", "me"}}
	if got := a.Label(); !strings.HasPrefix(got, "example.org-") || strings.Contains(got, "secret") {
		t.Errorf("got %s", got)
	}
	if got := b.Label(); !strings.HasPrefix(got, "tell-") {
		t.Errorf("got %s", got)
	}
	n := New(Options{Store: noStore{}, Clock: realClock{}})
	if err := n.SetTargets([]Target{a, a}); !errors.Is(err, ErrTarget) {
		t.Errorf("got %v", err)
	}
}
