package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
)

// TestFieldReference keeps the generated part of docs/team-file.md as the table
// of fields has it. With -update it writes a page that others read: it is not
// parallel.
func TestFieldReference(t *testing.T) { golden.Part(t, "../docs/team-file.md", FieldReference()) }

func TestSchemaIsUpToDate(t *testing.T) {
	t.Parallel()
	golden.File(t, "../docs/team-file.schema.json", string(schemaText(t)))
}

func schemaText(t *testing.T) []byte {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json") // checks it against the meta-schema of its draft
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate reads YAML as an editor does and checks it.
func validate(t *testing.T, schema *jsonschema.Schema, src []byte) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(src, &value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err // keys that are no text
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, path := range slices.Concat(files(t, "testdata/good/*.yaml"), files(t, "../examples/teams/*.yaml")) {
		if strings.HasSuffix(path, ".test.yaml") {
			continue // the scenarios of a team
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, src); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// beyondSchema are the bad files whose mistake is no mistake of structure.
var beyondSchema = []string{
	"ask-expires-zero", "backoff-longer-than-task", "branch-limits-leave-loop", "branch-loop", "branch-not-covered", "branches-of-branches",
	"budget-to-agent", "budget-to-sub-team", "check-directory-absolute", "check-directory-outside", "check-longer-than-task", "check-loop",
	"check-message", "check-not-covered", "check-program-empty", "check-reason", "check-timeout", "check-uncertain", "check-unreachable",
	"condition-clock", "condition-in-branches", "condition-let", "condition-map", "condition-multiline", "condition-not-bool", "condition-syntax",
	"condition-types", "condition-unknown-input", "condition-unknown-name", "condition-wide-characters", "covered-only-with-condition",
	"data-bad-pattern", "data-file-reference", "data-missing-reference", "data-not-an-object", "data-remote-reference", "data-wrong-keyword", "data-wrong-type",
	"duration-too-short", "end-turn-with-outcomes", "for-each-empty-list", "for-each-join-count", "for-each-syntax", "for-each-text",
	"for-each-unknown-name", "gate-expired-elsewhere", "gate-expires-zero", "gate-loop", "gate-message", "gate-not-covered", "gate-question-template",
	"join-condition", "join-different", "join-different-modes", "join-mixed-reasons", "join-not-parallel", "join-one-never-comes", "join-outside-condition", "join-too-many",
	"join-unknown-node", "max-in-branch-only", "merge-key", "node-name-twice", "parallel-writers", "parallel-writers-for-each", "parallel-writers-later",
	"pattern", "reason-not-covered", "retry-max-backoff", "spawn-without-teams", "stall-longer-than-turn", "start-check-message", "start-message-output",
	"team-absolute-path", "team-around-branch-limit-not-covered", "team-branch-limit-not-covered", "team-cycle", "team-input-missing", "team-input-template", "team-input-type", "team-input-unknown", "team-is-itself",
	"team-limit-not-covered", "team-message", "team-missing-file", "team-reason", "team-spawn-unbounded", "team-too-deep", "team-unreachable", "team-with-problems",
	"template-defines", "template-escapes", "template-field-of-text", "template-folded", "template-forbidden-function", "template-in-branches",
	"template-multiline-quoted", "template-nested", "template-no-inputs", "template-syntax", "template-syntax-block", "template-unknown-function",
	"template-unknown-input", "template-unknown-name", "template-unknown-node", "template-uses-template", "turn-longer-than-task", "two-documents",
	"two-reasons-not-covered", "unbounded-loop", "unbounded-self-loop", "undeclared-outcome", "unknown-node-from", "unknown-node-to", "unknown-reason",
	"unknown-reason-of-all", "unknown-reason-of-two", "unknown-role", "unknown-start", "unreachable-after-join", "unreachable-agent",
	"unreachable-by-shadow", "wide-characters", "workspace-directory", "worktree-template", "worktree-uses-output",
}

func TestSchemaRefusesBadFiles(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, path := range files(t, "testdata/bad/*.yaml") {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		refused := validate(t, schema, src) != nil
		switch beyond := slices.Contains(beyondSchema, name); {
		case !refused && !beyond:
			t.Errorf("%s is valid by the schema; if its mistake is none of structure, add it to beyondSchema", path)
		case refused && beyond:
			t.Errorf("%s is refused by the schema: remove it from beyondSchema", path)
		}
	}
}

// TestFieldsAreTheParsers asks the parser what it knows of every section: what
// it lists for an unknown field must be the table.
func TestFieldsAreTheParsers(t *testing.T) {
	t.Parallel()
	const unknown = "zzzzzzzzzzzz"
	place := map[string]string{
		sectionTeam: "FIELD: {}", sectionInput: "inputs: {i: {FIELD: {}}}", sectionLimits: "limits: {FIELD: {}}", sectionWorkspace: "workspace: {FIELD: {}}",
		sectionBranchLimits: "handoffs: [{limits: {FIELD: {}}}]", sectionWorktree: "workspace: {worktree: {FIELD: {}}}",
		sectionCommit: "workspace: {commit: {FIELD: {}}}", sectionPublish: "workspace: {publish: {FIELD: {}}}", sectionCheck: "checks: {c: {FIELD: {}}}",
		sectionGate: "gates: {g: {FIELD: {}}}", sectionSubTeam: "teams: {t: {FIELD: {}}}",
		sectionAgent: "agents: {a: {FIELD: {}}}", sectionApprovals: "agents: {a: {approvals: {FIELD: {}}}}",
		sectionRule: "handoffs: [{FIELD: {}}]", sectionRetry: "handoffs: [{retry: {FIELD: {}}}]", sectionSchedule: "schedules: {s: {FIELD: {}}}",
	}
	messages := func(section, field string) (out []string) {
		_, err := Parse("t.yaml", []byte(strings.ReplaceAll(place[section], "FIELD", field)+"\n"), ParseOptions{})
		problems, _ := errors.AsType[Problems](err)
		for _, p := range problems {
			out = append(out, p.Message+"|"+p.Fix)
		}
		return out
	}
	var names []string
	for _, s := range fileSections() {
		names = append(names, s.name)
		var known []string
		for _, f := range s.fields {
			known = append(known, f.name)
		}
		slices.Sort(known)
		want := `has no field "` + unknown + `"|there is: ` + strings.Join(known, ", ")
		if got := messages(s.name, unknown); !slices.ContainsFunc(got, func(m string) bool { return strings.HasSuffix(m, want) }) {
			t.Errorf("%s: the parser says\n%s\nand the table has\n%s", s.name, strings.Join(got, "\n"), want)
		}
		for _, later := range s.later {
			if got := messages(s.name, later); !slices.Contains(got, `"`+later+`" is not supported by this version|leave it out`) {
				t.Errorf("%s: %s: the parser says %q", s.name, later, got)
			}
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(place)); !slices.Equal(names, want) {
		t.Errorf("sections %q, want %q", names, want)
	}
}

// TestDefaultsAreTheParsers reads a file that gives nothing and compares with
// the defaults of the table.
func TestDefaultsAreTheParsers(t *testing.T) {
	t.Parallel()
	team := mustParse(t, "version: 1\nname: t\ninputs: {i: {}}\nagents: {a: {prompt: x}}\nchecks: {c: {run: x}}\ngates: {g: {question: x}}\n"+
		"workspace: {worktree: {repo: r}, publish: {push: x}}\nlimits: {turns: 9, at_limit: rules}\nstart: a\nhandoffs:\n  - {from: a, on: error, retry: {max: 1}}\n"+
		"  - {from: a, on: end_turn, for_each: data, max_parallel: 1, to: c}\n  - {from: c, on: '*', to: g}\n  - {from: '*', on: '*', to: failed}\nschedules: {s: {cron: '@daily'}}\n")
	s := team.Schedules["s"]
	a, retry, c, g := team.Agents["a"], team.Handoffs[0].Retry, team.Checks["c"], team.Gates["g"]
	w := team.Workspace
	got := map[string]string{
		"input.type": team.Inputs["i"].Type, "input.required": "false", "agent.permission_mode": a.PermissionMode, "agent.memory": "false",
		"agent.turn_timeout": shortDuration(a.turnTime()), "agent.stall_timeout": shortDuration(DefaultStallTimeout), "approvals.otherwise": a.Approvals.Otherwise,
		"agent.conversation": a.Conversation, "approvals.expires": shortDuration(a.Approvals.Expires), "check.timeout": shortDuration(c.Timeout),
		"check.rerun": fmt.Sprint(c.Rerun), "gate.expires": shortDuration(g.Expires), "gate.at_expiry": string(g.AtExpiry),
		"team.output_limit": fmt.Sprint(team.OutputLimit), "workspace.parallel_writers": fmt.Sprint(team.Workspace.ParallelWriters),
		"rule.max_items": fmt.Sprint(team.Handoffs[1].MaxItems), "limits.at_limit": team.Limits.AtLimit,
		"team.on_uncertain":  team.OnUncertain,
		"schedule.time_zone": "UTC", // of whoever computes the times
		"schedule.overlap":   s.Overlap, "schedule.queue_cap": fmt.Sprint(s.QueueCap), "schedule.missed": s.Missed, "schedule.missed_cap": fmt.Sprint(s.MissedCap),
		"schedule.enabled": fmt.Sprint(s.Enabled), "schedule.priority": fmt.Sprint(s.Priority),
		"workspace.setup_timeout": shortDuration(w.SetupTimeout), "workspace.cleanup": w.Cleanup, "workspace.save_ignored": fmt.Sprint(!w.DropIgnored),
		"publish.timeout": shortDuration(w.Publish.Timeout),
		"worktree.base":   "HEAD", "worktree.branch": "team/{{ .task.id }}", // of whoever makes the worktree
		"retry.backoff": shortDuration(retry.Backoff), "retry.max_backoff": shortDuration(retry.MaxBackoff),
	}
	if team.Inputs["i"].Required || a.Memory {
		t.Errorf("required %t, memory %t", team.Inputs["i"].Required, a.Memory)
	}
	want := map[string]string{}
	for _, s := range fileSections() {
		for _, f := range s.fields {
			if f.fallback != "" {
				want[s.name+"."+f.name] = f.fallback
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the parser has %v\nand the table   %v", got, want)
	}
}

func TestShortDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{10 * time.Second: "10s", 90 * time.Second: "1m30s", 30 * time.Minute: "30m", 2 * time.Hour: "2h", 0: "0s", time.Hour + time.Second: "1h0m1s"} {
		if got := shortDuration(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
