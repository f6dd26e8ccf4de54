package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newInit(a *app) *cobra.Command {
	var yes bool
	var name, command string
	cmd := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write a first team and a configuration",
		Long: `Writes teams/NAME.yaml, a team of a coder and a reviewer whose work is tested by the
command that fits the directory, and orchestrator.yaml, a configuration of the daemon.
It asks for the name and the command, each with what it found as the default; --yes
takes the defaults without asking. Files that are there already are never changed.`,
		Example: `  orchestrator init
  orchestrator init ~/src/service --yes
  orchestrator init --name maintenance --command "make test"`,
		Args: arguments(0, 1, "at most one directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			directory := "."
			if len(args) > 0 {
				directory = args[0]
			}
			directory, err := filepath.Abs(directory)
			if err != nil {
				return err
			}
			info, err := os.Stat(directory)
			if err != nil {
				return usage(err)
			}
			if !info.IsDir() {
				return usage(fmt.Errorf("%s is a file: name a directory", directory))
			}
			first := firstTeam{directory: directory, name: name, command: command, git: exists(filepath.Join(directory, ".git"))}
			first.complete(a, yes, cmd.Flags().Changed("command"))
			return first.write(a)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&yes, "yes", "y", false, "ask nothing")
	flags.StringVar(&name, "name", "", "the name of the team (default: that of the directory)")
	flags.StringVar(&command, "command", "", "the command that tests the work; empty for none (default: by what is in the directory)")
	return cmd
}

// firstTeam is what init writes.
type firstTeam struct {
	directory, name, command string
	git                      bool
}

// languages are the files by which the command that tests a directory is known.
func languages() [][2]string {
	return [][2]string{
		{"go.mod", "go test ./..."}, {"Cargo.toml", "cargo test"}, {"package.json", "npm test"},
		{"pyproject.toml", "pytest"}, {"setup.py", "pytest"}, {"pytest.ini", "pytest"}, {"pom.xml", "mvn -q test"},
		{"build.gradle", "./gradlew test"}, {"build.gradle.kts", "./gradlew test"}, {"mix.exs", "mix test"}, {"Gemfile", "bundle exec rake test"},
		{"CMakeLists.txt", "ctest --test-dir build"}, {"Makefile", "make test"},
	}
}

// testCommand finds the command that tests a directory; empty where it is not known.
func testCommand(directory string) string {
	for _, l := range languages() {
		if exists(filepath.Join(directory, l[0])) {
			return l[1]
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var notInName = regexp.MustCompile(`[^a-z0-9_-]+`)

// teamName makes a name of that of a directory.
func teamName(directory string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(directory)), "-"), "-_0123456789")
	const most = 40
	return cmp.Or(strings.TrimRight(name[:min(len(name), most)], "-_"), "first")
}

// complete asks for what was not given.
func (f *firstTeam) complete(a *app, yes, commandGiven bool) {
	answers := bufio.NewReader(a.stdin)
	ask := func(what, otherwise string) string {
		if yes {
			return otherwise
		}
		fmt.Fprintf(a.stderr, "%s [%s]: ", what, cmp.Or(otherwise, "none"))
		line, err := answers.ReadString('\n')
		if err != nil && line == "" { // nobody answers
			fmt.Fprintln(a.stderr)
			return otherwise
		}
		return cmp.Or(strings.TrimSpace(line), otherwise)
	}
	if f.name == "" {
		f.name = ask("the name of the team", teamName(f.directory))
	}
	if !commandGiven {
		f.command = ask("the command that tests the work (- for none)", testCommand(f.directory))
	}
	if f.command == "-" || f.command == "none" {
		f.command = ""
	}
}

// team is the text of the team file.
func (f *firstTeam) team() string {
	text := initTeam
	checked, rules, checks, allowed := "", initRules, "", []string{"Bash(git add *)", "Bash(git commit *)", "Bash(git diff *)", "Bash(git status *)"}
	if f.command != "" {
		checked, rules, checks = ", `"+f.command+"` tests it", initCheckedRules, strings.ReplaceAll(initChecks, "@COMMAND@", strconv.Quote(f.command))
		allowed = append([]string{"Bash(" + f.command + ")"}, allowed...)
	}
	for i, pattern := range allowed {
		allowed[i] = strconv.Quote(pattern)
	}
	place := initDirectory
	if f.git {
		place = initWorktree
	}
	return strings.NewReplacer(
		"@NAME@", f.name, "@DIRECTORY@", strconv.Quote(f.directory), "@WORKSPACE@", place, "@ALLOWED@", strings.Join(allowed, ", "),
		"@CHECKS@", checks, "@RULES@", rules, "@CHECKED@", oneLine(checked, 60),
	).Replace(text)
}

// write writes what is not there yet, after it was checked.
func (f *firstTeam) write(a *app) error {
	library, err := roles.Load("")
	if err != nil {
		return err
	}
	teamFile := filepath.Join(f.directory, "teams", f.name+".yaml")
	if _, err := workflow.Parse(teamFile, []byte(f.team()), workflow.ParseOptions{Roles: library.Names()}); err != nil {
		return usage(err)
	}
	if exists(teamFile) {
		return usage(fmt.Errorf("%s is there already, and was not changed\n  what to do: choose another name with --name", teamFile))
	}
	if err := os.MkdirAll(filepath.Dir(teamFile), 0o755); err != nil { //nolint:gosec // it is part of a repository
		return err
	}
	colours := paletteFor(a.stdout)
	for _, file := range [][2]string{{teamFile, f.team()}, {filepath.Join(f.directory, config.FileName), initConfig}} {
		err := writeNew(file[0], file[1])
		switch {
		case errors.Is(err, fs.ErrExist):
			fmt.Fprintf(a.stdout, "- %s is there already, and stays as it is\n", file[0])
		case err != nil:
			return err
		default:
			fmt.Fprintf(a.stdout, "%s wrote %s\n", colours.good("✓"), file[0])
		}
	}
	fmt.Fprintf(a.stdout, "next:\n  orchestrator doctor\n  orchestrator run %s --input goal=\"…\"\n", shellWord(relativeTo(teamFile)))
	return nil
}

// relativeTo shortens a path where it is below the working directory.
func relativeTo(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

// writeNew writes a file that is not there yet. Errors: fs.ErrExist.
func writeNew(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // it is part of a repository
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
