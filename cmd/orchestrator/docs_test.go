package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	fence      = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	makeTarget = regexp.MustCompile(`(?m)^make ([a-z0-9-]+)`)
)

// docsScript plays every agent that the documents' commands run.
const docsScript = `
  writer:
    turns: [[{say: Rivers flow. They bend. They end in the sea.}]]
  critic:
    turns: [[{outcome: {outcome: accept, summary: Three sentences.}}, {say: Good.}]]
`

// TestDocumentedCommands runs what the documents say a person should type:
// every "$ orchestrator …" line of their console blocks, in order, in a copy
// of the repository's examples. YAML blocks that hold a team are saved under
// the name that the text gives them.
func TestDocumentedCommands(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{"README.md", filepath.Join("docs", "*.md")} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	makefile := read(t, filepath.Join(root, "Makefile"))
	script := read(t, filepath.Join(root, "examples", "scripts", "plan-code-review.yaml")) + docsScript
	var stories []string
	for _, file := range files {
		text := read(t, file)
		for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", file, m[1])
			}
		}
		if story := docStory(text, script); story != "" {
			path := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(file), ".md")+".txtar")
			if err := os.WriteFile(path, []byte(story), 0o600); err != nil {
				t.Fatal(err)
			}
			stories = append(stories, path)
		}
	}
	if len(stories) == 0 {
		t.Fatal("no document has a command: the test looks at the wrong place")
	}
	testscript.Run(t, testscript.Params{
		Files: stories,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("ORCHESTRATOR_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("ORCHESTRATOR_APP_SERVER", "scripted:script.yaml")
			if cache, err := os.UserCacheDir(); err == nil { // HOME is another one there
				env.Setenv("GOCACHE", filepath.Join(cache, "go-build"))
			}
			return os.CopyFS(filepath.Join(env.WorkDir, "examples"), os.DirFS(filepath.Join(root, "examples")))
		},
	})
}

// docStory makes a test script of a document; empty when it has no command.
func docStory(text, script string) string {
	var story, archive strings.Builder
	commands := 0
	for _, block := range fence.FindAllStringSubmatchIndex(text, -1) {
		lang, body := text[block[2]:block[3]], text[block[4]:block[5]]
		switch lang {
		case "yaml":
			if m := regexp.MustCompile("Save it as `([^`]+)`").FindStringSubmatch(text[block[1]:]); m != nil {
				fmt.Fprintf(&archive, "-- %s --\n%s", m[1], body)
			}
		case "console":
			for line := range strings.Lines(body) {
				if command, ok := strings.CutPrefix(line, "$ orchestrator "); ok {
					commands++
					if strings.Contains(command, "# exit status ") {
						story.WriteString("! ")
					}
					fmt.Fprintf(&story, "exec sh -e command%d.sh\n", commands)
					fmt.Fprintf(&archive, "-- command%d.sh --\norchestrator %s", commands, command)
				}
			}
		}
	}
	if commands == 0 {
		return ""
	}
	return story.String() + "\n" + archive.String() + "-- go.mod --\nmodule greet\n\ngo 1.24\n-- greet.go --\npackage greet\n-- script.yaml --\n" + script
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
