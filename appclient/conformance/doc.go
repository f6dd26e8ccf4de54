// Package conformance is one suite of scenarios for App Servers, written over the client. It runs against
// the scripted server of apptest and against a real one, so that the two cannot drift apart.
//
// The suite asserts behaviour that both must show. What a scenario wants of the model is written into the
// message as directives such as [[say:hello]], which the scripted server and the scripted model of the real
// server both understand.
package conformance
