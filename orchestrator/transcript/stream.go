package transcript

import (
	"context"
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
	st := &stream{reader: newReader(dir, task), selection: s, told: tell, ended: map[attempt]bool{}}
	defer st.close()
	any, err := st.read(ctx)
	if err != nil {
		return err
	}
	if !s.Follow {
		return st.finish()
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
		if !any && !overSince.IsZero() && (st.allEnded() || time.Since(overSince) > linger) {
			return st.finish()
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

// stream is a transcript that is being told.
type stream struct {
	*reader
	selection Selection
	told      func(Record) error
	// ended says of every attempt that was told whether that was its end.
	ended map[attempt]bool
}

func (st *stream) wanted(a attempt) bool {
	s := st.selection
	return (s.Turn == 0 || s.Turn == a.turn) && (s.Attempt == 0 || s.Attempt == a.number)
}

// read tells what has come, and whether there was any.
func (st *stream) read(ctx context.Context) (any bool, err error) {
	blocks, err := st.more(st.wanted)
	if err != nil {
		return false, err
	}
	for _, b := range blocks {
		err := st.tell(b, func(r Record) error {
			any = true
			st.ended[b.of] = r.Type == End
			if err := st.told(r); err != nil {
				return err
			}
			return context.Cause(ctx)
		})
		if err != nil {
			return any, err
		}
	}
	return any, nil
}

// allEnded says whether all that is told came to its end.
func (st *stream) allEnded() bool {
	for _, ended := range st.ended {
		if !ended {
			return false
		}
	}
	return len(st.ended) > 0
}

// finish tells of what files end with that is no whole block. Errors: ErrNone
// where nothing was told at all, and those of the function.
func (st *stream) finish() error {
	rests := st.rests(st.wanted)
	for _, b := range rests {
		why := "the file ends within a block: it is being written, or the process was killed"
		if b.damaged {
			why = "the file is damaged here"
		}
		if err := st.told(b.cut(why, b.size)); err != nil {
			return err
		}
	}
	if len(rests) == 0 && len(st.ended) == 0 {
		return ErrNone
	}
	return nil
}
