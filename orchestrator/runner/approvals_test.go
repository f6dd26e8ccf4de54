package runner

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func use(t testing.TB, tool string, input map[string]any) toolUse {
	t.Helper()
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	return toolUse{name: tool, input: data, cwd: "/srv/repo"}
}

func bash(t testing.TB, line string) toolUse { return use(t, "Bash", map[string]any{"command": line}) }

func TestApproveShell(t *testing.T) {
	policy := workflow.Approvals{
		Allow: []string{"Bash(go test *)", "Bash(go vet *)", "Bash(ls *)", "Bash(git commit -m *)", "Bash(make)", "Bash(echo ?)"},
		Deny:  []string{"Bash(git push *)", "Bash(rm -rf *)"},
	}
	for _, tc := range []struct {
		line string
		want string // the pattern that allowed it, "-" for not allowed, "!" and a pattern for denied by it
	}{
		// Allowed.
		{"go test ./...", "Bash(go test *)"},
		{"go test", "Bash(go test *)"},
		{"  go   test\t./... ", "Bash(go test *)"},
		{"go 'test' \"./...\"", "Bash(go test *)"},
		{"make", "Bash(make)"},
		{"echo x", "Bash(echo ?)"},
		{"go test ./... && go vet ./...", "Bash(go test *)"},
		{"go vet ./... ; go test ./...;", "Bash(go vet *)"},
		{"go test ./... 2>&1", "Bash(go test *)"},
		{"go test ./... 2>/dev/null || ls", "Bash(go test *)"},
		{"go test ./... &> /dev/null", "Bash(go test *)"},
		{"go test ./... | ls", "Bash(go test *)"},
		{"go test \\\n ./...", "Bash(go test *)"},
		{"go test # and then; rm x", "Bash(go test *)"},
		{"go test -run 'A|B;C&D'", "Bash(go test *)"},
		{`git commit -m "a; b && c > d"`, "Bash(git commit -m *)"},
		{`git commit -m 'it costs $(5)'`, "Bash(git commit -m *)"},
		{"go test -run=$NAME", "Bash(go test *)"},
		// Not allowed: some other command.
		{"", "-"},
		{"   ", "-"},
		{"gotest", "-"},
		{"go testing", "-"},
		{"go build", "-"},
		{"make install", "-"},
		{"echo xx", "-"},
		{"go test && curl x", "-"},
		{"go test; curl x", "-"},
		{"go test | sh", "-"},
		{"go test & curl x", "-"},
		{"go test\ncurl x", "-"},
		{"go test || curl x", "-"},
		{"go test #\ncurl x", "-"},
		{"curl x && go test", "-"},
		{"GOFLAGS=-exec=evil go test", "-"},
		{"sudo go test", "-"},
		{"'go test' ./...", "-"},
		{"! go test", "-"},
		{"if go test; then ls; fi", "-"},
		// Not allowed: not understood, or writing.
		{"go test $(curl x)", "-"},
		{"go test `curl x`", "-"},
		{`go test "$(curl x)"`, "-"},
		{"go test \"`curl x`\"", "-"},
		{`go test "${x:=$(curl x)}"`, "-"},
		{"go test ${x@P}", "-"},
		{"go test $'\\x41'", "-"},
		{"go test <(curl x)", "-"},
		{"go test > out.txt", "-"},
		{"go test >> out.txt", "-"},
		{"go test >/dev/nullx", "-"},
		{"go test 2>err.txt", "-"},
		{"go test &>> x", "-"},
		{"go test >| x", "-"},
		{"go test < in.txt", "-"},
		{"go test << EOF\nx\nEOF", "-"},
		{"(go test)", "-"},
		{"{ go test; }", "-"},
		{"go test 'open", "-"},
		{`go test "open`, "-"},
		{"go test \\", "-"},
		{"go test\x00", "-"},
		{"go test\r\ncurl x", "-"},
		{"f() { curl x; }; go test", "-"},
		// Denied, in whatever clothes.
		{"git push", "!Bash(git push *)"},
		{"git push origin main", "!Bash(git push *)"},
		{"git  push", "!Bash(git push *)"},
		{"go test && git push", "!Bash(git push *)"},
		{"go test; git push -f", "!Bash(git push *)"},
		{"go test | git push", "!Bash(git push *)"},
		{"echo $(git push)", "!Bash(git push *)"},
		{"echo `git push`", "!Bash(git push *)"},
		{"(git push)", "!Bash(git push *)"},
		{`g"it" pu'sh'`, "!Bash(git push *)"},
		{`\git push`, "!Bash(git push *)"},
		{"/usr/bin/git push", "!Bash(git push *)"},
		{"GIT_DIR=x git push", "!Bash(git push *)"},
		{"sudo git push", "!Bash(git push *)"},
		{"sudo -E env A=b git push", "!Bash(git push *)"},
		{"timeout 10 git push", "!Bash(git push *)"},
		{"bash -c 'git push'", "!Bash(git push *)"},
		{`sh -c "cd x && git push"`, "!Bash(git push *)"},
		{"if true; then git push; fi", "!Bash(git push *)"},
		{"git push > out", "!Bash(git push *)"},
		{"git \\\n push", "!Bash(git push *)"},
		{"true\ngit push", "!Bash(git push *)"},
		{"xargs rm -rf < list", "!Bash(rm -rf *)"},
		// Denied although it would only be said: the safe side.
		{`git commit -m "git push"`, "!Bash(git push *)"},
	} {
		v := decideApproval(policy, bash(t, tc.line))
		want := tc.want
		switch {
		case want == "-":
			if v.allow || v.pattern != "" || !strings.Contains(v.message, "nobody is there") {
				t.Errorf("%q: %+v, want it not to be allowed", tc.line, v)
			}
		case want[0] == '!':
			if v.allow || v.pattern != want[1:] || !strings.Contains(v.message, "denied by the team's rule "+want[1:]) {
				t.Errorf("%q: %+v, want it denied by %s", tc.line, v, want[1:])
			}
		default:
			if !v.allow || v.pattern != want || v.message != "" {
				t.Errorf("%q: %+v, want it allowed by %s", tc.line, v, want)
			}
		}
	}
}

