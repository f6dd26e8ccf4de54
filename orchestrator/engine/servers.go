package engine

import "fmt"

// Servers shares out the room on several App Servers; *pool.Pool does. Its
// methods never block, and call nothing of the engine.
type Servers interface {
	// Take takes room for one turn on a server, or, where server is empty, on the
	// one where a new conversation is best begun, and returns its name. sent says
	// that the turn has been sent there, and is to be found out about. It is false
	// where there is no room now. A server that it does not know it takes as well:
	// what runs there says what is wrong.
	Take(server string, sent bool) (name string, ok bool)
	// TakeBack takes room for a turn that goes on there, also where there is none.
	TakeBack(server string)
	// Give gives room back.
	Give(server string)
	// HasRoom says whether a new conversation could begin now.
	HasRoom() bool
	// OnRoom has a function called whenever there may be room without Give: a server
	// can be reached again, for instance. It is called once, by New.
	OnRoom(room func())
}

// OtherServerError is returned by a TurnRunner for a turn that has to run on
// another App Server than the one that TurnRequest.Server names. Nothing was sent.
type OtherServerError struct{ Server string }

// Error implements error.
func (e *OtherServerError) Error() string {
	return fmt.Sprintf("the turn has to run on the App Server %s", e.Server)
}

// take is what fair.pop asks for room. e.mu is held.
func (e *Engine) take(w *work) (string, bool) {
	return e.o.Servers.Take(w.place.server, w.reconcile)
}

// roomElsewhere reports whether claiming one task more helps, although nothing
// that is ready can start. e.mu is held.
func (e *Engine) roomElsewhere() bool { return e.o.Servers == nil || e.o.Servers.HasRoom() }

// lend gives the slot of a turn to others while it waits for a person.
func (e *Engine) lend(w *work) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.questions++; w.questions > 1 {
		return // it has been given
	}
	e.asking++
	e.giveSlot(w)
	e.pump()
}

// takeBack is called when the turn goes on. It does not wait for a slot: the
// person has waited, and the App Server gives up a call that is not answered. So
// for a while more may run than is allowed, and nothing begins until less does.
func (e *Engine) takeBack(w *work) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.questions--; w.questions > 0 {
		return // it still waits for another answer
	}
	e.asking--
	e.slots++
	e.ready.back(w)
	if w.room != "" {
		e.o.Servers.TakeBack(w.room)
	}
}

// giveSlot gives back the slot of a piece of work, but for its name of the server. e.mu is held.
func (e *Engine) giveSlot(w *work) {
	e.slots--
	if w.room != "" {
		e.o.Servers.Give(w.room)
	}
	e.ready.returned(w)
}
