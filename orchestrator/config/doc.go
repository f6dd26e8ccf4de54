// Package config reads the configuration file of the daemon, orchestrator.yaml:
// strictly, with everything that is wrong at once. The tables of fields in
// fields.go are what the parser, the JSON Schema and docs/config.md are made of.
package config
