package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFormatElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 440 * time.Millisecond: "0.4s", 9960 * time.Millisecond: "10s", 12 * time.Second: "12s",
		59600 * time.Millisecond: "1m00s", 130 * time.Second: "2m10s", 64 * time.Minute: "1h04m", 50 * time.Hour: "2d02h",
	} {
		if got := formatElapsed(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestFormatCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 950: "950", 3100: "3.1k", 31000: "31k", 999_999: "1M", 1_200_000: "1.2M"} {
		if got := formatCount(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestReadInputs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "in.json")
	if err := os.WriteFile(file, []byte(`{"goal": "from the file", "n": 3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readInputs(file, nil, []string{"goal=a=b", "empty="})
	if want := map[string]any{"goal": "a=b", "n": 3, "empty": ""}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = readInputs("-", strings.NewReader("goal: piped\n"), nil)
	if err != nil || got["goal"] != "piped" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range [][]string{{"goal"}, {"=x"}, {"a=1", "a=2"}} {
		if _, err := readInputs("", nil, bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	if _, err := readInputs("-", strings.NewReader("- a list"), nil); err == nil {
		t.Error("a list is accepted")
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"ws://127.0.0.1:4500": "ws://127.0.0.1:4500", "a b": "'a b'", "it's": `'it'\''s'`, "": "''"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestGitChanges(t *testing.T) {
	dir := t.TempDir()
	if base := gitBase(t.Context(), dir, time.Now()); base != "" {
		t.Errorf("no repository, but the base is %q", base)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q", "-b", "main")
	if base := gitBase(t.Context(), dir, time.Now()); base != emptyTree {
		t.Errorf("no commit yet, but the base is %q", base)
	}
	write("a.txt", "one\ntwo\n")
	run("add", ".")
	run("commit", "-q", "-m", "first")
	submitted := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	base := gitBase(t.Context(), dir, submitted)
	if got := gitChanges(t.Context(), dir, base); got != "branch main: no changes" {
		t.Errorf("got %q", got)
	}
	write("a.txt", "one\nthree\nfour\n")
	write("b.txt", "new\n")
	if got, want := gitChanges(t.Context(), dir, base), "branch main: 1 file changed, +2 −1, 1 new file not yet tracked"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
