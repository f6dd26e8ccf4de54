package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/rogpeppe/go-internal/testscript"
)

// limitFileSize sets how long the files that a process writes may become, so
// that every write of its store fails as on a full disk, and returns the limit before.
func limitFileSize(pid int, limit uint64) (uint64, error) {
	var before syscall.Rlimit
	get := func(set *syscall.Rlimit) syscall.Errno {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE,
			uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&before)), 0, 0)
		return errno
	}
	if errno := get(nil); errno != 0 {
		return 0, errno
	}
	if errno := get(&syscall.Rlimit{Cur: limit, Max: before.Max}); errno != 0 {
		return 0, errno
	}
	return before.Cur, nil
}

// fullDisk runs the program, fills its disk after N turns at server NAME, makes
// room when it has said so, creates the file "room", and checks the exit status.
func fullDisk(ts *testscript.TestScript, _ bool, args []string) {
	turns, err := strconv.Atoi(args[1])
	ts.Check(err)
	want, err := strconv.Atoi(args[2])
	ts.Check(err)
	server := ts.Value(serversKey{}).(*servers).get(ts, args[0])
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[3]))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args[4:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "ORCHESTRATOR_DATA_DIR", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Check(server.WaitForTurns(ctx, turns))
	before, err := limitFileSize(cmd.Process.Pid, 0)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("full"), nil, 0o600))
	var told strings.Builder
	for lines := bufio.NewScanner(io.TeeReader(out, &told)); lines.Scan(); {
		if strings.Contains(lines.Text(), "nothing new is started") {
			_, err := limitFileSize(cmd.Process.Pid, before)
			ts.Check(err)
		}
	}
	_ = cmd.Wait() // the status is compared below
	ts.Check(os.WriteFile(ts.MkAbs("full.stdout"), []byte(told.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("full.stderr"), []byte(errs.String()), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", got, want, told.String(), errs.String())
	}
}

// systemCommands are the commands of test scripts that this system has.
func systemCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"fulldisk": fullDisk}
}