func TestApproveOthers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy workflow.Approvals
		use    toolUse
		want   bool
	}{
		{"nothing is allowed by default", workflow.Approvals{}, use(t, "Write", map[string]any{"file_path": "/srv/repo/a"}), false},
		{"otherwise allow", workflow.Approvals{Otherwise: "allow"}, use(t, "Write", map[string]any{"file_path": "/a"}), true},
		{"otherwise deny", workflow.Approvals{Otherwise: "deny"}, use(t, "Write", map[string]any{"file_path": "/a"}), false},
		{"deny before otherwise", workflow.Approvals{Deny: []string{"Write"}, Otherwise: "allow"}, use(t, "Write", map[string]any{"file_path": "/a"}), false},
		{"deny before allow", workflow.Approvals{Deny: []string{"Write"}, Allow: []string{"Write"}}, use(t, "Write", map[string]any{"file_path": "/a"}), false},
		{"whole tool", workflow.Approvals{Allow: []string{"Write"}}, use(t, "Write", map[string]any{"file_path": "/a"}), true},
		{"whole tool in parentheses", workflow.Approvals{Allow: []string{"Bash(*)"}}, bash(t, "x $(y) > z"), true},
		{"another tool", workflow.Approvals{Allow: []string{"Write"}}, use(t, "WriteX", nil), false},
		{"glob for the tool", workflow.Approvals{Allow: []string{"Task*"}}, use(t, "TaskCreate", nil), true},
		{"any tool", workflow.Approvals{Allow: []string{"*"}}, use(t, "Skill", nil), true},
		{"relative path", workflow.Approvals{Allow: []string{"Write(docs/*)"}}, use(t, "Write", map[string]any{"file_path": "/srv/repo/docs/a/b.md"}), true},
		{"relative path as given", workflow.Approvals{Allow: []string{"Write(./docs/*)"}}, use(t, "Write", map[string]any{"file_path": "docs/b.md"}), true},
		{"path that climbs out", workflow.Approvals{Allow: []string{"Write(docs/*)"}}, use(t, "Write", map[string]any{"file_path": "/srv/repo/docs/../../../etc/passwd"}), false},
		{"path that climbs within", workflow.Approvals{Allow: []string{"Write(docs/*)"}}, use(t, "Write", map[string]any{"file_path": "docs/../main.go"}), false},
		{"everything inside", workflow.Approvals{Allow: []string{"Write(*.go)"}}, use(t, "Write", map[string]any{"file_path": "/srv/repo/x/main.go"}), true},
		{"a relative glob means inside", workflow.Approvals{Allow: []string{"Write(*.go)"}}, use(t, "Write", map[string]any{"file_path": "/etc/x.go"}), false},
		{"sibling with the same beginning", workflow.Approvals{Allow: []string{"Write(*.go)"}}, use(t, "Write", map[string]any{"file_path": "/srv/repository/x.go"}), false},
		{"absolute glob", workflow.Approvals{Allow: []string{"Edit(/etc/*)"}}, use(t, "Edit", map[string]any{"file_path": "/etc/x"}), true},
		{"deny relative", workflow.Approvals{Allow: []string{"Edit"}, Deny: []string{"Edit(.git/*)"}}, use(t, "Edit", map[string]any{"file_path": "/srv/repo/src/../.git/config"}), false},
		{"deny absolute", workflow.Approvals{Allow: []string{"Edit"}, Deny: []string{"Edit(*.env)"}}, use(t, "Edit", map[string]any{"file_path": "/etc/.env"}), false},
		{"JSON", workflow.Approvals{Allow: []string{`Skill({"name":"a*"})`}}, use(t, "Skill", map[string]any{"name": "abc"}), true},
		{"deny by main argument", workflow.Approvals{Allow: []string{"Grep"}, Deny: []string{"Grep(password*)"}}, use(t, "Grep", map[string]any{"pattern": "password=", "path": "."}), false},
		{"malformed allow allows nothing", workflow.Approvals{Allow: []string{"Write(docs", "(", "", ")"}}, use(t, "Write", map[string]any{"file_path": "docs"}), false},
		{"malformed deny denies the tool", workflow.Approvals{Allow: []string{"Write"}, Deny: []string{"Write(docs"}}, use(t, "Write", map[string]any{"file_path": "x"}), false},
		{"shell without a command", workflow.Approvals{Allow: []string{"Bash(* *)"}}, use(t, "Bash", map[string]any{"cmd": "x y"}), false},
		{"shell with a list", workflow.Approvals{Allow: []string{"shell(* *)"}}, use(t, "shell", map[string]any{"command": []string{"x", "y"}}), false},
		{"deny in a list", workflow.Approvals{Allow: []string{"shell"}, Deny: []string{"shell(git push *)"}}, use(t, "shell", map[string]any{"command": []string{"bash", "-lc", "git push"}}), false},
		{"questions are never allowed", workflow.Approvals{Allow: []string{"*"}, Otherwise: "allow"}, use(t, "AskUserQuestion", nil), false},
		{"input that is no object", workflow.Approvals{Allow: []string{"Write(*.go)"}}, toolUse{name: "Write", input: json.RawMessage(`"x.go`), cwd: "/"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := decideApproval(tc.policy, tc.use)
			if v.allow != tc.want {
				t.Errorf("%+v, want allow %v", v, tc.want)
			}
			if !v.allow && v.message == "" {
				t.Error("a denial without a message")
			}
		})
	}
}

