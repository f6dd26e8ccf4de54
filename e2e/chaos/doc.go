// Package chaos kills what runs and cuts what connects it, and counts what was
// lost and what was done twice.
//
// A daemon of ours, in a process of its own, drives tasks on an App Server: the
// scripted one, which lives in the process of the test, or the real one. The
// daemon is killed with SIGKILL around every commit and at random moments, the
// App Server is killed, and the network between them is cut. Afterwards every
// task must have ended as its team says; what was asked of the model is read
// from the model's own log, and not from our journal; and the journal of every
// task, taken through workflow.Decide, must give the state that is stored.
//
// The tests carry the build tag faults, which also compiles the hook into the
// store by which the daemon kills itself. `make chaos` runs them.
package chaos
