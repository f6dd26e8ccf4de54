// Package appclient is a Go client of the Letta App Server: it starts
// runtimes, sends turns, follows them until they are really over, answers
// approvals, serves external tools and reads back what is stored.
//
// A Client is one connection. It finds out by itself whether the server takes
// one socket (0.29.7 and later) or wants a control and a stream socket, and
// behaves the same on both. All methods of Client, Session, RunningTurn and
// Subscription may be called from several goroutines.
//
// The usual way is Dial, Client.StartRuntime, Session.RunTurn. What the typed
// methods do not cover goes through Client.Request and Client.Send, and
// Client.Frames shows every frame that arrives, known or not.
package appclient
