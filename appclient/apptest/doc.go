// Package apptest is a scripted App Server: it speaks the real protocol over a real socket and answers by
// a script instead of a model.
//
// It serves demonstrations, tests of teams, tests of clients, and fault injection, so it imports nothing
// from package testing, keeps no package-level state and closes within a bound. It does not import the
// client either: two independent readings of the protocol check each other.
//
//	script, err := apptest.ParseScript("review.yaml", data)
//	...
//	server, err := apptest.New(apptest.Options{Script: script, Exec: true})
//	...
//	if err := server.Start(ctx); err != nil { ... }
//	defer server.Close()
//	dial(server.URL())
//
// An agent for which the script says nothing understands directives in the message itself, such as
// [[say:hello]] or [[tool:Bash:{"command":"pwd"}]]; see directives.go.
//
// What survives [Server.Restart]: agents, conversations, messages, and the mode and working directory of a
// conversation. What does not: connections, queues, external tools, the memory of client_message_ids, and
// which run consumed which input.
package apptest
