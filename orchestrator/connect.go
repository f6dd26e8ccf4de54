package orchestrator

import "errors"

// ConnectError says that the App Server at an address could not be used. It
// wraps what appclient.Dial returned.
type ConnectError struct {
	Address string
	Err     error
}

// Error implements error.
func (e *ConnectError) Error() string { return "connect to " + e.Address + ": " + e.Err.Error() }

// Unwrap gives what went wrong.
func (e *ConnectError) Unwrap() error { return e.Err }

// ErrTokenFile says that the token of the App Server cannot be read from Options.TokenFile.
var ErrTokenFile = errors.New("the token of the App Server cannot be read")
