package orchestrator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// The states that a service manager is told, as in sd_notify(3).
const (
	stateReady     = "READY=1"
	stateReloading = "RELOADING=1"
	stateStopping  = "STOPPING=1"
)

// notifyVariable names the socket of the service manager, where there is one.
const notifyVariable = "NOTIFY_SOCKET"

// serviceState tells the service manager that started the daemon how it is.
type serviceState struct{ socket string }

// newServiceState finds the service manager. The variable is taken out of the
// environment, so that what the daemon starts does not speak in its name.
func newServiceState() (serviceState, error) {
	s := serviceState{socket: os.Getenv(notifyVariable)}
	if err := os.Unsetenv(notifyVariable); err != nil {
		return s, fmt.Errorf("take %s out of the environment: %w", notifyVariable, err)
	}
	return s, nil
}

// tell sends a state, with a sentence that "systemctl status" shows. Without a
// service manager it does nothing.
func (s serviceState) tell(state, status string) (err error) {
	if s.socket == "" {
		return nil
	}
	name := s.socket
	if rest, abstract := strings.CutPrefix(name, "@"); abstract {
		name = "\x00" + rest
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := fmt.Fprintf(conn, "%s\nSTATUS=%s\n", state, oneLine(status)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}
