package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Submission is a batch to be made.
type Submission struct {
	Team  *workflow.Team
	Items []Item
	// Name is for people; default the name of the team.
	Name string
	// Key is the idempotency key; the same key gives the same batch, also when that has ended.
	Key string
	// GoOn gives the batch of the same team and items that has not ended, where
	// there is one. It does not count beside Key.
	GoOn    bool
	Options Options
}

// ErrKeyTaken means that a key belongs to a batch of another team or other
// items. The error is a *KeyError.
var ErrKeyTaken = errors.New("the idempotency key belongs to another batch")

// KeyError names the batch that an idempotency key belongs to.
type KeyError struct {
	Key    string `json:"key"`
	Batch  string `json:"batch"`
	Status Status `json:"status"`
	// Differs says what is not the same: "team" or "items".
	Differs string `json:"differs"`
}

// Error implements error.
func (e *KeyError) Error() string {
	return fmt.Sprintf("the key %q belongs to batch %s (%s), which has other %s: take another key, or give the same again", e.Key, e.Batch, e.Status, e.Differs)
}

// Is makes errors.Is(err, ErrKeyTaken) true.
func (e *KeyError) Is(target error) bool { return target == ErrKeyTaken }

// Check says what is wrong with the options of a batch; each is a sentence that
// begins with the name of the option, as it is on the wire.
func (o Options) Check() error {
	var wrong []string
	if o.MaxParallel < 0 || o.MaxParallel > MaxItems {
		wrong = append(wrong, fmt.Sprintf("max_parallel is %d: it is from 1 to %d", o.MaxParallel, MaxItems))
	}
	if o.Canary < 0 || o.Canary > MaxItems {
		wrong = append(wrong, fmt.Sprintf("canary is %d: it is a number of items", o.Canary))
	}
	if len(wrong) > 0 {
		return &OptionsError{Detail: strings.Join(wrong, "; ")}
	}
	return nil
}

// OptionsError says what is wrong with the options of a batch.
type OptionsError struct {
	Detail string `json:"detail"`
}

// Error implements error.
func (e *OptionsError) Error() string { return e.Detail }

// Create stores a batch with all its items at once. created is false where it
// was there already, by Key or GoOn. Run begins its items. Errors: *KeyError,
// *OptionsError, store.ErrStorage.
func (d *Driver) Create(ctx context.Context, sub Submission) (_ View, created bool, err error) {
	if err := sub.Options.Check(); err != nil {
		return View{}, false, err
	}
	if len(sub.Items) == 0 || len(sub.Items) > MaxItems {
		return View{}, false, &OptionsError{Detail: fmt.Sprintf("a batch has from 1 to %d items, and not %d", MaxItems, len(sub.Items))}
	}
	if sub.Options.MaxParallel == 0 {
		sub.Options.MaxParallel = DefaultMaxParallel
	}
	if sub.Name == "" {
		sub.Name = sub.Team.Name
	}
	now := d.now()
	state := State{
		ID: d.o.IDs(), Key: sub.Key, Name: sub.Name, Team: sub.Team.Name, Revision: sub.Team.Revision,
		Status: Running, Options: sub.Options, Items: len(sub.Items), Created: now, Updated: now,
	}
	rows := make([]store.BatchItem, len(sub.Items))
	for i, item := range sub.Items {
		input, err := json.Marshal(item.Input)
		if err != nil {
			return View{}, false, fmt.Errorf("encode the input of item %d: %w", i+1, err)
		}
		rows[i] = store.BatchItem{Key: item.Key, Label: item.Label, Origin: item.Origin, Input: input, State: string(ItemPending)}
	}
	text, err := json.Marshal(state)
	if err != nil {
		return View{}, false, fmt.Errorf("encode the state of batch %s: %w", state.ID, err)
	}
	if err := d.o.Store.SaveRevision(ctx, sub.Team, now); err != nil {
		return View{}, false, err
	}
	digest := Digest(sub.Team.Name, sub.Items)
	row, created, err := d.o.Store.CreateBatch(ctx, store.Batch{
		ID: state.ID, Key: sub.Key, Digest: digest, Name: state.Name, Team: state.Team, Revision: state.Revision,
		Status: string(state.Status), Open: true, Version: 1, State: text, Created: now, Updated: now,
	}, rows, sub.GoOn)
	if err != nil {
		return View{}, false, err
	}
	if !created && row.Digest != digest {
		taken := &KeyError{Key: sub.Key, Batch: row.ID, Status: Status(row.Status), Differs: "items"}
		if row.Team != sub.Team.Name {
			taken.Differs = "items of another team"
		}
		return View{}, false, taken
	}
	if created {
		d.setNoted(row.ID, true) // it has no tasks
	}
	d.remind(row.ID)
	view, err := ReadView(ctx, d.o.Store, row.ID, now)
	return view, created, err
}
