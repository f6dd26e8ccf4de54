package runner

import "testing"

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, tool, argument string
		allow, deny             bool
	}{
		{"Bash", "Bash", "rm -rf /", true, true},
		{"Bash(go test *)", "Bash", "go test ./...", true, true},
		{"Bash(go test *)", "Bash", "go test ./... && rm -rf /", false, true},
		{"Bash(go test *)", "Bash", "go test\nrm -rf /", false, true},
		{"Bash(go test *)", "Bash", "go test ./a ./b…", false, true},
		{"Bash(go test *)", "Read", "go test ./...", false, false},
		{"Write(*.md)", "Write", "README.md", true, true},
		{"Write(*.md)", "Write", "main.go", false, false},
		{"Write(", "Write", "main.go", false, false},
	} {
		if got := Covers(c.pattern, c.tool, c.argument, true); got != c.allow {
			t.Errorf("allow %s for %s %q: got %v", c.pattern, c.tool, c.argument, got)
		}
		if got := Covers(c.pattern, c.tool, c.argument, false); got != c.deny {
			t.Errorf("deny %s for %s %q: got %v", c.pattern, c.tool, c.argument, got)
		}
	}
}
