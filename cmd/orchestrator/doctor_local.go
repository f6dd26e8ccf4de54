package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

const (
	// wantedDisk is how much space there should be for the store, outputs and worktrees, in bytes.
	wantedDisk = 1 << 30
	// storeTime bounds the check of the store, which orchestrator verify does whole.
	storeTime = 10 * time.Second
	// commandTime bounds a program that is asked for its version.
	commandTime = 20 * time.Second
	// gitMajor and gitMinor are the first version whose worktrees do what is needed (2.31, March 2021).
	gitMajor, gitMinor = 2, 31
)

func (d *doctor) checkConfig() (usable bool) {
	var err error
	if d.settings, err = d.flags.settings(); err != nil {
		d.bad("configuration", err.Error(), "mend it; orchestrator serve --check shows what would be used")
		d.settings = settings{}
		return false
	}
	file := d.settings.config.File
	if file == "" {
		d.good("configuration", "there is none, and none is needed")
		return true
	}
	teams, err := orchestrator.CheckConfig(d.settings.config)
	if err != nil {
		d.bad("configuration", err.Error(), "mend it; orchestrator serve --check shows what would be used")
		return true
	}
	var broken []string
	for _, t := range teams {
		if t.Err != nil {
			broken = append(broken, t.File)
		}
	}
	if len(broken) > 0 {
		d.bad("configuration", fmt.Sprintf("%s is good, but %d of its %d team files cannot be used: %s", file, len(broken), len(teams), strings.Join(broken, ", ")),
			"orchestrator validate FILE says what is wrong with each")
		return true
	}
	d.good("configuration", "%s, with %s", file, plural(len(teams), "team"))
	return true
}

func (d *doctor) checkDaemon(ctx context.Context) {
	where := d.place
	if where == (place{}) && d.settings.config.DataDir != "" && os.Getenv(daemonVariable) == "" {
		where.dataDir = d.settings.config.DataDir
	}
	found, err := d.app.daemon(ctx, where)
	if err == nil && found == nil {
		d.good("daemon", "none runs: commands use the data directory themselves (orchestrator serve starts one)")
		return
	}
	if err != nil {
		d.failed("daemon", err)
		return
	}
	version, err := found.Version(ctx)
	if err != nil {
		d.failed("daemon", err)
		return
	}
	d.daemon = found
	if version.Version != buildVersion() {
		d.bad("daemon", fmt.Sprintf("the daemon at %s is version %s, and this program is %s", found.URL(), version.Version, buildVersion()), "restart the daemon with this version")
		return
	}
	health, err := found.Health(ctx)
	switch {
	case err != nil:
		d.failed("daemon", err)
	case len(health.Trouble) > 0:
		d.bad("daemon", fmt.Sprintf("the daemon at %s says: %s", found.URL(), strings.Join(health.Trouble, "; ")), "mend what it says; its log tells more")
	case health.Draining:
		d.bad("daemon", fmt.Sprintf("the daemon at %s is ending and starts no new turn", found.URL()), "start it again when it has ended")
	default:
		d.good("daemon", "answers at %s, process %d, up for %s", found.URL(), version.PID, formatElapsed(time.Since(health.Started)))
	}
}

// checkDataDir looks whether tasks can be kept, and changes nothing that stays.
func (d *doctor) checkDataDir() {
	dir := d.settings.config.DataDir
	if dir == "" {
		var err error
		if dir, err = chooseDataDir(d.place.dataDir); err != nil {
			d.failed("data directory", err)
			return
		}
	}
	existing := dir
	info, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(existing) != existing {
		existing = filepath.Dir(existing)
		info, err = os.Stat(existing)
	}
	if err != nil {
		d.failed("data directory", err)
		return
	}
	switch {
	case !info.IsDir():
		d.bad("data directory", existing+" is a file", "choose another directory with --data-dir or $"+orchestrator.DataDirVariable)
		return
	case !writable(existing):
		d.bad("data directory", "no file can be made in "+existing, "check who owns it and its rights, or choose another one with --data-dir or $"+orchestrator.DataDirVariable)
		return
	case existing == dir && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		d.bad("data directory", fmt.Sprintf("others than you may enter %s (%s), where outputs of agents and tokens are kept", dir, info.Mode().Perm()), "chmod 700 "+shellWord(dir))
	case existing == dir:
		d.good("data directory", "%s", dir)
	default:
		d.good("data directory", "%s is made when it is needed", dir)
	}
	free, known, err := freeDisk(existing)
	switch {
	case err != nil:
		d.failed("disk", err)
	case !known:
	case free < wantedDisk:
		d.bad("disk", fmt.Sprintf("%.1f GiB are free in %s", float64(free)/(1<<30), existing), "make room: a full disk stops everything until there is some. Old tasks go with retention in the configuration")
	default:
		d.good("disk", "%.1f GiB are free", float64(free)/(1<<30))
	}
}

