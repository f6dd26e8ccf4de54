//go:build unix

package appserver

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is its own letta: with FAKE_LETTA set it behaves as one.
// FAKE_LETTA holds a comma-separated list of behaviours, one for each start;
// the last one repeats. FAKE_LETTA_DIR is where it leaves what it saw.
const (
	envFake    = "FAKE_LETTA"
	envDir     = "FAKE_LETTA_DIR"
	envVersion = "FAKE_LETTA_VERSION"
)

func TestMain(m *testing.M) {
	if os.Getenv(envFake) != "" {
		fakeLetta()
		return
	}
	goleak.VerifyTestMain(m)
}

// seen is what one start of the fake saw.
type seen struct {
	Args    []string
	Env     map[string]string
	Dir     string
	Token   string
	Started time.Time
	PGID    int
}

func fakeLetta() {
	switch {
	case slices.Contains(os.Args, "--version"):
		if os.Getenv(envVersion) == "broken" {
			_, _ = fmt.Fprintln(os.Stderr, "node: not found")
			os.Exit(127)
		}
		fmt.Println(os.Getenv(envVersion) + " (Letta Code)") //nolint:forbidigo // this is the output of the program that the test plays
		return
	case slices.Contains(os.Args, "backend"):
		record("backend.json", 0)
		return
	case slices.Contains(os.Args, "linger"):
		linger()
	}
	n := nextStart()
	record("start-"+strconv.Itoa(n)+".json", n)
	behaviours := strings.Split(os.Getenv(envFake), ",")
	behave(behaviours[min(n, len(behaviours))-1])
}

func nextStart() int {
	dir := os.Getenv(envDir)
	for n := 1; ; n++ {
		f, err := os.OpenFile(filepath.Join(dir, "n-"+strconv.Itoa(n)), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_ = f.Close()
			return n
		}
	}
}

func record(name string, _ int) {
	s := seen{Args: os.Args[1:], Env: map[string]string{}, Started: time.Now(), PGID: syscall.Getpgrp()}
	s.Dir, _ = os.Getwd()
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		s.Env[k] = v
	}
	if i := slices.Index(os.Args, "--ws-token-file"); i > 0 {
		data, err := os.ReadFile(os.Args[i+1])
		info, statErr := os.Stat(os.Args[i+1])
		if err == nil && statErr == nil && info.Mode().Perm() == 0o600 {
			s.Token = string(data)
		}
	}
	data, _ := json.Marshal(s)
	file := filepath.Join(os.Getenv(envDir), name)
	_ = os.WriteFile(file+".tmp", data, 0o600)
	_ = os.Rename(file+".tmp", file)
}

func behave(behaviour string) {
	say := func(text string) { _, _ = fmt.Fprintln(os.Stdout, text) }
	switch behaviour {
	case "crash":
		_, _ = fmt.Fprintln(os.Stderr, "Error: the store is locked")
		_, _ = fmt.Fprint(os.Stderr, "no line break here")
		os.Exit(3)
	case "exit":
		os.Exit(0)
	case "silent":
		say("I never listen")
		wait()
	case "nonsense":
		say("Listening on ws://:::")
		wait()
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	case "lingering":
		cmd := exec.Command(os.Args[0], "linger")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		_ = cmd.Start()
		for {
			if _, err := os.Stat(filepath.Join(os.Getenv(envDir), "linger")); err == nil {
				break
			}
		}
	}
	var notReady atomic.Int32
	if behaviour == "slow" {
		notReady.Store(3)
	}
	if behaviour == "never" {
		notReady.Store(1 << 30)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if notReady.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("POST /exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		_, _ = fmt.Fprintln(os.Stderr, "exiting as told with", code)
		os.Exit(code)
	})
	mux.HandleFunc("POST /talk", func(_ http.ResponseWriter, _ *http.Request) {
		// More than a pipe holds: whoever does not read it makes us hang here.
		for range 40 {
			say(strings.Repeat("x", 8<<10))
		}
		token, _ := os.ReadFile(os.Args[slices.Index(os.Args, "--ws-token-file")+1])
		say("the token is " + string(token))
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	say("some line before")
	say("Listening on ws://" + ln.Addr().String())
	say("WebSocket: ws://" + ln.Addr().String() + "/ws")
	if behaviour == "deaf" {
		_ = http.Serve(ln, mux)
	}
	go func() { _ = http.Serve(ln, mux) }()
	wait()
}

// linger is a tool that the server left running; it holds its output open and listens.
func linger() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	signal.Ignore(syscall.SIGTERM)
	_ = os.WriteFile(filepath.Join(os.Getenv(envDir), "linger.tmp"), []byte(ln.Addr().String()), 0o600)
	_ = os.Rename(filepath.Join(os.Getenv(envDir), "linger.tmp"), filepath.Join(os.Getenv(envDir), "linger"))
	for {
		if conn, err := ln.Accept(); err == nil {
			_ = conn.Close()
		}
	}
}

func wait() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	<-signals
	os.Exit(0)
}
