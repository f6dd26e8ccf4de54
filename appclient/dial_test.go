package appclient_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func TestTransports(t *testing.T) {
	tests := []struct {
		name    string
		version string
		split   bool
		ask     appclient.Transport
		want    appclient.Transport
		err     error
	}{
		{"auto, single socket", "0.30.28", false, appclient.TransportAuto, appclient.TransportSingle, nil},
		{"auto, split", "0.29.5", true, appclient.TransportAuto, appclient.TransportSplit, nil},
		{"auto, no server info, split", "", true, appclient.TransportAuto, appclient.TransportSplit, nil},
		{"auto, no server info, 426", "", false, appclient.TransportAuto, appclient.TransportSingle, nil},
		{"single on a split server", "0.29.5", true, appclient.TransportSingle, appclient.TransportSingle, nil},
		{"split on a single-socket server", "0.30.28", false, appclient.TransportSplit, "", appclient.ErrSplitNotSupported},
		{"unknown transport", "0.30.28", false, "both", "", new(appclient.ValidationError)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := &fake{version: test.version, split: test.split, handle: (*wire).drain}
			client, err := appclient.Dial(t.Context(), appclient.Config{URL: server.start(t), Transport: test.ask})
			if test.err != nil {
				var invalid *appclient.ValidationError
				if !errors.Is(err, test.err) && !errors.As(err, &invalid) {
					t.Fatalf("error %v, want %v", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if client.Transport() != test.want || client.Info().Version != test.version {
				t.Errorf("transport %q, version %q", client.Transport(), client.Info().Version)
			}
			if err := client.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
			wantIs(t, client.Err(), appclient.ErrClosed, appclient.ErrConnectionLost)
		})
	}
}

func TestServerBusy(t *testing.T) {
	for _, channel := range []string{"control", "stream"} {
		t.Run(channel, func(t *testing.T) {
			server := &fake{version: "0.29.5", split: true, handle: func(w *wire) {
				if w.channel == channel {
					_ = w.conn.Close(websocket.StatusPolicyViolation, channel+" channel already connected")
				}
				w.drain()
			}}
			_, err := appclient.Dial(t.Context(), appclient.Config{URL: server.start(t)})
			wantIs(t, err, appclient.ErrServerBusy)
			if err == nil || !strings.Contains(err.Error(), channel+" channel already connected") {
				t.Errorf("error %v does not carry the server's text", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const token = "very-secret-token"
	for _, test := range []struct {
		status int
		body   string
		want   error
		text   string
	}{
		{401, `{"error":"invalid websocket bearer token"}`, appclient.ErrUnauthorized, "invalid websocket bearer token"},
		{401, "", appclient.ErrUnauthorized, "Unauthorized"},
		{403, "", appclient.ErrForbidden, "Forbidden"},
		{502, "", nil, "HTTP 502"},
	} {
		for _, path := range []string{"/app-server-info", "/ws"} {
			server := &fake{version: "0.30.28", handle: (*wire).drain, refuse: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") != "Bearer "+token {
					t.Errorf("authorization %q", r.Header.Get("Authorization"))
				}
				if r.URL.Path != path {
					return false
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
				return true
			}}
			_, err := appclient.Dial(t.Context(), appclient.Config{URL: server.start(t), Token: appclient.StaticToken(token + "\n")})
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
				t.Errorf("%d on %s: error %v", test.status, path, err)
				continue
			}
			if strings.Contains(err.Error(), token) || (path != "/ws" && !strings.Contains(err.Error(), test.text)) {
				t.Errorf("%d on %s: error text %q", test.status, path, err)
			}
		}
	}
}

func TestURLs(t *testing.T) {
	for _, url := range []string{"", "ftp://x", "ws://", "ws://user:hunter2@x", "ws://x/ws?token=hunter2", "ws://x:port/hunter2", "%"} {
		_, err := appclient.FetchServerInfo(t.Context(), appclient.Config{URL: url})
		var invalid *appclient.ValidationError
		if !errors.As(err, &invalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestTokens(t *testing.T) {
	secret := strings.Repeat("s", 32)
	source := appclient.SignedToken(appclient.SignedTokenConfig{Secret: []byte(secret + "\n"), Issuer: "iss", Audience: "aud"})
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("iss"), jwt.WithAudience("aud"), jwt.WithExpirationRequired())
	if err != nil || !parsed.Valid {
		t.Errorf("token: %v", err)
	}
	if exp := parsed.Claims.(jwt.MapClaims)["exp"].(float64); exp != float64(int64(exp)) {
		t.Errorf("exp %v is not an integer", exp)
	}
	dir := t.TempDir()
	full, empty := filepath.Join(dir, "full"), filepath.Join(dir, "empty")
	for path, text := range map[string]string{full: " tok \n", empty: "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if token, err := appclient.TokenFile(full).Token(t.Context()); token != "tok" || err != nil {
		t.Errorf("file: %q %v", token, err)
	}
	for name, source := range map[string]appclient.TokenSource{
		"short secret": appclient.SignedToken(appclient.SignedTokenConfig{Secret: []byte("short")}),
		"empty file":   appclient.TokenFile(empty), "no file": appclient.TokenFile(filepath.Join(dir, "none")),
		"empty": appclient.StaticToken(" "),
	} {
		if _, err := source.Token(context.Background()); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
