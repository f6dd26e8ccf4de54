// Command bench measures the daemon: what a handoff costs, how much work a
// second it does beside a bare loop that keeps nothing, its memory, its start,
// its lists, and its streams. It writes what it has measured in the format of
// Go's benchmarks, compares it with the last stored result, and writes the table
// of docs/performance.md. `make bench` runs it.
//
// The daemon, the scripted App Server and the bare loop are processes of their
// own, started from this program. What is compared is measured in the same run,
// one after the other in turns, since a machine is never quite the same twice.
package main
