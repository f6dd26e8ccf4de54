// Package appserver runs an installed Letta App Server as a child process: it
// starts it on a free port with a token of its own, waits until it is ready,
// starts it again when it exits, and stops it.
//
// The App Server exits by itself when its parent dies, also with status 0, so
// its parent has to stay alive for as long as it is wanted and every exit
// that was not asked for is answered by a restart. Restarting loses what the
// server keeps in memory: connections, running turns, external tools. Agents,
// conversations and messages survive in its home directory.
package appserver
