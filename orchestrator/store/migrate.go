package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

// migrate brings the schema up to date and refuses one that is newer than this program.
func (s *Store) migrate(ctx context.Context) error {
	p, err := provider(s.writes)
	if err != nil {
		return fmt.Errorf("read the migrations of the store: %w", err)
	}
	end, err := s.faults.migrating(ctx, s.writes)
	if err != nil {
		return s.fail(ctx, "bring the schema of the store up to date", err)
	}
	defer end()
	found, known, err := p.GetVersions(ctx)
	if err != nil {
		return s.fail(ctx, "read the schema version of the store", err)
	}
	if found > known {
		return &SchemaError{File: s.file(), Found: found, Known: known}
	}
	if found == known {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return s.fail(ctx, "bring the schema of the store up to date", err)
	}
	return nil
}

// checkSchema is migrate for a reader, who may not change anything.
func (s *Store) checkSchema(ctx context.Context) error {
	p, err := provider(s.reads)
	if err != nil {
		return fmt.Errorf("read the migrations of the store: %w", err)
	}
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	var tables int
	if err := s.reads.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'goose_db_version'").Scan(&tables); err != nil {
		return s.fail(ctx, "read the schema version of the store", err)
	}
	if tables == 0 { // whoever made the file was stopped before it had tables
		return fmt.Errorf("open %s: %w: run a task first, or name another data directory", s.dir, ErrNoStore)
	}
	var found int64
	err = s.reads.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&found)
	if err != nil {
		return s.fail(ctx, "read the schema version of the store", err)
	}
	if found != known {
		return &SchemaError{File: s.file(), Found: found, Known: known}
	}
	return nil
}