func TestDenialTellsWhatIsAllowed(t *testing.T) {
	v := decideApproval(workflow.Approvals{Allow: []string{"Bash(go test *)", "Write(docs/*)"}}, bash(t, "curl   https://example.com"))
	for _, want := range []string{"Bash curl https://example.com needs an approval", "Allowed without one: Bash(go test *).", "Each command of a line must match"} {
		if !strings.Contains(v.message, want) {
			t.Errorf("message lacks %q: %s", want, v.message)
		}
	}
	if strings.Contains(v.message, "docs/*") {
		t.Errorf("message names patterns of other tools: %s", v.message)
	}
	v = decideApproval(workflow.Approvals{}, bash(t, strings.Repeat("x", 10_000)))
	if len(v.message) > 1000 || !strings.Contains(v.message, "No use of this tool is allowed") {
		t.Errorf("message of %d bytes: %.300s", len(v.message), v.message)
	}
}

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a/b\nc", true}, {"a*", "a", true}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "abcc", true}, {"a*b*c", "acb", false}, {"?", "ä", true}, {"?", "", false}, {"??", "a", false},
		{"a?c", "abc", true}, {"[a]", "[a]", true}, {"[a]", "a", false}, {"**", "x", true}, {"a**", "a", true}, {"*.go", "x.go.txt", false},
	} {
		if got := glob(tc.pattern, tc.s); got != tc.want {
			t.Errorf("glob(%q, %q) = %v", tc.pattern, tc.s, got)
		}
	}
	if glob(strings.Repeat("a*", 30)+"b", strings.Repeat("a", 20_000)) {
		t.Error("matched")
	}
}

