package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
)

// daemonCommands are the commands of stories with a daemon:
//
//	daemon NAME orchestrator serve ...  starts it in the background and waits until it answers; its streams are NAME.stdout and NAME.stderr
//	tell NAME SIG                       sends it a signal: HUP, TERM, INT, KILL
//	ended NAME STATUS                   waits for its end and checks its exit status
//	ask METHOD PATH [FILE] [HEADER: X]  asks the daemon of the data directory; with FILE, that is the body, in which $WORK is the story's directory. The answer is on the standard output
//	waitask PATH REGEXP                 asks it again and again until the answer matches
//	waitfile FILE REGEXP                waits until the file has a line that matches
//
// The story's data directory is $ORCHESTRATOR_DATA_DIR; a daemon with another
// one names it with --data-dir. A daemon that is left is killed at the end.
func daemonCommands() map[string]func(*testscript.TestScript, bool, []string) {
	d := &daemons{running: map[string]*daemonProcess{}}
	return map[string]func(*testscript.TestScript, bool, []string){
		"daemon": d.start, "tell": d.tell, "ended": d.ended, "waitfile": waitFile,
		"ask": askDaemon, "waitask": waitAsk,
	}
}

// daemonPatience is how long a daemon may take to start and to end.
const daemonPatience = 60 * time.Second

// daemons are those of all stories, by the directory of the story and their name.
type daemons struct {
	mu      sync.Mutex
	running map[string]*daemonProcess
}

type daemonProcess struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	told time.Time     // when it was sent a signal
}

func (d *daemons) start(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1]))
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, variable := range []string{"PATH", "HOME", "TMPDIR", "ORCHESTRATOR_DATA_DIR", "ORCHESTRATOR_CONFIG", "ORCHESTRATOR_APP_SERVER", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET"} {
		if value := ts.Getenv(variable); value != "" {
			cmd.Env = append(cmd.Env, variable+"="+value)
		}
	}
	var streams []*os.File
	for _, stream := range []string{"stdout", "stderr"} {
		f, err := os.Create(ts.MkAbs(name + "." + stream))
		ts.Check(err)
		streams = append(streams, f)
	}
	cmd.Stdout, cmd.Stderr = streams[0], streams[1]
	ts.Check(cmd.Start())
	p := &daemonProcess{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ended looks at the status
		for _, f := range streams {
			_ = f.Close()
		}
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-p.done
	})
	d.mu.Lock()
	d.running[ts.MkAbs(name)] = p
	d.mu.Unlock()
	dataDir := ts.Getenv("ORCHESTRATOR_DATA_DIR")
	for i, arg := range args {
		if arg == "--data-dir" {
			dataDir = ts.MkAbs(args[i+1])
		}
	}
	ts.Check(p.answers(dataDir))
}

// answers waits until the daemon answers where it says that it listens.
func (p *daemonProcess) answers(dataDir string) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(daemonPatience)
	for {
		err := p.asked(dataDir)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("the daemon has ended: %s", p.cmd.ProcessState)
		case <-timeout:
			return fmt.Errorf("the daemon does not answer: %w", err)
		}
	}
}

func (p *daemonProcess) asked(dataDir string) error {
	found, err := discovered(dataDir)
	if err != nil {
		return err
	}
	if found.PID != p.cmd.Process.Pid {
		return fmt.Errorf("%s is of process %d", orchestrator.DiscoveryFile, found.PID)
	}
	status, answer, err := request(found, http.MethodGet, "/v1/health", nil, nil)
	if err == nil && status != http.StatusOK && status != http.StatusUnauthorized {
		err = errors.New(answer)
	}
	return err
}

func discovered(dataDir string) (found orchestrator.Discovery, err error) {
	text, err := os.ReadFile(filepath.Join(dataDir, orchestrator.DiscoveryFile))
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	return found, err
}

// request asks a daemon. headers are NAME: VALUE.
func request(at orchestrator.Discovery, method, path string, body []byte, headers []string) (status int, answer string, err error) {
	transport := &http.Transport{DisableKeepAlives: true}
	url := at.URL
	if socket, ok := strings.CutPrefix(url, "unix://"); ok {
		url = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	r, err := http.NewRequest(method, url+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), errors.Join(err, response.Body.Close())
}

// askDaemon prints the answer, and the status where it is no success. With "!"
// before it, it wants no success.
func askDaemon(ts *testscript.TestScript, neg bool, args []string) {
	found, err := discovered(ts.Getenv("ORCHESTRATOR_DATA_DIR"))
	ts.Check(err)
	var body []byte
	var headers []string
	for _, arg := range args[2:] {
		if strings.Contains(arg, ": ") {
			headers = append(headers, arg)
		} else {
			body = []byte(strings.ReplaceAll(ts.ReadFile(arg), "$WORK", ts.Getenv("WORK")))
		}
	}
	status, answer, err := request(found, args[0], args[1], body, headers)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", answer)
	if (status >= http.StatusBadRequest) != neg {
		ts.Fatalf("status %d\n%s", status, answer)
	}
}

func waitAsk(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	found, err := discovered(ts.Getenv("ORCHESTRATOR_DATA_DIR"))
	ts.Check(err)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(daemonPatience)
	for {
		_, answer, err := request(found, http.MethodGet, args[0], nil, nil)
		if err == nil && want.MatchString(answer) {
			fmt.Fprintf(ts.Stdout(), "%s", answer)
			return
		}
		select {
		case <-again.C:
		case <-timeout:
			ts.Fatalf("%s has nothing like %q (%v):\n%s", args[0], args[1], err, answer)
		}
	}
}

func (d *daemons) find(ts *testscript.TestScript, name string) *daemonProcess {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.running[ts.MkAbs(name)]
	if p == nil {
		ts.Fatalf("there is no daemon %s", name)
	}
	return p
}

func (d *daemons) tell(ts *testscript.TestScript, _ bool, args []string) {
	signal, known := map[string]syscall.Signal{"INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[1]]
	if !known {
		ts.Fatalf("unknown signal %s", args[1])
	}
	p := d.find(ts, args[0])
	if wait := time.Until(p.told.Add(sameRequest + 300*time.Millisecond)); wait > 0 && signal != syscall.SIGKILL {
		<-time.After(wait) // sooner it counts as the same request
	}
	ts.Check(p.cmd.Process.Signal(signal))
	p.told = time.Now()
}

func (d *daemons) ended(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	p := d.find(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(daemonPatience):
		ts.Fatalf("the daemon %s does not end", args[0])
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("the daemon %s has ended with status %d, want %d\n%s%s", args[0], got, want, ts.ReadFile(args[0]+".stdout"), ts.ReadFile(args[0]+".stderr"))
	}
}

func waitFile(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(daemonPatience)
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(text) {
			return
		}
		select {
		case <-again.C:
		case <-timeout:
			ts.Fatalf("%s has nothing like %q (%v):\n%s", args[0], args[1], err, text)
		}
	}
}
