package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
)

// The stories in testdata/script run the real program against scripted App
// Servers. Besides the usual commands they have:
//
//	appserver NAME SCRIPT [single|split] [TOKEN]  serves SCRIPT; $NAME is its address
//	exits N orchestrator ...                      runs the program and checks its exit status
//	waitturns NAME N                              waits until server NAME was asked for N turns
//	waitfor orchestrator ...                      runs the program again and again until it prints something
//	signal SIG NAME N STATUS orchestrator ...     runs it, sends SIG (INT, HUP, TERM, KILL, or some with + between, or / for a request of its own) after N model requests at server NAME
//	fulldisk NAME N STATUS orchestrator ...       on Linux: runs it, fills its disk after N turns at server NAME, makes the file "full", and makes room when it says so
//	daemon, tell, ended, waitfile                 see daemonCommands
//	receiver, waitspan, spans                     see traceCommands
func TestScripts(t *testing.T) {
	commands := map[string]func(*testscript.TestScript, bool, []string){
		"appserver": serveScript, "exits": exits, "waitfor": waitFor, "signal": signalAfter, "waitturns": waitTurns,
	}
	maps.Copy(commands, systemCommands())
	maps.Copy(commands, daemonCommands())
	maps.Copy(commands, traceCommands())
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("ORCHESTRATOR_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Values[serversKey{}] = &servers{byName: map[string]*apptest.Server{}}
			return nil
		},
		Cmds: commands,
	})
}

type serversKey struct{}

type servers struct {
	mu     sync.Mutex
	byName map[string]*apptest.Server
}

func (s *servers) get(ts *testscript.TestScript, name string) *apptest.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.byName[name]
	if server == nil {
		ts.Fatalf("there is no App Server %s", name)
	}
	return server
}

func serveScript(ts *testscript.TestScript, _ bool, args []string) {
	options := apptest.Options{Exec: true, BootDir: ts.MkAbs(".")}
	script, err := apptest.ParseScript(args[1], []byte(ts.ReadFile(args[1])))
	ts.Check(err)
	options.Script = script
	if len(args) > 2 {
		options.Transport = apptest.Transport(args[2])
	}
	if len(args) > 3 {
		options.Token = args[3]
	}
	server, err := apptest.New(options)
	ts.Check(err)
	ts.Check(server.Start(context.Background()))
	ts.Defer(func() { ts.Check(server.Close()) })
	all := ts.Value(serversKey{}).(*servers)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.byName[args[0]] = server
	ts.Setenv(args[0], server.URL())
}

func waitTurns(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(ts.Value(serversKey{}).(*servers).get(ts, args[0]).WaitForTurns(ctx, n))
}

func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(30 * time.Second)
	for {
		ts.Check(ts.Exec(args[0], args[1:]...))
		if ts.ReadFile("stdout") != "" {
			return
		}
		select {
		case <-again.C:
		case <-timeout:
			ts.Fatalf("%v prints nothing", args)
		}
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v: exit status %d, want %d", args[1:], got, want)
	}
}

func signalAfter(ts *testscript.TestScript, _ bool, args []string) {
	known := map[string]syscall.Signal{"INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	requests, err := strconv.Atoi(args[2])
	ts.Check(err)
	want, err := strconv.Atoi(args[3])
	ts.Check(err)
	server := ts.Value(serversKey{}).(*servers).get(ts, args[1])
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[4]))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args[5:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "ORCHESTRATOR_DATA_DIR", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	ts.Check(cmd.Start())
	ts.Check(server.WaitForModelRequests(ctx, requests))
	for i, request := range strings.Split(args[0], "/") {
		for name := range strings.SplitSeq(request, "+") {
			if i > 0 { // later than what counts as the same request
				<-time.After(sameRequest + 300*time.Millisecond)
			}
			ts.Check(cmd.Process.Signal(known[name]))
		}
	}
	_ = cmd.Wait() // the status is compared below
	ts.Check(os.WriteFile(ts.MkAbs("signal.stdout"), out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("signal.stderr"), errs.Bytes(), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", got, want, out.String(), errs.String())
	}
}
