package apptest

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded is a line of a recording of the real server.
type recorded struct {
	Dir   string          `json:"dir"`
	Frame json.RawMessage `json:"frame"`
}

func readRecording(t *testing.T, name string) []recorded {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "testdata", "recordings", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []recorded
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// sequence collects the tokens of frames. Repeated deltas of a kind are one, and so are device snapshots.
type sequence []string

func (s *sequence) add(f frame) {
	repeats := f["type"] == "stream_delta" || f["type"] == "update_device_status"
	if n := len(*s); n == 0 || !repeats || (*s)[n-1] != token(f) {
		*s = append(*s, token(f))
	}
}

// TestFrameOrder sends what a client sent to the real server, and compares what the server sent then.
func TestFrameOrder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"01-simple-turn", "02-turn-tools-unrestricted", "03-approval-allow", "05-approval-updated-input",
		"07-external-tool-ok", "09-external-tool-error", "10-external-tool-parallel", "15-model-transient-500-then-ok", "17-model-drop-midstream",
		"18-model-empty", "19-model-length", "30-remove-queue-item", "31-abort-midstream", "32-abort-midtool", "33-abort-pending-approval",
		"36-abort-idle", "41-abort-then-answer-external", "48-input-unknown-agent",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("line one\nline two\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startServer(t, Options{Exec: true})
			c := dialRaw(t, s.URL())
			var want, got sequence
			var answers []frame // what the client needs for its next frame
			ids := map[string]string{}
			for _, r := range readRecording(t, name+".jsonl") {
				raw := strings.ReplaceAll(string(r.Frame), "/home/user/project", dir)
				if r.Dir == "in" {
					var f frame
					if err := json.Unmarshal([]byte(raw), &f); err != nil {
						t.Fatal(err)
					}
					want.add(f)
					answers = append(answers, f)
					continue
				}
				c.follow(&got, want, ids, answers)
				for old, new := range ids {
					raw = strings.ReplaceAll(raw, old, new)
				}
				c.send([]byte(raw))
			}
			c.follow(&got, want, ids, answers)
			if diff := cmp.Diff([]string(want), []string(got)); diff != "" {
				t.Errorf("frames differ (-real +scripted):\n%s", diff)
			}
		})
	}
}

// follow reads until as much has come as had come from the real server, and learns which of its ids stands
// for which recorded one.
func (c *rawClient) follow(got *sequence, want sequence, ids map[string]string, recorded []frame) {
	c.t.Helper()
	for len(*got) < len(want) {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("connection ended: %v\n(-real +scripted):\n%s", err, cmp.Diff([]string(want), []string(*got)))
		}
		got.add(f)
		learn(ids, recorded, f)
	}
}

func learn(ids map[string]string, recorded []frame, f frame) {
	pair := func(old, new any) {
		if o, ok := old.(string); ok && o != "" {
			ids[o] = new.(string)
		}
	}
	for _, r := range recorded {
		if r["type"] != f["type"] {
			continue
		}
		switch f["type"] {
		case "runtime_start_response":
			for _, field := range []string{"agent_id", "conversation_id"} {
				pair(r["runtime"].(frame)[field], f["runtime"].(frame)[field])
			}
		case "control_request":
			pair(r["request_id"], f["request_id"])
		case "external_tool_call_request":
			if r["tool_name"] == f["tool_name"] {
				pair(r["request_id"], f["request_id"])
			}
		}
	}
}
