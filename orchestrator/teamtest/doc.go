// Package teamtest runs teams without a model. A scenario file beside a team
// file says how every node ends, visit by visit, and what must follow: the
// route, the messages, the state of the task and what it took.
//
//	file, err := teamtest.Load("review.test.yaml", load)
//	...
//	result, err := teamtest.Run(ctx, file.Scenarios[0], teamtest.Options{})
//
// A scenario runs in the engine, with the runner, the store and the App Server's
// protocol as they are: only the model, the commands of checks and the people
// are played by the scenario, and the clock is virtual, so that a back-off of an
// hour takes no time.
package teamtest
