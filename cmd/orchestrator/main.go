// Command orchestrator runs teams of agents on the Letta App Server.
package main

import (
	"io"
	"os"
	_ "time/tzdata" // where the system has no time zones
)

func main() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Main runs the command line and returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	i := withInterrupt(stdin, stdout, stderr)
	defer i.stop()
	out := newOutput(stdout, i.cancel)
	a := &app{stdin: stdin, stdout: out, stderr: stderr, interrupt: i.request, drain: i.drain, reload: i.reload}
	ctx := i.ctx
	defer a.close()
	root := newRoot(a)
	root.SetArgs(args)
	status := a.exit(ctx, root.ExecuteContext(ctx))
	return a.outputStatus(status, out.failure())
}
