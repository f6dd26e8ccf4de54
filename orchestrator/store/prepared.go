package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// preparedStatements are those that every decision needs: to parse them takes
// longer than to run them. There is one connection that writes, and a statement
// cannot be prepared on it while its transaction runs: it is prepared before the
// transaction that comes after the one which needed it first.
type preparedStatements struct {
	mu     sync.Mutex
	ready  map[string]*sql.Stmt
	wanted map[string]bool
}

// get returns a statement if it is prepared, and otherwise has it prepared for the next time.
func (p *preparedStatements) get(text string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ready := p.ready[text]; ready != nil {
		return ready
	}
	if p.wanted == nil {
		p.wanted = map[string]bool{}
	}
	p.wanted[text] = true
	return nil
}

// prepare prepares what is wanted. No transaction must run on db. What cannot be
// prepared says so when it is run.
func (p *preparedStatements) prepare(db *sql.DB) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for text := range p.wanted {
		if ready, err := db.PrepareContext(context.Background(), text); err == nil { //nolint:sqlclosecheck // close does
			if p.ready == nil {
				p.ready = map[string]*sql.Stmt{}
			}
			p.ready[text] = ready
		}
		delete(p.wanted, text)
	}
}

func (p *preparedStatements) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for text, ready := range p.ready {
		errs = append(errs, ready.Close())
		delete(p.ready, text)
	}
	return errors.Join(errs...)
}

// exec is tx.ExecContext for a statement whose text is always the same.
func (s *Store) exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) (sql.Result, error) {
	if ready := s.prepared.get(statement); ready != nil {
		return tx.StmtContext(ctx, ready).ExecContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction
	}
	return tx.ExecContext(ctx, statement, args...)
}
