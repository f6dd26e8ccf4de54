package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator"
)

func newAppServer(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "appserver",
		Short: "Talk to an App Server from the terminal",
		Long: `Connects to an App Server without a team: look at it, run one turn, watch or
send raw frames, tidy up the agents that were made there, or serve a script.`,
		Example: `  orchestrator appserver info --url ws://127.0.0.1:4500
  orchestrator appserver turn --url ws://127.0.0.1:4500 "Say hello"`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newInfo(a), newTurn(a), newEvents(a), newSend(a), newAgents(a), newScripted(a))
	return cmd
}

// connectFlags say which App Server to talk to.
type connectFlags struct {
	url       string
	tokenFile string
	transport string
}

func (f *connectFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "url", "", "address of the App Server, e.g. ws://127.0.0.1:4500 (default $"+orchestrator.AppServerVariable+")")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the bearer token")
	flags.StringVar(&f.transport, "transport", "auto", "auto, single (one socket) or split (control and stream)")
}

func parseTransport(name string) (appclient.Transport, error) {
	switch name {
	case "auto", "":
		return appclient.TransportAuto, nil
	case "single":
		return appclient.TransportSingle, nil
	case "split":
		return appclient.TransportSplit, nil
	}
	return "", fmt.Errorf("%q is none of auto, single, split", name)
}

// config makes the client's configuration.
func (f *connectFlags) config() (appclient.Config, error) {
	transport, err := parseTransport(f.transport)
	if err != nil {
		return appclient.Config{}, usage(fmt.Errorf("--transport %w", err))
	}
	cfg := appclient.Config{
		URL: f.url, Transport: transport,
		Client: appclient.ClientInfo{Name: "orchestrator", Version: buildVersion()},
	}
	if cfg.URL == "" {
		cfg.URL = os.Getenv(orchestrator.AppServerVariable)
	}
	if cfg.URL == "" || cfg.URL == orchestrator.AppServerManaged {
		return cfg, usage(errors.New("which App Server? give its address: --url ws://HOST:PORT"))
	}
	if f.tokenFile != "" {
		cfg.Token = appclient.TokenFile(f.tokenFile)
	}
	return cfg, nil
}

// dial connects.
func (f *connectFlags) dial(ctx context.Context) (*appclient.Client, error) {
	cfg, err := f.config()
	if err != nil {
		return nil, err
	}
	if cfg.Token != nil {
		if _, err := cfg.Token.Token(ctx); err != nil {
			return nil, usage(err)
		}
	}
	client, err := appclient.Dial(ctx, cfg)
	if err != nil {
		var invalid *appclient.ValidationError
		if errors.As(err, &invalid) {
			return nil, usage(err)
		}
		return nil, &directError{orchestrator.ConnectError{Address: cfg.URL, Err: err}}
	}
	return client, nil
}

// directError is a failed connection of a command that has connectFlags.
type directError struct{ orchestrator.ConnectError }

// Unwrap gives what people are told about.
func (e *directError) Unwrap() error { return &e.ConnectError }
