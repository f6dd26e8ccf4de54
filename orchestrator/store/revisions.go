package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Revision is a team file as tasks pinned it.
type Revision struct {
	// Hash is workflow.Team.Revision.
	Hash string
	Name string
	// File is the name that the source was read under, for messages only.
	File   string
	Source []byte
	// Sources are the files of its sub-teams, as workflow.Team.Sources.
	Sources map[string][]byte
	Created time.Time
}

// SaveRevision stores the source of a team; a revision that is stored already
// stays as it is. Errors: ErrStorage.
func (s *Store) SaveRevision(ctx context.Context, team *workflow.Team, at time.Time) error {
	var sources sql.NullString
	if len(team.Sources) > 0 {
		text, err := json.Marshal(team.Sources)
		if err != nil {
			return fmt.Errorf("encode the sub-teams of team %s: %w", team.Name, err)
		}
		sources = sql.NullString{String: string(text), Valid: true}
	}
	return s.write(ctx, "save the team", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO revisions (hash, name, file, source, created, sources) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			team.Revision, team.Name, team.File, append([]byte{}, team.Source...), micros(at), sources)
		return s.fail(ctx, "save the team", err)
	})
}

// Revision returns a stored team. Errors: ErrNotFound, ErrStorage.
func (s *Store) Revision(ctx context.Context, hash string) (Revision, error) {
	r := Revision{Hash: hash}
	var created int64
	var sources sql.NullString
	err := s.reads.QueryRowContext(ctx, "SELECT name, file, source, created, sources FROM revisions WHERE hash = ?", hash).
		Scan(&r.Name, &r.File, &r.Source, &created, &sources)
	if errors.Is(err, sql.ErrNoRows) {
		return Revision{}, fmt.Errorf("team revision %q: %w", hash, ErrNotFound)
	}
	if err != nil {
		return Revision{}, s.fail(ctx, "read the team", err)
	}
	r.Created = fromMicros(created)
	if sources.Valid {
		if err := json.Unmarshal([]byte(sources.String), &r.Sources); err != nil {
			return Revision{}, fmt.Errorf("sub-teams of revision %s: %w: %w", hash, ErrUnreadable, err)
		}
	}
	return r, nil
}
