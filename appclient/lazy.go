package appclient

import (
	"encoding/json"
	"sync"
)

// lazy is a part of a frame that is decoded by the first who needs it: most are
// replaced by the next one before anybody looks.
type lazy[T any] struct {
	raw    json.RawMessage
	quick  func([]byte) (T, bool)
	finish func(*T) // completes it; nil for nothing

	once  sync.Once
	value *T
}

// get is nil where there is none, and where it cannot be read.
func (l *lazy[T]) get() *T {
	if l == nil {
		return nil
	}
	l.once.Do(func() {
		value := new(T)
		if unmarshalQuickly(l.raw, value, l.quick) != nil {
			return
		}
		if l.finish != nil {
			l.finish(value)
		}
		l.value = value
	})
	return l.value
}
