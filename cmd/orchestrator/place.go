package main

import (
	"github.com/spf13/pflag"
)

// daemonVariable names the environment variable that chooses the daemon.
const daemonVariable = "ORCHESTRATOR_DAEMON"

// place says where the tasks of a command are, as its flags name it.
type place struct {
	dataDir string // --data-dir
	daemon  string // --daemon
}

// register adds the flags of a command that works with tasks.
func (p *place) register(flags *pflag.FlagSet) {
	dataDirFlag(flags, &p.dataDir)
	p.registerDaemon(flags)
}

func (p *place) registerDaemon(flags *pflag.FlagSet) {
	flags.StringVar(&p.daemon, "daemon", "", "the daemon to use: unix:///PATH, http://HOST:PORT or https://HOST:PORT (default $"+daemonVariable+", else that of the data directory, where one runs)")
}

// in adds to a command that people are told where its tasks are, unless that is the usual place.
func (p place) in(command string) string {
	if p.dataDir != "" {
		command += " --data-dir " + shellWord(p.dataDir)
	}
	if p.daemon != "" {
		command += " --daemon " + shellWord(p.daemon)
	}
	return command
}
