package roles_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/roles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBuiltInRoles(t *testing.T) {
	library, err := roles.Load("")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"coder", "editor", "fixer", "planner", "researcher", "reviewer", "tester", "writer"}
	if got := library.Names(); !slices.Equal(got, want) {
		t.Fatalf("Names() = %v, want %v", got, want)
	}
	sections := []string{"## What you get", "## How you work", "## What you hand over", "## Never", "## When to stop"}
	for _, name := range library.Names() {
		t.Run(name, func(t *testing.T) {
			role, err := library.Role(name)
			if err != nil {
				t.Fatal(err)
			}
			if role.Name != name || !role.BuiltIn() {
				t.Errorf("Name = %q, BuiltIn = %v", role.Name, role.BuiltIn())
			}
			for field, value := range map[string]string{
				"description": role.Description, "receives": role.Receives, "hands_over": role.HandsOver, "permission_mode": role.PermissionMode,
			} {
				if value == "" {
					t.Errorf("%s is empty", field)
				}
			}
			if len(role.Tools) == 0 {
				t.Error("suggests no tools")
			}
			at := 0
			for _, section := range sections {
				i := strings.Index(role.Prompt[at:], "\n"+section+"\n")
				if i < 0 {
					t.Fatalf("section %q is missing or out of order", section)
				}
				at += i
			}
			never := role.Prompt[strings.Index(role.Prompt, "## Never"):]
			for _, word := range []string{"report_outcome", "secrets", "instructions found in"} {
				if !strings.Contains(never, word) {
					t.Errorf("says nothing about %q", word)
				}
			}
			if !strings.Contains(never, "push") && slices.Contains(role.Tools, "Bash") {
				t.Error("has a shell and is not told never to push")
			}
			for _, outcome := range role.Outcomes {
				if !strings.Contains(role.Prompt, outcome) {
					t.Errorf("outcome %q is not in the prompt", outcome)
				}
			}
			writes := slices.Contains(role.Tools, "Write")
			if writes != (role.PermissionMode == "acceptEdits") {
				t.Errorf("tools %v do not go with permission mode %s", role.Tools, role.PermissionMode)
			}
		})
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOverride(t *testing.T) {
	dir := folder(t, map[string]string{
		"coder.md":      "---\ndescription: Ours.\n---\n\nWrite Go.\n",
		"translator.md": "\ufeff---\r\ndescription: Translates.\r\ntools: [Read]\r\noutcomes: [done]\r\n--- \r\nTranslate.",
		"notes.txt":     "no role",
		".hidden.md":    "no role either",
	})
	library, err := roles.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	coder, err := library.Role("coder")
	if err != nil {
		t.Fatal(err)
	}
	if coder.Prompt != "Write Go." || coder.Description != "Ours." || coder.File != filepath.Join(dir, "coder.md") || coder.BuiltIn() {
		t.Errorf("coder = %+v", coder)
	}
	if coder.PermissionMode != "" || coder.Tools != nil {
		t.Errorf("an override takes nothing from the built-in role, got %+v", coder)
	}
	translator, err := library.Role("translator")
	if err != nil {
		t.Fatal(err)
	}
	if translator.Prompt != "Translate." || !slices.Equal(translator.Tools, []string{"Read"}) || !slices.Equal(translator.Outcomes, []string{"done"}) {
		t.Errorf("translator = %+v", translator)
	}
	if planner, err := library.Role("planner"); err != nil || !planner.BuiltIn() {
		t.Errorf("planner = %v, %v; want the built-in one", planner.File, err)
	}
	if n := len(library.Names()); n != 9 {
		t.Errorf("%d roles, want 9", n)
	}
	translator.Tools[0] = "Bash"
	if again, _ := library.Role("translator"); again.Tools[0] != "Read" {
		t.Error("a caller can change the library")
	}
}

func TestProblems(t *testing.T) {
	for _, tc := range []struct {
		name, file, content string
		want                []string // file:line:column: is put in front by the test
	}{
		{"no front matter", "a.md", "You are.\n", []string{"1:1: needs front matter"}},
		{"not closed", "a.md", "---\ndescription: x\nYou are.\n", []string{"1:1: needs front matter"}},
		{"closed by a longer line", "a.md", "---\ndescription: x\n----\nYou are.\n", []string{"1:1: needs front matter"}},
		{"empty file", "a.md", "", []string{"1:1: needs front matter"}},
		{"empty front matter", "a.md", "---\n---\nYou are.\n", []string{"2:1: the front matter is empty"}},
		{"bad YAML", "a.md", "---\ndescription: x\ntools: [a\n---\nYou are.\n", []string{"the front matter is no valid YAML"}},
		{"bad YAML has its line", "a.md", "---\ndescription: x\n\ttools: a\n---\nYou are.\n", []string{"3:1: the front matter is no valid YAML"}},
		{"a list", "a.md", "---\n- x\n---\nYou are.\n", []string{"2:1: the front matter must be a mapping"}},
		{"no description", "a.md", "---\ntools: [Read]\n---\nYou are.\n", []string{"2:1: description is missing"}},
		{"unknown field", "a.md", "---\ndescription: x\ntool: [Read]\n---\nYou are.\n", []string{`3:1: unknown field "tool": did you mean "tools"?`}},
		{"far field", "a.md", "---\ndescription: x\ntemperature: 1\n---\nYou are.\n", []string{`3:1: unknown field "temperature": known are description,`}},
		{"twice", "a.md", "---\ndescription: x\ndescription: y\n---\nYou are.\n", []string{`3:1: "description" is there twice`}},
		{"empty description", "a.md", "---\ndescription: ''\n---\nYou are.\n", []string{"2:14: description must be a text"}},
		{"bad mode", "a.md", "---\ndescription: x\npermission_mode: yolo\n---\nYou are.\n", []string{`3:18: permission_mode must be standard`}},
		{"tools no list", "a.md", "---\ndescription: x\ntools: Read\n---\nYou are.\n", []string{"3:8: tools must be a list"}},
		{"tool twice", "a.md", "---\ndescription: x\ntools: [Read, Read]\n---\nYou are.\n", []string{`3:15: "Read" is in tools twice`}},
		{"tool no name", "a.md", "---\ndescription: x\ntools: [[a]]\n---\nYou are.\n", []string{"3:9: an entry of tools must be a name"}},
		{"no prompt", "a.md", "---\ndescription: x\n---\n \n", []string{"4:1: the prompt is missing"}},
		{"several", "a.md", "---\ntools: x\nfoo: y\n---\n", []string{"2:8: tools must", "3:1: unknown field", "2:1: description is missing", "5:1: the prompt"}},
		{"bad name", "A B.md", "---\ndescription: x\n---\nYou are.\n", []string{`1:1: "A B" is no name`}},
		{"too large", "a.md", strings.Repeat("x", 300<<10), []string{"1:1: is larger than 256 KiB"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := folder(t, map[string]string{tc.file: tc.content})
			_, err := roles.Load(dir)
			if err == nil {
				t.Fatal("no error")
			}
			var problem *roles.FileError
			if !errors.As(err, &problem) {
				t.Errorf("%T is no FileError", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(dir, tc.file)+":") {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if n := len(strings.Split(err.Error(), "\n")); n != len(tc.want) {
				t.Errorf("%d problems, want %d:\n%v", n, len(tc.want), err)
			}
		})
	}
}

func TestProblemsOfAllFilesAreReported(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": "x", "b.md": "y", "c.md": "---\ndescription: x\n---\nfine"})
	_, err := roles.Load(dir)
	if err == nil || !strings.Contains(err.Error(), "a.md:1:1") || !strings.Contains(err.Error(), "b.md:1:1") {
		t.Fatalf("error = %v", err)
	}
}

func TestPathsDoNotEscape(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.md")
	if err := os.WriteFile(outside, []byte("---\ndescription: x\n---\nsecret text"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "stolen.md")); err != nil {
		t.Fatal(err)
	}
	if _, err := roles.Load(dir); err == nil || !strings.Contains(err.Error(), "stolen.md:1:1: cannot be read") {
		t.Errorf("a link out of the folder: error = %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "stolen.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.md"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := roles.Load(dir); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: error = %v", err)
	}
	library, err := roles.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../library/coder", "library/coder", "coder.md", "/etc/passwd", ""} {
		if _, err := library.Role(name); err == nil {
			t.Errorf("Role(%q) found something", name)
		}
	}
}

func TestUnknownRole(t *testing.T) {
	library, err := roles.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for name, suggestion := range map[string]string{
		"reviwer": "reviewer", "Coder": "coder", "plannner": "planner", "fixxer": "fixer", "accountant": "", "": "",
	} {
		_, err := library.Role(name)
		var unknown *roles.UnknownRoleError
		if !errors.As(err, &unknown) || unknown.Suggestion != suggestion || unknown.Name != name {
			t.Errorf("Role(%q): %v, want suggestion %q", name, err, suggestion)
			continue
		}
		if suggestion != "" && !strings.Contains(err.Error(), `did you mean "`+suggestion+`"?`) ||
			suggestion == "" && !strings.Contains(err.Error(), "known are coder, editor") {
			t.Errorf("Role(%q): %v", name, err)
		}
	}
}

func TestMissingFolder(t *testing.T) {
	_, err := roles.Load(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "open the folder of roles") {
		t.Fatalf("error = %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("---\ndescription: x\n---\nYou are.\n")
	f.Add("---\ndescription: &a [*a]\ntools: {}\n---\n")
	f.Add("---\n<<: x\n---\nx")
	f.Fuzz(func(t *testing.T, content string) {
		dir := folder(t, map[string]string{"a.md": content})
		library, err := roles.Load(dir)
		if err != nil {
			if !strings.Contains(err.Error(), "a.md:") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		role, err := library.Role("a")
		if err != nil || role.Prompt == "" || role.Description == "" {
			t.Fatalf("incomplete role accepted: %+v, %v", role, err)
		}
	})
}
