package apptest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// maxInboundFrame is the real server's limit; a larger frame closes the socket with 1009.
const maxInboundFrame = 100 << 20

func (p *process) serveHTTP(w http.ResponseWriter, r *http.Request) {
	leave, ok := p.enter()
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer leave()
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	switch {
	case upgrade:
		p.serveUpgrade(w, r)
	case r.Header.Get("Origin") != "":
		w.WriteHeader(http.StatusForbidden)
	case r.URL.Path == "/readyz", r.URL.Path == "/healthz":
		_, _ = io.WriteString(w, "ok\n") // a client that went away is no concern of this handler
	case r.URL.Path == "/app-server-info" && p.server.features.serverInfo:
		p.serveInfo(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (p *process) serveInfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if cause := p.server.authorize(r); cause != "" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write(mustJSON(map[string]string{"error": cause}))
		return
	}
	_, _ = w.Write(mustJSON(p.server.info("http-info")))
}

// authorize returns why a request is refused, in the words of the real server, or "".
func (s *Server) authorize(r *http.Request) string {
	if s.opts.Token == "" {
		return ""
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return "missing websocket bearer token"
	}
	scheme, token, ok := strings.Cut(header, " ")
	if token = strings.TrimSpace(token); !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "invalid authorization header"
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.opts.Token))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return "invalid websocket bearer token"
	}
	return ""
}

// serveUpgrade applies the rules of the upgrade in the order of the real server: path, channel, token, origin.
func (p *process) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" && r.URL.Path != "/" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	channel := r.URL.Query().Get("channel")
	split := p.server.opts.Transport == TransportSplit
	switch {
	case !split && r.URL.Query().Has("channel"):
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	case split && channel != "" && channel != "control" && channel != "stream":
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if cause := p.server.authorize(r); cause != "" {
		refuse(w, cause)
		return
	}
	if r.Header.Get("Origin") != "" && (p.server.opts.Token == "" || !p.server.features.originWithToken) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if split && channel == "" {
		channel = "control"
	}
	so := newSocket(p, channel)
	defer so.cancel()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin rule above replaces the library's
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { so.flush(); return true },
	})
	if err != nil {
		return // Accept has answered the request
	}
	ws.SetReadLimit(maxInboundFrame)
	so.ws = ws
	p.serveSocket(so) //nolint:contextcheck // a socket lives as long as the process, not as the request
}

// refuse answers 401 with the cause in the reason phrase, which net/http cannot set.
func refuse(w http.ResponseWriter, cause string) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	c, _, err := hijacker.Hijack()
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	defer func() { _ = c.Close() }() // the client is refused either way
	_, _ = fmt.Fprintf(c, "HTTP/1.1 401 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", cause)
}

// serverInfo is the answer to app_server_info.
type serverInfo struct {
	Type         string          `json:"type"`
	RequestID    string          `json:"request_id"`
	Success      bool            `json:"success"`
	Backend      string          `json:"backend"`
	Version      string          `json:"letta_code_version"`
	Protocol     int             `json:"protocol_version"`
	Capabilities map[string]bool `json:"capabilities"`
}

func (s *Server) info(requestID string) serverInfo {
	return serverInfo{
		Type: "app_server_info_response", RequestID: requestID, Success: true,
		Backend: "local", Version: s.opts.Version, Protocol: 1,
		Capabilities: map[string]bool{
			"agent_management": true, "conversation_management": true, "memory_management": true, "runtime_start": true,
			"runtime_workspace_sandbox": false, "runtime_external_tools_update": s.features.toolsUpdate,
			"split_channels": s.opts.Transport == TransportSplit,
		},
	}
}
