package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// workingDirectory is where the command runs: within the workspace, also after
// all symbolic links are followed.
func workingDirectory(workspace, directory string) (string, error) {
	root, err := filepath.EvalSymlinks(workspace)
	if err != nil {
		return "", fmt.Errorf("the workspace %s of the task cannot be used: %w", workspace, err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(root, directory))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no directory %s in the workspace %s", directory, workspace)
	}
	if err != nil {
		return "", fmt.Errorf("the directory %s of the check cannot be used: %w", directory, err)
	}
	if inside, err := filepath.Rel(root, dir); err != nil || !filepath.IsLocal(inside) {
		return "", fmt.Errorf("the directory %s of the check is %s, which is outside of the workspace %s", directory, dir, workspace)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("the directory %s of the check cannot be used: %w", directory, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("the directory %s of the check is a file", directory)
	}
	return dir, nil
}

// command is the program of a check, not started.
func command(c *workflow.Check, directory string, env []string) (*exec.Cmd, error) {
	args := c.Command
	if c.Run != "" {
		args = []string{"sh", "-c", c.Run}
	}
	if len(args) == 0 || args[0] == "" {
		return nil, fmt.Errorf("check %s has no command", c.Name)
	}
	program := args[0]
	if !strings.ContainsRune(program, filepath.Separator) {
		found, err := lookPath(program, env)
		if err != nil {
			return nil, err
		}
		program = found
	}
	// No CommandContext: it would end the command alone, and not what it started.
	return &exec.Cmd{Path: program, Args: args, Dir: directory, Env: env}, nil
}

// lookPath looks for a program in the PATH that the command itself will have.
// Relative entries are left out: they would let the workspace choose the program.
func lookPath(name string, env []string) (string, error) {
	var path string
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value // the last one counts
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in PATH (%s)", name, path)
}

// startError says why a command could not be started.
func startError(cmd *exec.Cmd, err error) error {
	if err == nil {
		return nil
	}
	file := cmd.Path
	if !filepath.IsAbs(file) {
		file = filepath.Join(cmd.Dir, file)
	}
	info, statErr := os.Stat(file)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		return fmt.Errorf("there is no program %s", file)
	case statErr == nil && info.IsDir():
		return fmt.Errorf("%s is a directory and not a program", file)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be run: make it executable with chmod +x", file)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be run: the interpreter that its first line names does not exist", file)
	case isNoProgram(err):
		return fmt.Errorf("%s is no program that this machine can run: a script needs a first line such as #!/bin/sh", file)
	}
	return fmt.Errorf("start %s: %w", file, err)
}

// exitStatus says how a command ended; detail is empty where it ended with 0.
func exitStatus(cmd *exec.Cmd, waited error) (code int, detail string) {
	if waited == nil {
		return 0, ""
	}
	if cmd.ProcessState == nil {
		return -1, fmt.Sprintf("it is not known how the command ended: %s", waited)
	}
	if number, name, ok := signalled(cmd.ProcessState); ok {
		return 128 + number, fmt.Sprintf("the command was ended by a signal: %s", name)
	}
	code = cmd.ProcessState.ExitCode()
	switch code {
	case 127:
		return code, "the command ended with exit status 127: a program that it names was not found"
	case 126:
		return code, "the command ended with exit status 126: a program that it names cannot be run"
	}
	return code, fmt.Sprintf("the command ended with exit status %d", code)
}
