//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

// systemCommands are the commands of test scripts that this system has.
func systemCommands() map[string]func(*testscript.TestScript, bool, []string) { return nil }
