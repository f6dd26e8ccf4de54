package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-e05a5b32/orchestrator/internal/otlpreceiver"
)

// traceCommands are the commands of stories with traces:
//
//	receiver NAME            serves a receiver of traces; $NAME is its address
//	waitspan NAME REGEXP     waits until it has a span whose line matches
//	spans NAME [SPAN]        checks that every span came once and that its parent came, or is SPAN, and prints them: NAME of PARENT trace TRACE, and error ERROR where it is one
func traceCommands() map[string]func(*testscript.TestScript, bool, []string) {
	r := &receivers{byPath: map[string]*otlpreceiver.Receiver{}}
	return map[string]func(*testscript.TestScript, bool, []string){"receiver": r.start, "waitspan": r.wait, "spans": r.print}
}

// receivers are those of all stories, by the directory of the story and their name.
type receivers struct {
	mu     sync.Mutex
	byPath map[string]*otlpreceiver.Receiver
}

func (r *receivers) start(ts *testscript.TestScript, _ bool, args []string) {
	receiver := otlpreceiver.New()
	server := httptest.NewServer(receiver)
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byPath[ts.MkAbs(args[0])] = receiver
}

func (r *receivers) get(ts *testscript.TestScript, name string) *otlpreceiver.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	receiver := r.byPath[ts.MkAbs(name)]
	if receiver == nil {
		ts.Fatalf("there is no receiver %s", name)
	}
	return receiver
}

func (r *receivers) wait(ts *testscript.TestScript, _ bool, args []string) {
	wanted := regexp.MustCompile(args[1])
	ctx, cancel := context.WithTimeout(context.Background(), daemonPatience)
	defer cancel()
	spans, err := r.get(ts, args[0]).Await(ctx, func(spans []otlpreceiver.Span) bool {
		return slices.ContainsFunc(spanLines(spans), wanted.MatchString)
	})
	if err != nil {
		ts.Fatalf("%v; there are:\n%s", err, strings.Join(spanLines(spans), "\n"))
	}
}

func (r *receivers) print(ts *testscript.TestScript, _ bool, args []string) {
	spans := r.get(ts, args[0]).Spans()
	known := map[string]bool{"": true}
	if len(args) > 1 {
		known[args[1]] = true
	}
	for _, s := range spans {
		if known[s.ID] {
			ts.Fatalf("span %s (%s) came twice", s.ID, s.Name)
		}
		known[s.ID] = true
	}
	for _, s := range spans {
		if !known[s.Parent] {
			ts.Fatalf("the parent of %s did not come", s.Name)
		}
	}
	_, err := fmt.Fprintln(ts.Stdout(), strings.Join(spanLines(spans), "\n"))
	ts.Check(err)
}

func spanLines(spans []otlpreceiver.Span) []string {
	names := map[string]string{}
	for _, s := range spans {
		names[s.ID] = s.Name
	}
	var lines []string
	for _, s := range spans {
		parent := names[s.Parent]
		if parent == "" {
			parent = "(" + s.Parent + ")"
		}
		line := fmt.Sprintf("%s of %s trace %s", s.Name, parent, s.Trace)
		if s.Error != "" {
			line += " error " + s.Error
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}
