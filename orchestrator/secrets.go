package orchestrator

import (
	"os"

	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
)

// Secrets finds what must not be stored or shown: what variables of the environment
// hold whose names look like those of secrets, or are given, and the content of
// files. A file that cannot be read says so where it is used.
func Secrets(files, variables []string) *redaction.Redactor {
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
	return redaction.New(secrets...)
}
