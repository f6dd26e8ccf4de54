package orchestrator

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestServiceState(t *testing.T) {
	for name, socket := range map[string]string{"path": filepath.Join(t.TempDir(), "notify"), "abstract": "@orchestrator-test-" + filepath.Base(t.TempDir()) + time.Now().Format("150405.000000")} {
		address := socket
		if address[0] == '@' {
			address = "\x00" + address[1:]
		}
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(notifyVariable, socket)
		state, err := newServiceState()
		if err != nil {
			t.Fatal(err)
		}
		if _, set := os.LookupEnv(notifyVariable); set {
			t.Errorf("%s: what the daemon starts gets the socket", name)
		}
		if err := state.tell(stateReady, "two\nlines"); err != nil {
			t.Fatal(err)
		}
		told := make([]byte, 100)
		n, err := manager.Read(told)
		if err != nil || string(told[:n]) != "READY=1\nSTATUS=two lines\n" {
			t.Errorf("%s: got %q, %v", name, told[:n], err)
		}
		if err := manager.Close(); err != nil {
			t.Error(err)
		}
		if err := state.tell(stateReady, ""); err == nil {
			t.Errorf("%s: nobody listens, and there is no error", name)
		}
	}
	t.Setenv(notifyVariable, "")
	if err := (serviceState{}).tell(stateReady, ""); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}
