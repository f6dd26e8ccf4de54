// Package orchestrator is the daemon as a library: it wires the store, the
// engine, the runner and an App Server, and drives tasks.
//
//	o, err := orchestrator.New(ctx, orchestrator.Options{AppServer: "managed"})
//	...
//	defer o.Close(ctx)
//	state, _, err := o.Submit(ctx, orchestrator.Submission{Team: team, Input: input})
//	...
//	err = o.Run(ctx, state.Task)
package orchestrator