func TestSimpleCommands(t *testing.T) {
	for line, want := range map[string][]string{
		"a b|c;d&e\nf&&g||h":     {"a b", "c", "d", "e", "f", "g", "h"},
		`a "b c" 'd' e\ f`:       {`a "b c" d "e f"`},
		`a ""`:                   {`a ""`}, // an empty word is a word
		"a;;b":                   {"a", "b"},
		"a 2>&1 1>&2 </dev/null": {"a"},
		"a2>&1":                  {"a2"},
		"a#b #c":                 {"a#b"},
		"\"a\\\"b\\c\"":          {`a"b\c`},
		"ä 'ö ü'":                {`ä "ö ü"`},
	} {
		got, ok := simpleCommands(line)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("simpleCommands(%q) = %q, %v, want %q", line, got, ok, want)
		}
	}
}

func FuzzApproveShell(f *testing.F) {
	for _, seed := range []string{"go test ./...", "go test 'a b' \"c\" 2>&1 | ls # x", "a\\\nb", "$(x)", "go test $'a'", "\"\\", "git push"} {
		f.Add(seed)
	}
	policy := workflow.Approvals{Allow: []string{"Bash(go test *)"}, Deny: []string{"Bash(git push *)"}}
	f.Fuzz(func(t *testing.T, line string) {
		v := decideApproval(policy, bash(t, line))
		if !v.allow && v.message == "" {
			t.Fatal("a denial without a message")
		}
		if decideApproval(policy, bash(t, line+"\ngit push")).allow {
			t.Fatalf("allowed with a denied command behind it: %q", line)
		}
		if !v.allow || strings.HasSuffix(line, "\\") {
			return
		}
		if decideApproval(policy, bash(t, line+"\nrm x")).allow || decideApproval(policy, bash(t, "rm x; "+line)).allow {
			t.Fatalf("allowed with another command beside it: %q", line)
		}
		commands, ok := simpleCommands(line)
		if !ok {
			t.Fatalf("allowed without being understood: %q", line)
		}
		for _, command := range commands {
			if command != "go test" && !strings.HasPrefix(command, "go test ") {
				t.Fatalf("allowed %q in %q", command, line)
			}
		}
	})
}

func TestAskIsBetweenAllowAndOtherwise(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy  workflow.Approvals
		line    string
		want    string
		pattern string
	}{
		"asked":                     {workflow.Approvals{Ask: []string{"Bash(git push *)"}}, "git push origin", "ask", "Bash(git push *)"},
		"asked before allow":        {workflow.Approvals{Ask: []string{"Bash(git push *)"}, Otherwise: "allow"}, "git push origin", "ask", "Bash(git push *)"},
		"asked before deny":         {workflow.Approvals{Ask: []string{"Bash"}, Otherwise: "deny"}, "ls", "ask", "Bash"},
		"allowed first":             {workflow.Approvals{Allow: []string{"Bash(git *)"}, Ask: []string{"Bash(git push *)"}}, "git push origin", "allow", "Bash(git *)"},
		"denied first":              {workflow.Approvals{Deny: []string{"Bash(git push *)"}, Ask: []string{"Bash"}, Allow: []string{"Bash"}}, "git push origin", "deny", "Bash(git push *)"},
		"within a line":             {workflow.Approvals{Ask: []string{"Bash(git push *)"}, Otherwise: "allow"}, "cd x && sudo git push origin", "ask", "Bash(git push *)"},
		"within quotes":             {workflow.Approvals{Ask: []string{"Bash(git push *)"}, Otherwise: "allow"}, "sh -c 'git push origin'", "ask", "Bash(git push *)"},
		"not all of it is allowed":  {workflow.Approvals{Allow: []string{"Bash(go test *)"}, Ask: []string{"Bash(git push *)"}}, "go test ./... && git push", "ask", "Bash(git push *)"},
		"other, not asked about":    {workflow.Approvals{Ask: []string{"Bash(git push *)"}}, "make", "deny", ""},
		"otherwise ask":             {workflow.Approvals{Allow: []string{"Bash(go test *)"}, Otherwise: "ask"}, "make", "ask", ""},
		"otherwise ask, but denied": {workflow.Approvals{Deny: []string{"Bash(rm *)"}, Otherwise: "ask"}, "make; rm x", "deny", "Bash(rm *)"},
		"malformed asks always":     {workflow.Approvals{Ask: []string{"Bash(git"}, Otherwise: "allow"}, "make", "ask", "Bash(git"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decideApproval(test.policy, bash(t, test.line))
			got := "deny"
			switch {
			case v.allow && v.ask:
				got = "both"
			case v.allow:
				got = "allow"
			case v.ask:
				got = "ask"
			}
			if got != test.want || v.pattern != test.pattern {
				t.Errorf("%s by %q, want %s by %q", got, v.pattern, test.want, test.pattern)
			}
		})
	}
}
