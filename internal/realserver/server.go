//go:build unix

package realserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the start of an App Server.
const startTimeout = 30 * time.Second

// Environment is what the App Server needs to find a model of LM Studio's kind
// at modelURL, with a HOME of its own.
func Environment(home, modelURL string) []string {
	return append(os.Environ(),
		"HOME="+home,
		"DISABLE_AUTOUPDATER=1", "LETTA_CODE_TELEM=0",
		"LMSTUDIO_BASE_URL="+modelURL, "LMSTUDIO_API_KEY=unused",
		"LETTA_CODE_LOCAL_PROVIDER_TIMEOUT_MS=60000",
		"NO_COLOR=1",
	)
}

// Server is an App Server. It is not safe for concurrent use.
type Server struct {
	letta, dir, url string
	env             []string
	cmd             *exec.Cmd
}

// Start starts the command letta as an App Server in the directory dir, on a
// free port of the loopback interface, and waits until it listens.
func Start(letta, dir string, env []string) (*Server, error) {
	s := &Server{letta: letta, dir: dir, env: env}
	return s, s.start("ws://127.0.0.1:0")
}

// URL is the address for clients. It stays the same over restarts.
func (s *Server) URL() string { return s.url }

// Restart starts a killed server again, at the address that it had.
func (s *Server) Restart() error { return s.start(strings.TrimSuffix(s.url, "/ws")) }

func (s *Server) start(address string) error {
	cmd := exec.CommandContext(context.Background(), s.letta, "server", "--backend", "local", "--listen", address)
	cmd.Env, cmd.Dir = s.env, s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stderr = &out
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	ready := make(chan string, 1)
	go func() { // ends with the process
		defer close(ready)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "Listening on "); ok {
				ready <- strings.TrimSpace(url)
			}
		}
	}()
	select {
	case url, ok := <-ready:
		if ok {
			s.url = url + "/ws"
			return nil
		}
		err = errors.New("it ended first")
	case <-time.After(startTimeout):
		err = fmt.Errorf("waited %s", startTimeout)
	}
	s.Kill()
	return fmt.Errorf("the App Server does not listen: %w\n%s", err, &out)
}

// Kill kills the server and all that it started with SIGKILL, at once. It may be called again.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait() // killed
}

// KillWhole kills the server like the function KillWhole.
func (s *Server) KillWhole() error {
	err := KillWhole(s.cmd.Process.Pid, HomeOf(s.env))
	_ = s.cmd.Wait() // killed
	return err
}

// HomeOf is the HOME of an environment.
func HomeOf(env []string) string {
	home := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "HOME="); ok {
			home = value
		}
	}
	return home
}
