package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	redaction "github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// ErrToken says that a token of the API cannot be read.
var ErrToken = errors.New("a token of the API cannot be read")

// newAPI serves the daemon as its configuration says. Errors: ErrToken.
func newAPI(ctx context.Context, d *Daemon) (*api.API, error) {
	o := api.Options{Service: d, Version: d.options.Version, Log: d.log, Redact: d.secrets.String, Workspaces: d.options.Config.Workspaces, Metrics: d.metrics.Handler()}
	tokens := d.options.Config.Tokens
	for _, secret := range []config.Secret{tokens.Operator, tokens.ReadOnly} {
		if secret == (config.Secret{}) {
			continue
		}
		if _, err := readSecret(ctx, secret); err != nil {
			return nil, err
		}
	}
	if tokens != (config.Tokens{}) {
		o.Tokens = &api.Tokens{Operator: d.secretSource(tokens.Operator), ReadOnly: d.secretSource(tokens.ReadOnly)} //nolint:contextcheck // they are read at each request
	}
	return api.New(o), nil
}

// secretSource reads a secret each time, so that its file can be replaced; nil where there is none.
func (d *Daemon) secretSource(s config.Secret) func() (string, error) {
	if s == (config.Secret{}) {
		return nil
	}
	return func() (string, error) {
		token, err := readSecret(context.Background(), s)
		if err == nil {
			d.secrets.Add(redaction.Secret{Name: "token", Value: token})
		}
		return token, err
	}
}

// readSecret reads a secret that is not empty. Errors: ErrToken.
func readSecret(ctx context.Context, s config.Secret) (string, error) {
	if s.File != "" {
		token, err := appclient.TokenFile(s.File).Token(ctx)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrToken, err)
		}
		return token, nil
	}
	token := strings.TrimSpace(os.Getenv(s.Env))
	if token == "" {
		return "", fmt.Errorf("%w: the environment variable %s is not set", ErrToken, s.Env)
	}
	return token, nil
}
