package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const whole = `version: 1
data_dir: /var/lib/orchestrator
listen: [unix, "127.0.0.1:7717", ":7717"]
tls: {cert: cert.pem, key: key.pem}
hosts: agents.example.org
tokens: {operator_file: op.token, read_only_env: READ_TOKEN}
app_servers:
  - {name: main, managed: {command: letta, home: letta}, max_turns: 16}
  - {name: big, url: "wss://127.0.0.1:4500", token_file: big.token, transport: split, max_turns: 40}
  - {name: demo, scripted: demo.yaml}
model: provider/model
prices: prices.yaml
roles: roles
teams: ./teams/
limits: {max_turns: 32, teams: {release: {max_tasks: 2, max_turns: 4}}}
grace: 1m30s
retention: {tasks: 90d}
logging: {level: debug, format: json, file: orchestrator.log}
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse("/etc/o/orchestrator.yaml", []byte(whole), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: "/etc/o/orchestrator.yaml", DataDir: "/var/lib/orchestrator", Listen: []string{"unix", "127.0.0.1:7717", ":7717"},
		TLS: TLS{Cert: "/etc/o/cert.pem", Key: "/etc/o/key.pem"}, Hosts: []string{"agents.example.org"},
		Tokens: Tokens{Operator: Secret{File: "/etc/o/op.token"}, ReadOnly: Secret{Env: "READ_TOKEN"}},
		AppServers: []AppServer{
			{Name: "main", Managed: &Managed{Command: "letta", Home: "/etc/o/letta"}, MaxTurns: 16},
			{Name: "big", URL: "wss://127.0.0.1:4500", Token: Secret{File: "/etc/o/big.token"}, Transport: "split", MaxTurns: 40},
			{Name: "demo", Scripted: "/etc/o/demo.yaml"},
		},
		Model: "provider/model", Prices: "/etc/o/prices.yaml", Roles: "/etc/o/roles", Teams: "/etc/o/teams",
		Limits: Limits{MaxTurns: 32, Teams: map[string]TeamLimits{"release": {MaxTasks: 2, MaxTurns: 4}}},
		Grace:  90 * time.Second, GraceSet: true, Retention: Retention{Tasks: 90 * 24 * time.Hour},
		Logging: Logging{Level: "debug", Format: "json", File: "/etc/o/orchestrator.log"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// problemsOf are what is wrong with a file, line by line.
func problemsOf(t *testing.T, src string, options Options) workflow.Problems {
	t.Helper()
	_, err := Parse("c.yaml", []byte(src), options)
	problems, ok := errors.AsType[workflow.Problems](err)
	if err != nil && !ok {
		t.Fatalf("not a list of problems: %v", err)
	}
	return problems
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"":                                 "c.yaml:1:1: the configuration is empty",
		"model: a/b":                       "c.yaml:1:1: the configuration has no version",
		"[1]":                              "a configuration is a mapping of fields, not a list",
		"version: 2":                       "c.yaml:1:10: version must be 1",
		"mdel: a/b":                        `did you mean "model"?`,
		"tls: {cert: c}":                   "c.yaml:2:6: tls has no key",
		"listen: nowhere":                  `"nowhere" is no address to listen at`,
		"listen: 127.0.0.1:http-x":         `is no address to listen at`,
		"listen: unix:api.sock":            "write the whole path",
		"listen: []":                       "listen is empty",
		"listen: :7717":                    "other machines can reach :7717, so that a token is needed",
		"listen: 10.0.0.1:7717":            "so that what is sent must be encrypted",
		"grace: 30":                        "write the unit too: 30s",
		"grace: -1s":                       "grace must be a duration",
		"grace: 1d2d":                      "grace must be a duration",
		"retention: {tasks: 90s}":          "write at least 1h0m0s",
		"logging: {level: inf}":            `did you mean "info"?`,
		"app_servers: {}":                  "app_servers is a list of App Servers",
		"app_servers: [{managed: {}}]":     "an App Server has no name",
		"app_servers: [~]":                 "an App Server has no name",
		"tls:":                             "tls has no cert",
		"app_servers: [{name: a}]":         "an App Server is managed, at a url, or scripted",
		"app_servers: [{name: a, url: x}]": "url is no address of an App Server",
		"app_servers: [{name: a, managed: {}, token_file: x}]":                    "token_file is for an App Server that is given by its url",
		"app_servers: [{name: a, managed: {}}, {name: a, scripted: s.yaml}]":      `two App Servers are called "a"`,
		"app_servers: [{name: a, managed: {}}, {name: b, url: \"ws://h\"}]":       "a runs on this machine and b on another one, which does not see the same files",
		"app_servers: [{name: a, url: \"ws://h\"}, {name: b, url: \"ws://h/\"}]":  "a and b are the same App Server",
		"app_servers: [{name: a, managed: {}}, {name: b, managed: {command: x}}]": "two managed App Servers have the same home",
		"app_servers: [{name: a, url: \"ws://user:hunter2@h\"}]":                  "they could be secret",
		"limits: {teams: {x: {max_turn: 1}}}":                                     `did you mean "max_turns"?`,
		"tokens: {operator_file: a, operator_env: B}":                             "the token operator is given twice",
		"tokens: {operator_env: not a name}":                                      "operator_env is no name of an environment variable",
		"tls: {cert: c, key: k}\nbehind_proxy: true":                              "the daemon encrypts itself, or a proxy does",
		"hosts: https://h":       "write the name alone",
		"model: a/b\nmodel: c/d": `has "model" twice`,
	} {
		if !strings.Contains(src, "version") && src != "" && src[0] != '[' && src != "model: a/b" {
			src = "version: 1\n" + src
		}
		problems := problemsOf(t, src, Options{})
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", src, problems, want)
		}
	}
}

// Everything that is wrong is told at once, each with its place and its line.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	problems := problemsOf(t, "version: 1\ngrace: soon\nlogging:\n  levl: info\nlimits: {max_turns: 0}\n", Options{})
	want := `c.yaml:2:8: grace must be a duration
    2 | grace: soon
      |        ^^^^ write a number and a unit, as in 30s, 15m, 2h or 90d