// writable tries to make a file, and removes it.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return false
	}
	name := f.Name()
	return errors.Join(f.Close(), os.Remove(name)) == nil
}

func (d *doctor) checkStore(ctx context.Context) {
	dir := d.settings.config.DataDir
	if dir == "" {
		dir = d.place.dataDir
	}
	s, err := openReader(ctx, dir)
	if errors.Is(err, store.ErrNoStore) {
		d.good("store", "there is none yet: the first task makes it")
		d.checkClock(time.Time{})
		return
	}
	if err != nil {
		d.failed("store", err)
		return
	}
	short, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err = s.CheckFile(short)
	newest, listErr := s.List(ctx, store.Filter{Limit: 1})
	err = closing(s, errors.Join(err, listErr))
	switch {
	case short.Err() != nil && ctx.Err() == nil:
		d.good("store", "it is large, and nothing wrong was found in %s; orchestrator verify checks all of it", storeTime)
	case err != nil:
		d.bad("store", err.Error(), "orchestrator verify tells more; a damaged store is replaced by a backup (orchestrator backup --help)")
	default:
		d.good("store", "the file is whole")
	}
	var last time.Time
	if len(newest) > 0 {
		last = newest[0].Created
	}
	d.checkClock(last)
}

// releaseYear is before every release of this program.
const releaseYear = 2025

// checkClock finds a clock that cannot be right: schedules and deadlines go by it.
func (d *doctor) checkClock(last time.Time) {
	now := time.Now()
	zone, _ := now.Zone()
	switch {
	case now.Year() < releaseYear:
		d.bad("clock", "it says "+now.Format(time.RFC3339)+", which is before this program was made", "set the clock, with NTP for instance (timedatectl set-ntp true)")
	case last.After(now.Add(time.Minute)):
		d.bad("clock", fmt.Sprintf("it says %s, and the newest task was made at %s", now.Format(time.RFC3339), last.Local().Format(time.RFC3339)), "set the clock: deadlines and schedules go by it")
	default:
		d.good("clock", "%s (%s)", now.Format(time.RFC3339), zone)
	}
}

var versionNumbers = regexp.MustCompile(`(\d+)\.(\d+)(?:\.(\d+))?`)

func (d *doctor) checkGit(ctx context.Context) {
	out, err := d.version(ctx, "git", "--version")
	if err != nil {
		d.bad("git", "git is not there, or does not work: "+firstSentence(err), "install git: teams with worktrees need it")
		return
	}
	m := versionNumbers.FindStringSubmatch(out)
	if m == nil {
		d.bad("git", "git says "+oneLine(out, 80)+", which is no version", "install git from git-scm.com")
		return
	}
	major, _ := strconv.Atoi(m[1]) // they are digits
	minor, _ := strconv.Atoi(m[2])
	if major < gitMajor || major == gitMajor && minor < gitMinor {
		d.bad("git", "git "+m[0]+" is old", fmt.Sprintf("install git %d.%d or later: worktrees of tasks need it", gitMajor, gitMinor))
		return
	}
	d.good("git", "git %s", m[0])
}

// version asks a program.
func (d *doctor) version(ctx context.Context, program string, args ...string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", program, err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", program, err)
	}
	return strings.TrimSpace(string(out)), nil
}
