//go:build unix

package appserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

type fake struct {
	dir string
	log *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFake(t *testing.T, version, behaviours string) (*fake, Options) {
	t.Helper()
	f := &fake{dir: t.TempDir(), log: &logBuffer{}}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return f, Options{
		Command: executable, Home: filepath.Join(t.TempDir(), "home"), Log: zerolog.New(f.log),
		Env: []string{
			envFake + "=" + behaviours, envDir + "=" + f.dir, envVersion + "=" + version,
			"GORACE=atexit_sleep_ms=0", // else every exit of a binary with the race detector takes a second
		},
		RestartDelay: 5 * time.Millisecond, MaxRestartDelay: 20 * time.Millisecond, StopGrace: 10 * time.Second, StartTimeout: 20 * time.Second,
	}
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (f *fake) start(t *testing.T, n int) seen {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, fmt.Sprintf("start-%d.json", n)))
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func address(t *testing.T, s *Server) string {
	t.Helper()
	u, err := s.URL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func post(t *testing.T, s *Server, path string) {
	t.Helper()
	response, err := http.Post("http"+strings.TrimPrefix(address(t, s), "ws")+path, "", nil)
	if err == nil { // it may exit before it answers
		_ = response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// waitFor waits until the server has come up again so often.
func waitFor(t *testing.T, s *Server, restarts int) string {
	t.Helper()
	for {
		s.mu.Lock()
		n, u, changed := s.restarts, s.url, s.changed
		s.mu.Unlock()
		if n >= restarts && u != "" {
			return u
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the test is over")
		case <-time.After(30 * time.Second):
			t.Fatalf("%d restarts, want %d", n, restarts)
		}
	}
}

func TestStartAndStop(t *testing.T) {
	t.Setenv("LETTA_CODE_TELEM", "user's own")
	f, opts := newFake(t, "0.30.28", "slow")
	s := start(t, opts)
	if v := s.Version(); v != (Version{0, 30, 28}) || s.Name() != "managed" || s.Restarts() != 0 {
		t.Errorf("version %v, name %q, restarts %d", v, s.Name(), s.Restarts())
	}
	if u := address(t, s); !strings.HasPrefix(u, "ws://127.0.0.1:") || strings.HasSuffix(u, "/ws") {
		t.Errorf("URL = %s", u)
	}
	if s.Started().IsZero() || time.Since(s.Started()) > time.Minute {
		t.Errorf("Started() = %v", s.Started())
	}
	got := f.start(t, 1)
	private := filepath.Dir(got.Dir)
	want := []string{
		"server", "--backend", "local", "--listen", "ws://127.0.0.1:0",
		"--ws-auth", "capability-token", "--ws-token-file", filepath.Join(private, "token"),
	}
	if !slices.Equal(got.Args, want) {
		t.Errorf("arguments = %q, want %q", got.Args, want)
	}
	token, err := s.Token(t.Context())
	if err != nil || len(token) < 20 || got.Token != token {
		t.Errorf("token of %d bytes, the server read %d bytes from a file of mode 0600", len(token), len(got.Token))
	}
	for name, want := range map[string]string{
		"HOME": opts.Home, "DISABLE_AUTOUPDATER": "1", "LETTA_CODE_TELEM": "user's own", "LETTA_CODE_LOCAL_PROVIDER_TIMEOUT_MS": "120000",
	} {
		if got.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, got.Env[name], want)
		}
	}
	if own, _ := os.Getwd(); got.Dir == own || got.PGID == os.Getpid() {
		t.Errorf("the server runs in %s in process group %d", got.Dir, got.PGID)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatalf("second Stop: %v", err)
	}
	if _, err := s.URL(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("URL after Stop: %v", err)
	}
	if _, err := os.Stat(private); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the token's directory is still there: %v", err)
	}
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v", s, s), f.log.String()} {
		if strings.Contains(printed, token) {
			t.Errorf("the token is printed: %s", printed)
		}
	}
}

