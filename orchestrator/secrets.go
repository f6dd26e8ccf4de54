package orchestrator

import (
	"os"

	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// ConfigSecrets is what a daemon with a configuration takes out of its log: what
// Secrets finds in the environment, and all tokens, keys and webhook addresses that
// the configuration names. The daemon adds what they are replaced by.
func ConfigSecrets(c config.Config) *redaction.Redactor {
	r := Secrets(nil, nil)
	orchestratorOptions(DaemonOptions{Config: c}).addSecrets(r)
	return r
}

// addSecrets adds all that the options know of, as it is now.
func (o Options) addSecrets(r *redaction.Redactor) {
	addSecrets(r, o.SecretFiles, o.SecretVariables)
	for _, of := range o.appServers() {
		addSecrets(r, []string{of.TokenFile}, nil)
	}
	for _, value := range o.SecretValues {
		r.Add(redaction.Secret{Name: "address", Value: value})
	}
}

// Secrets finds what must not be stored or shown: what variables of the environment
// hold whose names look like those of secrets, or are given, and the content of
// files. A file that cannot be read says so where it is used. More may be added.
func Secrets(files, variables []string) *redaction.Redactor {
	r := redaction.Open(redaction.FromEnvironment(os.Environ())...)
	addSecrets(r, files, variables)
	return r
}

// addSecrets adds what files and variables hold now.
func addSecrets(r *redaction.Redactor, files, variables []string) {
	for _, name := range variables {
		r.Add(redaction.Secret{Name: name, Value: os.Getenv(name)})
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if content, err := os.ReadFile(file); err == nil {
			r.Add(redaction.Secret{Name: "token", Value: string(content)})
		}
	}
}
