// Package store keeps tasks, their events, the team revisions that they pin
// and the runtimes that were started, in one SQLite file.
//
// One process at a time writes a data directory: Open holds an operating
// system lock on it. Any number of processes may read it with OpenReader.
//
// A decision is one transaction: the event is appended, the state is replaced
// where its version is the expected one, and the conversation that the event
// takes or gives back is marked. Outstanding work has no table of its own; it
// follows from the states (their turns and wake times), so that there is one
// truth and not two.
//
// Times are stored as whole microseconds since 1970 in UTC. wake_at is rounded
// up, so that a task is never due before the time that its state names.
package store
