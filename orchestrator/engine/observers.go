package engine

// Observers makes one of several, which are called in their order; nil ones are
// left out, and of none it is nil.
func Observers(list ...Observer) Observer {
	var some observers
	for _, o := range list {
		if o != nil {
			some = append(some, o)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return some
}

type observers []Observer

func tell[T any](all observers, call func(Observer, T), what T) {
	for _, o := range all {
		call(o, what)
	}
}

// Decided implements Observer.
func (all observers) Decided(d Decision) { tell(all, Observer.Decided, d) }

// Claimed implements Observer.
func (all observers) Claimed(c Claim) { tell(all, Observer.Claimed, c) }

// Started implements Observer.
func (all observers) Started(s Start) { tell(all, Observer.Started, s) }

// HandedOff implements Observer.
func (all observers) HandedOff(h HandedOff) { tell(all, Observer.HandedOff, h) }

// Recovering implements Observer.
func (all observers) Recovering(r Recovery) { tell(all, Observer.Recovering, r) }

// Stored implements Observer.
func (all observers) Stored(s Stored) { tell(all, Observer.Stored, s) }

// Trouble implements Observer.
func (all observers) Trouble(t StorageTrouble) { tell(all, Observer.Trouble, t) }
