package appserver

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestListeningURL(t *testing.T) {
	for line, want := range map[string]string{
		"Listening on ws://127.0.0.1:4500":           "ws://127.0.0.1:4500",
		"  Listening on ws://127.0.0.1:4500/app  ":   "ws://127.0.0.1:4500/app",
		"App Server: Listening on ws://[::1]:1, now": "ws://[::1]:1",
		"Listening on port 4500":                     "",
		"Listening on ":                              "",
		"WebSocket: ws://127.0.0.1:4500/ws":          "",
		"":                                           "",
	} {
		if got, ok := listeningURL(line); got != want || ok != (want != "") {
			t.Errorf("listeningURL(%q) = %q, %v", line, got, ok)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"0.30.28 (Letta Code)\n":      {0, 30, 28},
		"letta v1.2.3-beta.4":         {1, 2, 3},
		"10.20.30":                    {10, 20, 30},
		"hello":                       {},
		"1.2":                         {},
		"99999999999999999999999.1.1": {},
	} {
		if got, err := parseVersion(text); got != want || (err == nil) != (want != Version{}) {
			t.Errorf("parseVersion(%q) = %v, %v", text, got, err)
		}
	}
}

func TestOutputLines(t *testing.T) {
	o := newOutput(zerolog.Nop(), "s3cret")
	out, errs := o.stream("stdout"), o.stream("stderr")
	for _, part := range []string{"one\ntw", "o\r\n\n", "Listening on ws://127.0.", "0.1:7\n", "the s3c", "ret\n", strings.Repeat("y", 2*maxLine), "\n", "rest"} {
		if n, err := out.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if _, err := errs.Write([]byte("Listening on ws://127.0.0.1:8\n")); err != nil {
		t.Fatal(err)
	}
	out.end()
	if u := <-o.url; u != "ws://127.0.0.1:7" {
		t.Errorf("URL = %s, want the first", u)
	}
	want := strings.Join([]string{
		"one", "two", "Listening on ws://127.0.0.1:7", "the [redacted]", strings.Repeat("y", maxLine), "Listening on ws://127.0.0.1:8", "rest",
	}, "\n")
	if got := o.last(); got != want {
		t.Errorf("last lines:\n%.300s\nwant\n%.300s", got, want)
	}
	for range 100 {
		o.take("more")
	}
	if n := len(strings.Split(o.last(), "\n")); n != tailLines {
		t.Errorf("%d lines are kept, want %d", n, tailLines)
	}
}

func TestRestartDelays(t *testing.T) {
	d := newRestartDelays(time.Second, 8*time.Second)
	for i, tc := range []struct{ up, want time.Duration }{
		{0, 1 * time.Second},
		{0, 2 * time.Second},
		{59 * time.Second, 4 * time.Second},
		{0, 8 * time.Second},
		{0, 8 * time.Second},
		{time.Minute, 1 * time.Second}, // it was steady: a new trouble
		{0, 2 * time.Second},
	} {
		if got := d.next(tc.up); got < tc.want*8/10 || got > tc.want*12/10+1 {
			t.Errorf("delay %d = %v, want %v ± 20 %%", i, got, tc.want)
		}
	}
}
