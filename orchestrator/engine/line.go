package engine

import (
	"container/heap"
	"slices"
	"time"
)

// stamp is a place in a line: the earlier one goes first.
type stamp struct {
	at  time.Duration // since a moment that is the same for the whole line
	seq uint64        // the order of what came at the same time
}

func (s stamp) before(o stamp) bool {
	if s.at != o.at {
		return s.at < o.at
	}
	return s.seq < o.seq
}

// spot is where an item is in a sorted; it is embedded in what is kept there.
type spot struct{ index int } // from 1 on; 0 is nowhere

func (s *spot) where() *int { return &s.index }

// placed is an item of a sorted.
type placed interface {
	stamped() stamp
	where() *int
}

// sorted has the earliest of its items first. Adding and taking out cost O(log n).
type sorted[T placed] struct{ items []T }

// Len implements heap.Interface.
func (s *sorted[T]) Len() int { return len(s.items) }

// Less implements heap.Interface.
func (s *sorted[T]) Less(i, j int) bool { return s.items[i].stamped().before(s.items[j].stamped()) }

// Swap implements heap.Interface.
func (s *sorted[T]) Swap(i, j int) {
	s.items[i], s.items[j] = s.items[j], s.items[i]
	*s.items[i].where(), *s.items[j].where() = i+1, j+1
}

// Push implements heap.Interface.
func (s *sorted[T]) Push(item any) {
	t := item.(T)
	s.items = append(s.items, t)
	*t.where() = len(s.items)
}

// Pop implements heap.Interface. Memory is given back as it empties.
func (s *sorted[T]) Pop() any {
	last := len(s.items) - 1
	t := s.items[last]
	var zero T
	s.items[last] = zero
	if s.items = s.items[:last]; cap(s.items) > 64 && last < cap(s.items)/4 {
		s.items = slices.Clip(append(make([]T, 0, 2*last), s.items...))
	}
	*t.where() = 0
	return t
}

func (s *sorted[T]) add(item T) { heap.Push(s, item) }

// moved is called when the stamp of an item has changed.
func (s *sorted[T]) moved(item T) { heap.Fix(s, *item.where()-1) }

func (s *sorted[T]) remove(item T) { heap.Remove(s, *item.where()-1) }

// line is what waits for the same, by teams, so that one at its limit is passed
// over as a whole.
type line[T placed] struct {
	open sorted[*segment[T]] // of the teams that may have something taken
	size int                 // of all teams
}

// first is the item whose turn it is, with its team's segment.
func (l *line[T]) first() (item T, from *segment[T], ok bool) {
	if len(l.open.items) == 0 {
		return item, nil, false
	}
	from = l.open.items[0]
	return from.items.items[0], from, true
}

// segment is what one team has in a line.
type segment[T placed] struct {
	spot
	line  *line[T]
	items sorted[T]
}

func (s *segment[T]) stamped() stamp { return s.items.items[0].stamped() }

// add and remove must be followed by settle.
func (s *segment[T]) add(item T) {
	s.leave()
	s.items.add(item)
	s.line.size++
}

func (s *segment[T]) remove(item T) {
	s.leave()
	s.items.remove(item)
	s.line.size--
}

// moved must be followed by settle, as add and remove.
func (s *segment[T]) moved(item T) {
	s.leave()
	s.items.moved(item)
}

// leave takes the segment out of its line, whose order it would break.
func (s *segment[T]) leave() {
	if s.index != 0 {
		s.line.open.remove(s)
	}
}

// settle puts the segment where it belongs: nowhere while it is empty or its team
// is at a limit.
func (s *segment[T]) settle(open bool) {
	want := open && len(s.items.items) > 0
	switch {
	case want && s.index == 0:
		s.line.open.add(s)
	case !want:
		s.leave()
	}
}
