package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Listener says where requests come from.
type Listener struct {
	// Local says that only users of this machine can connect: a Unix socket or a
	// loopback address.
	Local bool
	// Unix says that it is a Unix socket, whose clients name no host.
	Unix bool
	// Hosts are names that requests may give as their host, besides those of this
	// machine; without any, listeners that are not local take all.
	Hosts []string
}

// ErrInsecure means that a listener must not be opened as it is configured.
var ErrInsecure = errors.New("a listener would be open to others")

// CheckListener refuses what would let others in: a listener that is not local
// needs a token, and TLS or a proxy in front of it that has it.
func CheckListener(address string, local, hasToken, hasTLS, behindProxy bool) error {
	switch {
	case local:
		return nil
	case !hasToken:
		return fmt.Errorf("%w: %s can be reached by other machines, and no token is configured: name a file with one as tokens.operator_file, or listen at 127.0.0.1 or unix", ErrInsecure, address)
	case !hasTLS && !behindProxy:
		return fmt.Errorf("%w: %s can be reached by other machines, and tokens would go over the network in the clear: name tls.cert and tls.key, or say behind_proxy: true where a proxy has them", ErrInsecure, address)
	}
	return nil
}

// Tokens are what clients of listeners that are not local have to know, and
// those of local ones where they are set. A token that is empty lets nobody in.
type Tokens struct {
	// Operator and ReadOnly return the current token; nil is none.
	Operator, ReadOnly func() (string, error)
	// Local says that clients of local listeners need one, too.
	Local bool
}

type access int

const (
	accessNone access = iota
	accessRead
	accessAll
)

// access says what a request may do by its token.
func (t *Tokens) access(given string) (access, error) {
	if t == nil || given == "" {
		return accessNone, nil
	}
	found := accessNone
	for _, known := range []struct {
		source func() (string, error)
		access access
	}{{t.ReadOnly, accessRead}, {t.Operator, accessAll}} {
		if known.source == nil {
			continue
		}
		token, err := known.source()
		if err != nil {
			return accessNone, err
		}
		// Hashes have the same length, so that the time says nothing of the token.
		a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
		if token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
			found = max(found, known.access)
		}
	}
	return found, nil
}

type listenerKey struct{}

func listenerOf(ctx context.Context) Listener {
	l, _ := ctx.Value(listenerKey{}).(Listener)
	return l
}

// Handler serves the requests of one listener.
func (a *API) Handler(l Listener) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		status := &statusWriter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // it is this very value
					panic(p)
				}
				a.o.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("path", r.URL.Path).Msg("a request panicked")
				if status.status == 0 {
					a.write(status, &Problem{Type: problemType("internal"), Title: "The daemon failed", Status: http.StatusInternalServerError, Detail: "the daemon failed at this request; its log says more"})
				}
			}
			a.o.Log.Debug().Str("method", r.Method).Str("path", r.URL.Path).Int("status", status.status).Dur("took", time.Since(began)).Msg("request")
		}()
		a.bound(w, r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		err := a.admit(l, r)
		if err == nil {
			if failed := crossOrigin.Check(r); failed != nil {
				err = fmt.Errorf("%w: %w", ErrForbidden, failed)
			}
		}
		if err != nil {
			if errors.Is(err, ErrUnauthorized) {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			a.write(status, a.problem(r.Context(), err))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, a.maxBody(r)+1)
		a.mux.ServeHTTP(status, r.WithContext(context.WithValue(r.Context(), listenerKey{}, l)))
	})
}

// bound ends the connection of a client that sends its request, or takes the
// answer, too slowly. A stream takes longer, and bounds each of its writes.
func (a *API) bound(w http.ResponseWriter, r *http.Request) {
	control, now := http.NewResponseController(w), time.Now()
	// Not every connection has deadlines; those that have not are a test's.
	_ = control.SetWriteDeadline(now.Add(a.o.RequestTimeout + writeTimeout))
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(now.Add(a.o.RequestTimeout)) // also of what is left unread by a refusal
	}
}

// admit refuses requests that must not be served.
func (a *API) admit(l Listener, r *http.Request) error {
	if !l.Unix && !hostAllowed(l, r.Host) {
		// A page of another site can have its name resolved to this machine.
		return fmt.Errorf("%w: the host %q is none of this listener", ErrForbidden, r.Host)
	}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if !l.Local || a.o.Tokens != nil && a.o.Tokens.Local {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		may, err := a.o.Tokens.access(strings.TrimSpace(given))
		switch {
		case err != nil:
			return fmt.Errorf("read the tokens: %w", err)
		case may == accessNone:
			return ErrUnauthorized
		case changes && may != accessAll:
			return fmt.Errorf("%w: the token is for reading alone", ErrForbidden)
		}
	}
	if changes && r.ContentLength != 0 {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return &Problem{Type: problemType("not-json"), Title: "Not JSON", Status: http.StatusUnsupportedMediaType, Detail: "send JSON, and the header Content-Type: application/json"}
		}
	}
	return nil
}

func hostAllowed(l Listener, host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	if slices.ContainsFunc(l.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	if !l.Local {
		return len(l.Hosts) == 0
	}
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// allowWorkspace refuses directories that a client must not have tasks work in.
func (a *API) allowWorkspace(ctx context.Context, dir string) error {
	switch {
	case dir == "":
		return nil
	case !filepath.IsAbs(dir):
		return &InvalidError{Detail: fmt.Sprintf("the workspace %q is not an absolute path", dir)}
	case listenerOf(ctx).Local:
		return nil // they are users of this machine
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		for _, allowed := range a.o.Workspaces {
			root, failed := filepath.EvalSymlinks(allowed)
			if failed != nil {
				continue
			}
			if rel, failed := filepath.Rel(root, real); failed == nil && filepath.IsLocal(rel) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the workspace %s is in none of the directories that the daemon allows (workspaces in its configuration)", ErrForbidden, dir)
}

// write serves a problem outside of an operation.
func (a *API) write(w http.ResponseWriter, p error) {
	problem, ok := errors.AsType[*Problem](p)
	if !ok {
		problem = &Problem{Type: problemType("internal"), Title: "The daemon failed", Status: http.StatusInternalServerError}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	_ = json.NewEncoder(w).Encode(problem) // the client is gone
}

// statusWriter notes the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	if status == http.StatusRequestTimeout {
		w.Header().Set("Connection", "close") // what is left of the body must not be taken for a request
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// maxBody bounds the body of a request, in bytes.
func (a *API) maxBody(r *http.Request) int64 {
	if r.Method == http.MethodPost && r.URL.Path == "/v1/batches" {
		return max(a.o.MaxBody, maxBatchBody)
	}
	return a.o.MaxBody
}
