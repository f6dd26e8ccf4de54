package check

import "testing"

// TestRunCheckHasASessionOfItsOwn: without one, the terminal of the
// orchestrator would be that of the command.
func TestRunCheckHasASessionOfItsOwn(t *testing.T) {
	// pid (name) state ppid pgrp session …
	if got := runCheck(t, request(t, `read -r pid name state ppid group session rest </proc/$$/stat; test "$group $session" = "$$ $$"`)); got.ExitCode != 0 {
		t.Errorf("got %+v", got)
	}
}
