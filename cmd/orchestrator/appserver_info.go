package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func newInfo(a *app) *cobra.Command {
	var connect connectFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show version, transport and capabilities of an App Server",
		Example: `  orchestrator appserver info --url ws://127.0.0.1:4500
  orchestrator appserver info --url ws://127.0.0.1:4500 --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := connect.dial(cmd.Context())
			if err != nil {
				return err
			}
			info, transport := client.Info(), client.Transport()
			if err := client.Close(); err != nil {
				return err
			}
			a.printInfo(info, transport, asJSON)
			return nil
		},
	}
	connect.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printInfo(info appclient.ServerInfo, transport appclient.Transport, asJSON bool) {
	if asJSON {
		writeJSONLine(a.stdout, struct {
			appclient.ServerInfo
			Transport appclient.Transport `json:"transport"`
		}{info, transport})
		return
	}
	version, backend := info.Version, info.Backend
	if !info.Known() {
		version, backend = "before 0.29.2 (the server does not tell)", "unknown"
	}
	var has, lacks []string
	for _, name := range slices.Sorted(maps.Keys(info.Capabilities)) {
		if info.Capabilities[name] {
			has = append(has, name)
		} else {
			lacks = append(lacks, name)
		}
	}
	for _, row := range [][2]string{
		{"version", version}, {"backend", backend}, {"protocol", fmt.Sprint(info.ProtocolVersion)}, {"transport", string(transport)},
		{"capabilities", strings.Join(has, ", ")}, {"without", strings.Join(lacks, ", ")},
	} {
		if row[1] != "" {
			fmt.Fprintf(a.stdout, "%s %s\n", pad(row[0]+":", 14), row[1])
		}
	}
}
