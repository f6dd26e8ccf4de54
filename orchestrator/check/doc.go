// Package check runs the commands of checks.
//
// A command gets a session of its own, without terminal and with an empty
// standard input. Whatever it started is ended with it: at its time limit, when
// the run is cancelled, and also when the command has ended by itself and left
// something running. What leaves the session on purpose (setsid) is out of
// reach; it can hold neither the check nor its output open.
package check
