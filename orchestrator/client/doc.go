// Package client talks to a daemon over its HTTP API. Most of it is generated
// from docs/openapi.yaml; Daemon is what programs use: it finds a daemon,
// understands its problems as the errors that they were made from, and follows
// events over broken connections.
//
//	d, err := client.Discover(dataDir)
//	...
//	submitted, err := d.Submit(ctx, api.SubmitRequest{Team: "release", Input: input}, "release-1.2")
package client
