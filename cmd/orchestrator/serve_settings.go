package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// configVariable names the environment variable that chooses the configuration.
const configVariable = "ORCHESTRATOR_CONFIG"

// settings are what the daemon goes by: the configuration, with what flags and
// the environment say instead.
type settings struct {
	config config.Config
	// from says, by field, where a value comes from that is not of the file.
	from map[string]string
}

// settings reads the configuration and puts flags and environment over it.
func (f *serveFlags) settings() (settings, error) {
	if f.grace < 0 {
		return settings{}, fmt.Errorf("--grace %s: a time is not negative", f.grace)
	}
	file, err := f.configFile()
	if err != nil {
		return settings{}, err
	}
	s := settings{from: map[string]string{}}
	if file != "" {
		c, err := config.Load(file)
		if err != nil {
			return settings{}, err
		}
		s.config = *c
	}
	c := &s.config
	s.override(&c.DataDir, "data_dir", "--data-dir", f.dataDir, orchestrator.DataDirVariable)
	if c.DataDir == "" {
		if c.DataDir, err = orchestrator.DefaultDataDir(); err != nil {
			return settings{}, err
		}
		s.from["data_dir"] = "the default"
	}
	s.override(&c.Model, "model", "--model", f.server.model, orchestrator.ModelVariable)
	s.override(&c.Prices, "prices", "--prices", f.prices, orchestrator.PricesVariable)
	s.override(&c.Roles, "roles", "--roles", f.roles, "")
	s.override(&c.Teams, "teams", "--teams", f.teams, "")
	for _, path := range []*string{&c.DataDir, &c.Prices, &c.Roles, &c.Teams} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return settings{}, fmt.Errorf("find the directory of %s: %w", *path, err)
			}
		}
	}
	if len(f.listen) > 0 {
		c.Listen, s.from["listen"] = f.listen, "--listen"
	}
	if f.set.Changed("grace") {
		c.Grace, c.GraceSet, s.from["grace"] = f.grace, true, "--grace"
	}
	if f.maxTurns > 0 {
		c.Limits.MaxTurns, s.from["limits"] = f.maxTurns, "--max-turns"
	}
	if exposed := c.Exposed(); len(exposed) > 0 {
		return settings{}, exposed
	}
	if err := f.appServers(&s); err != nil {
		return settings{}, err
	}
	return s, nil
}

// override takes what a flag, else what an environment variable says.
func (s *settings) override(target *string, field, flag, value, variable string) {
	if value != "" {
		*target, s.from[field] = value, flag
	} else if value = os.Getenv(variable); variable != "" && value != "" {
		*target, s.from[field] = value, "$"+variable
	}
}

// configFile is the configuration to read; empty when there is none.
func (f *serveFlags) configFile() (string, error) {
	if file := cmp.Or(f.config, os.Getenv(configVariable)); file != "" {
		return file, nil
	}
	_, err := os.Stat(config.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for a configuration: %w", err)
	}
	return config.FileName, nil
}

// appServers puts the App Server of a flag or of the environment in the place
// of those of the file.
func (f *serveFlags) appServers(s *settings) error {
	address, from := f.server.server, "--app-server"
	if address == "" {
		address, from = os.Getenv(orchestrator.AppServerVariable), "$"+orchestrator.AppServerVariable
	}
	if address == "" && (f.server.letta != "" || f.server.lettaHome != "") {
		address, from = orchestrator.AppServerManaged, "--letta"
	}
	if address == "" {
		if f.server.tokenFile != "" {
			return errors.New("--app-server-token-file is for an App Server that is given with --app-server URL")
		}
		return nil
	}
	if _, err := parseTransport(f.server.transport); err != nil {
		return fmt.Errorf("--app-server-transport %w", err)
	}
	s.from["app_servers"] = from
	script, scripted := strings.CutPrefix(address, orchestrator.AppServerScripted)
	switch {
	case address == orchestrator.AppServerNone:
		s.config.AppServers = []config.AppServer{}
	case address == orchestrator.AppServerManaged:
		s.config.AppServers = []config.AppServer{{Name: address, Managed: &config.Managed{Command: f.server.letta, Home: f.server.lettaHome}}}
	case scripted:
		s.config.AppServers = []config.AppServer{{Name: address, Scripted: script}}
	default:
		s.config.AppServers = []config.AppServer{{Name: address, URL: address, Token: config.Secret{File: f.server.tokenFile}, Transport: f.server.transport}}
	}
	return nil
}
