package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// runBare is the child with the bare loop: the same turns over the same client,
// one after the other for each task, and nothing of it is kept anywhere, or no
// more than a journal.
func runBare(ctx context.Context, args []string, out io.Writer) (err error) {
	var url, cwd, model, journalFile string
	var tasks, turns, parallel int
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	flags.StringVar(&url, "url", "", "the App Server")
	flags.StringVar(&cwd, "cwd", "", "where the agents work")
	flags.StringVar(&model, "model", "", "the model of the agents")
	flags.IntVar(&tasks, "tasks", 1, "how many tasks")
	flags.IntVar(&turns, "turns", 3, "how many turns a task has, each of another agent")
	flags.IntVar(&parallel, "parallel", 1, "how many tasks run at once")
	flags.StringVar(&journalFile, "journal", "", "a new file to keep a journal in; empty keeps nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var kept *journal
	if journalFile != "" {
		if kept, err = openJournal(ctx, journalFile); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.close()) }()
	}
	client, err := appclient.Dial(ctx, appclient.Config{URL: url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }() //nolint:contextcheck // it bounds itself
	agents := make([]string, turns)
	for i := range agents {
		session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
			CreateAgent: &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{Name: "bare/" + strconv.Itoa(i), Model: model}}, CWD: cwd,
		})
		if err != nil {
			return err
		}
		agents[i] = session.Runtime().AgentID
		session.Close()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for n := range tasks {
		group.Go(func() error { return bareTask(ctx, client, kept, agents, fmt.Sprintf("T%d", n), cwd) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprintln(out, "done")
	return nil
}

// bareTask hands the answer of each agent to the next.
func bareTask(ctx context.Context, client *appclient.Client, kept *journal, agents []string, task, cwd string) error {
	message := "go"
	for i, agent := range agents {
		if err := kept.write(task, 2*i); err != nil { // that the turn before has ended
			return err
		}
		session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
			AgentID: agent, CreateConversation: &appclient.ConversationSpec{Summary: "bench " + task}, CWD: cwd,
		})
		if err != nil {
			return err
		}
		if err := kept.write(task, 2*i+1); err != nil { // that the input is sent
			return err
		}
		result, err := session.RunTurn(ctx, appclient.Turn{
			Text: message, ClientMessageID: fmt.Sprintf("%s.%d.1", task, i+1), ExcludeInteractiveTools: true,
		})
		session.Close()
		if err != nil {
			return err
		}
		if !result.OK() {
			return fmt.Errorf("turn %d of %s: %s", i+1, task, result.StopReason)
		}
		message = result.Text
	}
	return nil
}
