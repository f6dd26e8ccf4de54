package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
)

// brokenDaemon tells no event, and ends when it is told to.
func brokenDaemon(t *testing.T) (d *daemonBackend, end func()) {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/events" || r.URL.Query().Get("tree") != "01T" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}))
	opened, err := client.Open(server.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		opened.Close()
		server.Close()
	})
	return &daemonBackend{Daemon: opened, patience: time.Nanosecond}, func() {
		_ = server.Listener.Close()
		close(ended)
	}
}

func TestWatchingEndsWithTheDaemon(t *testing.T) {
	t.Parallel()
	d, end := brokenDaemon(t)
	driver := newDaemonDriver(d)
	w, err := driver.Watch(t.Context(), "01T")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	drove := make(chan error, 1)
	go func() { drove <- driver.Drive(t.Context(), "01T") }()
	end()
	if i := <-w.Interruptions(); i.err == nil {
		t.Error("the end of the connection is told as a new one")
	}
	err = <-drove
	if _, gone := unreachable(err); !gone {
		t.Errorf("following ends with %v, want that the daemon is unreachable", err)
	}
	if what, todo := diagnose(err); todo == "" || what == err.Error() {
		t.Errorf("people are told %q, %q", what, todo)
	}
}

func TestWatchingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d, _ := brokenDaemon(t)
	driver := newDaemonDriver(d)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := driver.Watch(ctx, "01T")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := driver.Drive(ctx, "01T"); err != nil {
		t.Errorf("driving ends with %v", err)
	}
	w.Close() // waits for what reads
}

func TestWatchingADaemonThatIsNotThere(t *testing.T) {
	t.Parallel()
	opened, err := client.Open("http://127.0.0.1:1", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	driver := newDaemonDriver(&daemonBackend{Daemon: opened, patience: time.Nanosecond})
	_, err = driver.Watch(t.Context(), "01T")
	if _, gone := errors.AsType[*client.UnreachableError](err); !gone {
		t.Errorf("watching begins with %v", err)
	}
}
