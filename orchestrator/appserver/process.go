package appserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"
)

// process is one life of the server.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	output  *output
	url     string
	exited  chan struct{} // closed when the process has ended; err is set before
	err     error
	// hung is set when it was killed because it did not answer.
	hung atomic.Bool
}

// start starts the server and returns when it is ready. On an error nothing of it is left running.
func (s *Server) start(ctx context.Context) (*process, error) {
	// Not CommandContext: the process outlives the start, and is stopped in two steps.
	cmd := exec.Command(s.file, s.version.listenArgs(s.opts.Backend, s.tokenFile)...) //nolint:noctx // see above
	cmd.Env, cmd.Dir = s.env, s.cwd
	// What the server started may hold its output open after it has exited.
	cmd.WaitDelay = 2 * time.Second
	ownGroup(cmd)
	p := &process{cmd: cmd, started: time.Now(), output: newOutput(s.opts.Log, s.token), exited: make(chan struct{})}
	stdout, stderr := p.output.stream("stdout"), p.output.stream("stderr")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the App Server: %w", err)
	}
	if err := os.WriteFile(s.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		err = errors.Join(fmt.Errorf("write the App Server's pid: %w", err), kill(cmd))
		_ = cmd.Wait() // it was killed on purpose
		return nil, err
	}
	s.wg.Go(func() {
		defer close(p.exited)
		p.err = exitError(cmd.Wait())
		stdout.end()
		stderr.end()
		// A server that died leaves its tools behind; nobody waits for them any more.
		if err := kill(cmd); err != nil {
			s.opts.Log.Debug().Err(err).Msg("end what the App Server left running")
		}
	})
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.StartTimeout, fmt.Errorf("not ready within %v", s.opts.StartTimeout))
	defer cancel()
	if err := p.awaitReady(ctx); err != nil {
		p.stop(0)
		return nil, fmt.Errorf("start the App Server %s: %w%s", s.version, err, quoteOutput(p.output.last()))
	}
	return p, nil
}

// errExited says that the server exited although nobody asked it to.
var errExited = errors.New("it exited")

// exitError turns what Wait returns into what happened, which is never nil.
func exitError(err error) error {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("%w with status 0", errExited)
	}
	return fmt.Errorf("%w: %w", errExited, err)
}

// awaitReady waits for the address and then for /readyz.
func (p *process) awaitReady(ctx context.Context) error {
	select {
	case p.url = <-p.output.url:
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("it did not say where it listens: %w", context.Cause(ctx))
	}
	// A client of its own: nothing may stand between it and the loopback address.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	address, err := readyURL(p.url)
	if err != nil {
		return err
	}
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		err := ready(ctx, client, address)
		if err == nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-p.exited:
			return p.err
		case <-ctx.Done():
			return fmt.Errorf("it listens on %s but does not become ready (%w): %w", p.url, err, context.Cause(ctx))
		}
	}
}

// readyURL is the address of the readiness probe of a server that listens on listen.
func readyURL(listen string) (string, error) {
	u, err := url.Parse(listen)
	if err == nil {
		_, _, err = net.SplitHostPort(u.Host)
	}
	if err != nil {
		return "", fmt.Errorf("it says that it listens on %q, which is no address", listen)
	}
	return (&url.URL{Scheme: "http", Host: u.Host, Path: "/readyz"}).String(), nil
}

func ready(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, response.Status)
	}
	return nil
}

// stop asks the process to exit, kills it after the grace, and returns when it is gone.
func (p *process) stop(grace time.Duration) {
	if grace > 0 {
		// Whether the signal arrived shows in whether it exits.
		_ = terminate(p.cmd)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.exited:
			return
		case <-timer.C:
		}
	}
	_ = kill(p.cmd)
	<-p.exited
}
