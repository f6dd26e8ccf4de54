package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

func newBackup(a *app) *cobra.Command {
	var dataDir string
	var workspaces, transcripts bool
	cmd := &cobra.Command{
		Use:   "backup [DIRECTORY]",
		Short: "Copy the data directory, also while it is in use",
		Long: `Makes a copy of the data directory as it is at one instant, and checks it:
tasks, journals and teams, the files of long outputs, and the price file. A run
may hold the data directory meanwhile. The copy appears under its name when it is
whole, and never takes the place of something that exists. Without a name it is
made in the current directory, named after the time.

Workspaces are left out, since agents write in them; --workspaces copies those
that the orchestrator made, as they are found. So are transcripts, which may be
large and which nothing depends on; --transcripts copies them. What runs on an App Server is in
its own files, and the git repositories of worktrees are where they are.

A backup is a data directory: "orchestrator list --data-dir BACKUP" reads it. To
restore it, end whatever uses the data directory and put the copy in its place,
under the same path, because journals name files by their whole path:
  mv DATA DATA.damaged && cp -a BACKUP DATA && orchestrator verify --data-dir DATA`,
		Example: `  orchestrator backup
  orchestrator backup /mnt/backups/monday --data-dir /var/lib/orchestrator`,
		Args: arguments(0, 1, "at most one directory to make"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := chooseDataDir(dataDir)
			if err != nil {
				return err
			}
			to := "orchestrator-backup-" + time.Now().UTC().Format("20060102T150405Z")
			if len(args) > 0 {
				to = args[0]
			}
			if to, err = filepath.Abs(to); err != nil {
				return err
			}
			made, err := store.Backup(cmd.Context(), from, to, store.BackupOptions{Workspaces: workspaces, Transcripts: transcripts})
			if errors.Is(err, store.ErrBackupExists) {
				return usage(err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s %s: %s with %s, %s of long outputs\n", paletteFor(a.stdout).good("✓"), to,
				plural(int(made.Tasks), "task"), plural(int(made.Events), "event"), plural(made.Files, "file"))
			if made.Workspaces > 0 && !workspaces {
				fmt.Fprintf(a.stdout, "  %s of tasks are not in it: --workspaces copies them too\n", plural(made.Workspaces, "workspace"))
			}
			if made.Transcripts > 0 && !transcripts {
				fmt.Fprintf(a.stdout, "  the transcripts of %s are not in it: --transcripts copies them too\n", plural(made.Transcripts, "task"))
			}
			return nil
		},
	}
	dataDirFlag(cmd.Flags(), &dataDir)
	cmd.Flags().BoolVar(&workspaces, "workspaces", false, "also copy the workspaces that the orchestrator made, as they are found")
	cmd.Flags().BoolVar(&transcripts, "transcripts", false, "also copy the transcripts of turns")
	return cmd
}
