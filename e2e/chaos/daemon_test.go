//go:build faults

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	lib "github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// daemonVariable makes this test binary a daemon; it names the file with its job.
const daemonVariable = "ORCHESTRATOR_CHAOS_DAEMON"

// job is what a daemon does in each of its lives: it goes on with what it finds
// in its data directory, submits what has not been submitted, and ends when all
// tasks have ended.
type job struct {
	DataDir, AppServer string
	Tasks              []submission
	MaxTurns           int
}

// submission is one task, known by its key.
type submission struct {
	Key, TeamFile string
	Input         map[string]any
}

func daemon(file string) (err error) {
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3) // the test is gone
	}()
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := zerolog.New(os.Stderr).With().Timestamp().Int("pid", os.Getpid()).Logger()
	o, err := lib.New(ctx, lib.Options{DataDir: j.DataDir, AppServer: j.AppServer, MaxTurns: j.MaxTurns, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close(context.WithoutCancel(ctx))) }()
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- o.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ran)
	}()
	tasks, err := submit(ctx, o, j.Tasks)
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if _, err := o.Engine().Wait(ctx, task); err != nil {
			return fmt.Errorf("task %s: %w", task, err)
		}
	}
	return nil
}

func submit(ctx context.Context, o *lib.Orchestrator, list []submission) (tasks []string, err error) {
	teams := map[string]*workflow.Team{}
	for _, s := range list {
		team := teams[s.TeamFile]
		if team == nil {
			if team, err = lib.LoadTeam(s.TeamFile, ""); err != nil {
				return nil, err
			}
			teams[s.TeamFile] = team
		}
		input, err := team.BindInput(s.Input)
		if err != nil {
			return nil, err
		}
		state, _, err := o.Submit(ctx, lib.Submission{Team: team, Input: input, Key: s.Key, Workspace: filepath.Dir(s.TeamFile)})
		if err != nil {
			return nil, fmt.Errorf("submit %s: %w", s.Key, err)
		}
		tasks = append(tasks, state.Task)
	}
	return tasks, nil
}
