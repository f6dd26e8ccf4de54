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

// Decided implements Observer.
func (all observers) Decided(d Decision) {
	for _, o := range all {
		o.Decided(d)
	}
}

// Claimed implements Observer.
func (all observers) Claimed(c Claim) {
	for _, o := range all {
		o.Claimed(c)
	}
}

// Started implements Observer.
func (all observers) Started(s Start) {
	for _, o := range all {
		o.Started(s)
	}
}

// HandedOff implements Observer.
func (all observers) HandedOff(h HandedOff) {
	for _, o := range all {
		o.HandedOff(h)
	}
}

// Recovering implements Observer.
func (all observers) Recovering(r Recovery) {
	for _, o := range all {
		o.Recovering(r)
	}
}

// Stored implements Observer.
func (all observers) Stored(s Stored) {
	for _, o := range all {
		o.Stored(s)
	}
}

// Trouble implements Observer.
func (all observers) Trouble(t StorageTrouble) {
	for _, o := range all {
		o.Trouble(t)
	}
}
