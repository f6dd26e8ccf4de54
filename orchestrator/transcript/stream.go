package transcript

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

const (
	// poll is how often a transcript that is followed is looked at, and look how
	// often it is asked whether there is more to come.
	poll = 200 * time.Millisecond
	look = time.Second
	// linger is how long the end of an attempt is waited for when it is known to be over.
	linger = 2 * time.Second
)

// Selection says which records of a task are wanted.
type Selection struct {
	// Turn and Attempt of zero are all of them.
	Turn, Attempt int
	// Follow waits for what is to come.
	Follow bool
}

// Source is what Stream has to know of a task that is followed.
type Source interface {
	// Over reports whether no more can come of what is selected.
	Over(ctx context.Context, s Selection) (bool, error)
}

// Stream tells the records of a task (its whole ID), turn by turn; those of turns
// that run at the same time as they come. It ends at what is written, or when
// nothing more can come of what is followed. alive, which may be nil, is called
// while nothing comes. Errors: ErrNone, those of the functions, the end of ctx.
func Stream(ctx context.Context, dir, task string, s Selection, source Source, tell func(Record) error, alive func() error) error {
	st := &stream{dir: dir, task: task, selection: s, tell: tell, readers: map[Info]*following{}}
	defer st.close()
	any, err := st.read(ctx)
	if err != nil {
		return err
	}
	if !s.Follow {
		if len(st.readers) == 0 {
			return ErrNone
		}
		return st.torn()
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	looked, overSince := time.Time{}, time.Time{}
	for {
		if now := time.Now(); !any && now.Sub(looked) >= look && overSince.IsZero() {
			looked = now
			over, err := source.Over(ctx, s)
			if err != nil {
				return err
			}
			if over {
				overSince = now
			}
			if alive != nil {
				if err := alive(); err != nil {
					return err
				}
			}
		}
		if !any && !overSince.IsZero() && (st.ended() || time.Since(overSince) > linger) {
			if len(st.readers) == 0 {
				return ErrNone
			}
			return st.torn()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if any, err = st.read(ctx); err != nil {
			return err
		}
	}
}

// following is a transcript and how far it was told.
type following struct {
	*Reader
	info  Info
	ended bool
}

type stream struct {
	dir, task string
	selection Selection
	tell      func(Record) error
	readers   map[Info]*following
}

// read tells what there is, and whether there was any.
func (st *stream) read(ctx context.Context) (any bool, err error) {
	list, err := List(st.dir, st.task)
	if err != nil {
		return false, err
	}
	for _, info := range list {
		k := Info{Turn: info.Turn, Attempt: info.Attempt}
		if st.selection.Turn != 0 && k.Turn != st.selection.Turn || st.selection.Attempt != 0 && k.Attempt != st.selection.Attempt {
			continue
		}
		f := st.readers[k]
		if f == nil {
			reader, err := Open(st.dir, st.task, k.Turn, k.Attempt)
			if errors.Is(err, ErrNone) {
				continue // it was removed in this moment
			}
			if err != nil {
				return any, err
			}
			f = &following{Reader: reader, info: k}
			st.readers[k] = f
		}
		for {
			record, err := f.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				any = true
				f.ended = record.Type == End
				err = st.tell(record)
			}
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return any, err
			}
		}
	}
	return any, nil
}

// ended says whether all that is told came to its end.
func (st *stream) ended() bool {
	for _, f := range st.readers {
		if !f.ended {
			return false
		}
	}
	return len(st.readers) > 0
}

// torn tells of what ends within a block.
func (st *stream) torn() error {
	var last []*following
	for _, f := range st.readers {
		if f.Torn() > 0 {
			last = append(last, f)
		}
	}
	slices.SortFunc(last, func(a, b *following) int { return (a.info.Turn-b.info.Turn)<<16 + a.info.Attempt - b.info.Attempt })
	for _, f := range last {
		if err := st.tell(f.cut("the file ends within a block: it is being written, or the process was killed", f.Torn())); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) close() {
	for _, f := range st.readers {
		_ = f.Close() // it was only read
	}
}
