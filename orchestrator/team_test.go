package orchestrator

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const childTeam = "version: 1\nname: c\nagents: {a: {role: coder}}\nstart: a\nhandoffs: [{from: a, on: end_turn, to: succeeded}, {from: a, on: \"*\", to: failed}]\n"

func parentTeam(file string) string {
	return "version: 1\nname: p\nteams: {s: {team: " + file + "}}\nstart: s\nhandoffs: [{from: s, on: succeeded, to: succeeded}, {from: s, on: \"*\", to: failed}]\n"
}

func writeTeam(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Sub-teams are read relative to the file that names them, and the team can be
// parsed again from what it keeps.
func TestLoadTeamWithSubTeams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	top := writeTeam(t, filepath.Join(dir, "teams", "top.yaml"), parentTeam("sub/mid.yaml"))
	writeTeam(t, filepath.Join(dir, "teams", "sub", "mid.yaml"), parentTeam("../../leaf.yaml"))
	writeTeam(t, filepath.Join(dir, "leaf.yaml"), childTeam)
	team, err := LoadTeam(top, "")
	if err != nil {
		t.Fatal(err)
	}
	mid := team.Teams["s"].Team
	if leaf := mid.Teams["s"].Team; leaf.Name != "c" || leaf.File != filepath.Join(dir, "leaf.yaml") {
		t.Errorf("leaf %s of %s", leaf.Name, leaf.File)
	}
	again, err := workflow.Parse(team.File, team.Source, workflow.ParseOptions{Load: workflow.LoadSources(team.File, team.Sources)})
	if err != nil {
		t.Fatal(err)
	}
	if again.Revision != team.Revision {
		t.Error("the revision of the stored team differs")
	}
}

func TestLoadTeamRefusesSubTeams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeTeam(t, filepath.Join(dir, "long.yaml"), strings.Repeat("#", 2<<20))
	writeTeam(t, filepath.Join(dir, "bad.yaml"), strings.ReplaceAll(childTeam, "coder", "codr"))
	for file, want := range map[string]string{
		"none.yaml": `top.yaml:3:19: there is no team file "none.yaml"`, "fifo.yaml": `top.yaml:3:19: the team file "fifo.yaml" cannot be read: it is no regular file`,
		".": `top.yaml:3:19: the team file "." cannot be read: it is no regular file`, "long.yaml": "the team file is longer than 1024 KiB",
		"bad.yaml": `bad.yaml:3:20: there is no role "codr"`, "top.yaml": "the sub-teams lead around",
	} {
		top := writeTeam(t, filepath.Join(dir, "top.yaml"), parentTeam(file))
		if _, err := LoadTeam(top, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}