c.yaml:4:3: logging has no field "levl"
    4 |   levl: info
      |   ^^^^ did you mean "level"?
c.yaml:5:21: max_turns must be at least 1, not 0`
	if got := problems.Error(); !strings.HasPrefix(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// What somebody has written into the file as a token is in no message.
func TestProblemsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		"tokens: {operator: hunter2-secret}", "tokens:\n  operator_env: hunter2-secret", "tokens:\n  operatr_file: |\n    hunter2-secret\n",
		"app_servers: [{name: a, url: \"ws://h\", token_env: hunter2-secret}]",
		"app_servers: [{name: a, url: \"ws://u:hunter2-secret@h\"}]", "tokens: [hunter2-secret]", "tokens: hunter2-secret",
		"notifications: [{webhook: {url: \"https://u:p@h/hunter2-secret\", secret_file: x}}]", "notifications: [{webhook: {urll: hunter2-secret}}]",
	} {
		problems := problemsOf(t, "version: 1\n"+src, Options{})
		if len(problems) == 0 || strings.Contains(problems.Error(), "hunter2") {
			t.Errorf("%s: %v", src, problems)
		}
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	if err := errors.Join(os.WriteFile(file, []byte("version: 1\nroles: none\nprices: .\nteams: "+FileName+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	for _, want := range []string{
		FileName + ":2:8: roles: there is no " + filepath.Join(dir, "none"), ":3:9: prices: " + dir + " is a directory", ":4:8: teams: " + file + " is no directory",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Where nothing is said, the teams are those beside the file, if there are some.
func TestTeamsBesideTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	if err := os.WriteFile(file, []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(file); err != nil || c.Teams != "" {
		t.Errorf("without a directory: %+v, %v", c, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "teams"), 0o700); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(file); err != nil || c.Teams != filepath.Join(dir, "teams") {
		t.Errorf("with one: %+v, %v", c, err)
	}
}

func TestEnvironmentVariablesThatAreNotSet(t *testing.T) {
	t.Parallel()
	environment := func(name string) (string, bool) {
		return map[string]string{"SET": "x"}[name], name == "SET" || name == "EMPTY"
	}
	for name, wrong := range map[string]bool{"SET": false, "EMPTY": true, "UNSET": true} {
		problems := problemsOf(t, "version: 1\ntokens: {operator_env: "+name+"}", Options{LookupEnv: environment})
		if (len(problems) > 0) != wrong {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"90d": 90 * day, "1d12h": 36 * time.Hour, "30s": 30 * time.Second, "0": 0, "0d": 0, "+2d": 2 * day} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "1d-1h", "1d1d", "12h1d", "99999999999999999999d", "1d0", "-1s", "1d+1h", "٣d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// Whatever a file holds, it is refused with places in it, or read and described by the schema.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("version: 1\ngrace: 1d2h\nlisten: :80\ntokens: &a {operator_env: X}\n"))
	schema := compiledSchema(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		_, err := Parse("c.yaml", src, Options{})
		if err == nil {
			if err := validate(schema, src); err != nil && !strings.Contains(err.Error(), "yaml") {
				t.Errorf("the schema refuses what the parser takes: %v", err)
			}
			return
		}
		problems, ok := errors.AsType[workflow.Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("not a list of problems: %v", err)
		}
		for _, p := range problems {
			if p.Message == "" || p.Line > strings.Count(string(src), "\n")+1+strings.Count(string(src), "\r") {
				t.Errorf("%+v", p)
			}
		}
	})
}
