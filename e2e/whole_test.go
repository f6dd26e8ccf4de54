//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// tear empties the record of every conversation below home that holds text, as a
// kill does that hits the server between truncating and writing it.
func tear(t *testing.T, home, text string) {
	t.Helper()
	transcripts, err := filepath.Glob(filepath.Join(home, ".letta", "lc-local-backend", "conversations", "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	torn := 0
	for _, transcript := range transcripts {
		if strings.Contains(read(t, transcript), text) {
			write(t, filepath.Join(filepath.Dir(transcript), "conversation.json"), "")
			torn++
		}
	}
	if torn != 1 {
		t.Fatalf("%d conversations of %d hold %q", torn, len(transcripts), text)
	}
}