func TestOldServersAreStartedTheOldWay(t *testing.T) {
	for _, tc := range []struct {
		version string
		args    []string
		backend bool
		token   bool
	}{
		{"0.28.12", []string{"server", "--backend", "local", "--listen"}, false, true},
		{"0.28.11", []string{"app-server", "--listen"}, true, true},
		{"0.27.20", []string{"app-server", "--listen"}, true, true},
		{"0.27.12", []string{"app-server", "--listen"}, true, false},
		{"1.0.0", []string{"server", "--backend", "local", "--listen"}, false, true},
	} {
		t.Run(tc.version, func(t *testing.T) {
			f, opts := newFake(t, tc.version, "ok")
			s := start(t, opts)
			got := f.start(t, 1)
			if !slices.Equal(got.Args[:len(tc.args)], tc.args) {
				t.Errorf("arguments = %q, want %q first", got.Args, tc.args)
			}
			if _, err := os.Stat(filepath.Join(f.dir, "backend.json")); (err == nil) != tc.backend {
				t.Errorf("backend was chosen by its own command: %v, want %v", err == nil, tc.backend)
			}
			token, err := s.Token(t.Context())
			if err != nil || (token != "") != tc.token || got.Token != token {
				t.Errorf("token = %v, want %v", token != "", tc.token)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	for _, tc := range []struct {
		name, version, behaviour string
		change                   func(*Options)
		want                     []string
	}{
		{"not installed", "", "", func(o *Options) { o.Command = "letta-that-is-not-there" }, []string{"not installed", "npm install -g @letta-ai/letta-code"}},
		{"too old", "0.27.8", "ok", nil, []string{"letta 0.27.8 has no App Server", "npm install -g"}},
		{"no version", "hello", "ok", nil, []string{"find out the App Server's version", "names no version"}},
		{"version fails", "broken", "ok", nil, []string{"find out the App Server's version", "node: not found"}},
		{"crashes", "0.30.28", "crash", nil, []string{"exit status 3", "Error: the store is locked", "no line break here"}},
		{"exits with 0", "0.30.28", "exit", nil, []string{"exited with status 0"}},
		{"never listens", "0.30.28", "silent", func(o *Options) { o.StartTimeout = 300 * time.Millisecond }, []string{"did not say where it listens", "not ready within 300ms", "I never listen"}},
		{"never ready", "0.30.28", "never", func(o *Options) { o.StartTimeout = 500 * time.Millisecond }, []string{"does not become ready", "503", "not ready within 500ms"}},
		{"no address", "0.30.28", "nonsense", nil, []string{"which is no address"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, opts := newFake(t, tc.version, tc.behaviour)
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			if tc.change != nil {
				tc.change(&opts)
			}
			s, err := Start(t.Context(), opts)
			if err == nil {
				_ = s.Stop(t.Context())
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if tc.name == "not installed" && !errors.Is(err, ErrNotInstalled) {
				t.Errorf("%v is no ErrNotInstalled", err)
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	_, opts := newFake(t, "0.30.28", "silent")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := Start(ctx, opts); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatalf("error = %v", err)
	}
}

func TestServerOutlivesTheContextOfItsStart(t *testing.T) {
	_, opts := newFake(t, "0.30.28", "ok")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	post(t, s, "/exit?code=0")
	waitFor(t, s, 1)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRestartAfterEveryExit(t *testing.T) {
	f, opts := newFake(t, "0.30.28", "ok")
	s := start(t, opts)
	first, token := address(t, s), f.start(t, 1).Token
	started := s.Started()
	for i, code := range []string{"0", "7"} {
		post(t, s, "/exit?code="+code)
		u := waitFor(t, s, i+1)
		if u == first {
			t.Errorf("still %s", u)
		}
		if got := f.start(t, i+2); got.Token != token {
			t.Error("the token changed")
		}
		if !s.Started().After(started) {
			t.Error("Started() did not move")
		}
		started = s.Started()
	}
	log := f.log.String()
	for _, want := range []string{"exited with status 0", "exit status 7", "exiting as told with 7", "App Server is ready again"} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
}

// A server that hangs without exiting is ended and started again.
func TestHangingServerIsStartedAgain(t *testing.T) {
	f, opts := newFake(t, "0.30.28", "ok")
	opts.HangTimeout = 300 * time.Millisecond
	s := start(t, opts)
	before := address(t, s)
	if err := syscall.Kill(-f.start(t, 1).PGID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if after := waitFor(t, s, 1); after == before || s.Restarts() != 1 {
		t.Errorf("%s after %s, %d restarts", after, before, s.Restarts())
	}
	if log := f.log.String(); !strings.Contains(log, "it did not answer for 300ms and was killed") {
		t.Errorf("log: %s", log)
	}
}

func TestCrashLoopIsSurvived(t *testing.T) {
	f, opts := newFake(t, "0.30.28", "ok,crash,crash,crash,ok")
	opts.RestartDelay, opts.MaxRestartDelay = 20*time.Millisecond, time.Second
	s := start(t, opts)
	post(t, s, "/exit?code=1")
	waitFor(t, s, 1)
	if n := s.Restarts(); n != 1 {
		t.Errorf("%d restarts, want 1: those that failed do not count", n)
	}
	// 20, 40, 80, 160 ms less a fifth, between five starts.
	if gap := f.start(t, 5).Started.Sub(f.start(t, 2).Started); gap < (40+80+160)*time.Millisecond*4/5 {
		t.Errorf("the back-off does not grow: starts 2 to 5 within %v", gap)
	}
}

func TestURLTellsWhyThereIsNone(t *testing.T) {
	_, opts := newFake(t, "0.30.28", "ok,crash")
	opts.RestartDelay, opts.MaxRestartDelay = time.Millisecond, time.Millisecond
	s := start(t, opts)
	post(t, s, "/exit?code=1")
	for {
		s.mu.Lock()
		err, changed := s.err, s.changed
		s.mu.Unlock()
		if err != nil && strings.Contains(err.Error(), "exit status 3") {
			break
		}
		<-changed
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("no more patience"))
	defer cancel()
	if _, err := s.URL(ctx); err == nil || !strings.Contains(err.Error(), "no more patience") || !strings.Contains(err.Error(), "the store is locked") {
		t.Errorf("error = %v", err)
	}
}

func TestStopDuringBackOff(t *testing.T) {
	_, opts := newFake(t, "0.30.28", "ok")
	opts.RestartDelay, opts.MaxRestartDelay = time.Hour, time.Hour
	s := start(t, opts)
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	post(t, s, "/exit?code=0")
	<-changed
	waiting := make(chan error, 1)
	go func() {
		_, err := s.URL(t.Context())
		waiting <- err
	}()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, ErrStopped) {
		t.Errorf("URL during Stop: %v", err)
	}
}

func TestDeafServerIsKilled(t *testing.T) {
	for _, tc := range []struct {
		name  string
		grace time.Duration
		ctx   time.Duration
	}{
		{"after the grace", 100 * time.Millisecond, time.Hour},
		{"when the context ends", time.Hour, 100 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, opts := newFake(t, "0.30.28", "deaf")
			opts.StopGrace = tc.grace
			s := start(t, opts)
			at := strings.TrimPrefix(address(t, s), "ws://")
			ctx, cancel := context.WithTimeout(t.Context(), tc.ctx)
			defer cancel()
			if err := s.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			refused(t, at)
		})
	}
}

func refused(t *testing.T, at string) {
	t.Helper()
	// A process that was killed takes a moment to vanish.
	for range 500 {
		conn, err := net.DialTimeout("tcp", at, time.Second)
		if err != nil {
			return
		}
		_ = conn.Close()
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("something still listens on %s", at)
}

func TestWhatTheServerLeftRunningEndsWithIt(t *testing.T) {
	f, opts := newFake(t, "0.30.28", "lingering")
	s := start(t, opts)
	at, err := os.ReadFile(filepath.Join(f.dir, "linger"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(t, string(at))
}

func TestOutputIsDrainedAndBounded(t *testing.T) {
	f, opts := newFake(t, "0.30.28", "ok")
	s := start(t, opts)
	post(t, s, "/talk")
	post(t, s, "/exit?code=9") // whoever answers this has not been blocked by its own output
	waitFor(t, s, 1)
	log := f.log.String()
	if !strings.Contains(log, "the token is [redacted]") || strings.Contains(log, f.start(t, 1).Token) {
		t.Error("the token is in the log")
	}
	for line := range strings.Lines(log) {
		if len(line) > maxLine+1000 && strings.Contains(line, `"stream"`) {
			t.Fatalf("a line of %d bytes in the log", len(line))
		}
	}
}
