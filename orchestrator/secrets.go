package orchestrator

import (
	"os"
	"slices"

	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// ConfigSecrets is what a daemon with a configuration takes out of its log: what
// Secrets finds in the environment, and all tokens, keys and webhook addresses that
// the configuration names.
func ConfigSecrets(c config.Config) *redaction.Redactor {
	return orchestratorOptions(DaemonOptions{Config: c}).secrets()
}

// secrets are all that the options know of.
func (o Options) secrets() *redaction.Redactor {
	files := slices.Clone(o.SecretFiles)
	for _, of := range o.appServers() {
		files = append(files, of.TokenFile)
	}
	return Secrets(files, o.SecretVariables, o.SecretValues...)
}

// Secrets finds what must not be stored or shown: what variables of the environment
// hold whose names look like those of secrets, or are given, the content of files,
// and values. A file that cannot be read says so where it is used.
func Secrets(files, variables []string, values ...string) *redaction.Redactor {
	secrets := redaction.FromEnvironment(os.Environ())
	for _, name := range variables {
		secrets = append(secrets, redaction.Secret{Name: name, Value: os.Getenv(name)})
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if content, err := os.ReadFile(file); err == nil {
			secrets = append(secrets, redaction.Secret{Name: "token", Value: string(content)})
		}
	}
	for _, value := range values {
		secrets = append(secrets, redaction.Secret{Name: "address", Value: value})
	}
	return redaction.New(secrets...)
}
