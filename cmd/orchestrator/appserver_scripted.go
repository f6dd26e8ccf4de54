package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
)

func newScripted(a *app) *cobra.Command {
	var script, listen, transport, tokenFile string
	cmd := &cobra.Command{
		Use:   "scripted",
		Short: "Serve a script as App Server",
		Long: `Serves the App Server protocol and answers by a script instead of a model, until
interrupted. Tool calls of the script really run in the working directory of the
conversation. Without --script, agents obey directives in the message itself,
such as [[say:hello]].`,
		Example: `  orchestrator appserver scripted --listen 127.0.0.1:4500
  orchestrator appserver scripted --script script.yaml --transport split`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			options, err := scriptedOptions(script, listen, transport, tokenFile)
			if err != nil {
				return usage(err)
			}
			server, err := apptest.New(options)
			if err != nil {
				return usage(err)
			}
			if err := server.Start(cmd.Context()); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, server.Close()) }()
			fmt.Fprintf(a.stdout, "Listening on %s\n", server.URL())
			<-cmd.Context().Done()
			if err := server.Err(); err != nil {
				return fmt.Errorf("the script was not followed:\n%w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&script, "script", "", "YAML file with what each agent answers")
	flags.StringVar(&listen, "listen", "127.0.0.1:0", "TCP address")
	flags.StringVar(&transport, "transport", "single", "single (like 0.30.28) or split (like 0.29.5)")
	flags.StringVar(&tokenFile, "token-file", "", "demand the bearer token in this file")
	return cmd
}

func scriptedOptions(script, listen, transport, tokenFile string) (apptest.Options, error) {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return apptest.Options{}, fmt.Errorf("--listen %s is not of the form HOST:PORT", listen)
	}
	options := apptest.Options{Listen: listen, Transport: apptest.Transport(transport), Exec: true}
	if script != "" {
		data, err := os.ReadFile(script)
		if err != nil {
			return options, fmt.Errorf("read the script: %w", err)
		}
		if options.Script, err = apptest.ParseScript(script, data); err != nil {
			return options, err
		}
	}
	if tokenFile != "" {
		token, err := readToken(tokenFile)
		if err != nil {
			return options, err
		}
		options.Token = token
	}
	return options, nil
}

func readToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("the token file %s is empty", file)
	}
	return token, nil
}
