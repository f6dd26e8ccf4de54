package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// HistoryError says where a journal and what Decide makes of it part.
type HistoryError struct {
	Task string
	// Seq is the number of the event; for the stored state that of the last one.
	Seq int64
	// Detail says what differs.
	Detail string
}

// Error implements error.
func (e *HistoryError) Error() string {
	return fmt.Sprintf("event %d of task %s: %s", e.Seq, e.Task, e.Detail)
}

// VerifyHistory takes the events of a journal through Decide, from the first
// one on, and compares the effects of each, and the state after the last one,
// with those that were stored. team is the one that the task has pinned. A
// journal that another version of this program wrote may differ in its words.
// Errors: *HistoryError, the first difference.
func VerifyHistory(team *Team, journal []Recorded, stored State) error {
	var state State
	for i, r := range journal {
		differs := func(format string, args ...any) error {
			return &HistoryError{Task: stored.Task, Seq: r.Seq, Detail: fmt.Sprintf(format, args...)}
		}
		if want := int64(i + 1); r.Seq != want {
			return differs("event %d is missing", want)
		}
		if r.Event.At.Before(state.Updated) {
			return differs("it is older than the event before it")
		}
		next, effects, err := Decide(team, state, r.Event)
		if err != nil {
			return differs("%s would be refused: %v", r.Event.Body.EventType(), err)
		}
		if next.Version != r.Seq {
			return differs("the state has version %d after it", next.Version)
		}
		where, err := difference("effects", Effects(r.Effects), Effects(effects))
		if err != nil {
			return differs("compare its effects: %v", err)
		}
		if where != "" {
			return differs("%s", where)
		}
		state = next
	}
	last := &HistoryError{Task: stored.Task, Seq: int64(len(journal))}
	where, err := difference("state", stored, state)
	switch {
	case len(journal) == 0:
		last.Detail = "there are no events"
	case err != nil:
		last.Detail = fmt.Sprintf("compare the state: %v", err)
	case where != "":
		last.Detail = where
	default:
		return nil
	}
	return last
}

// difference compares two values by their JSON, which is what is stored, and
// says where they part; empty when they are the same.
func difference(name string, stored, decided any) (string, error) {
	a, errA := decoded(stored)
	b, errB := decoded(decided)
	if err := errors.Join(errA, errB); err != nil {
		return "", err
	}
	return parts(name, a, b), nil
}

func decoded(v any) (out any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &out)
	return out, err
}

// parts finds the first place where two decoded JSON values differ.
func parts(path string, stored, decided any) string {
	if reflect.DeepEqual(stored, decided) {
		return ""
	}
	switch a := stored.(type) {
	case map[string]any:
		b, ok := decided.(map[string]any)
		if !ok {
			break
		}
		both := maps.Clone(a)
		maps.Copy(both, b)
		for _, key := range slices.Sorted(maps.Keys(both)) {
			if where := parts(path+"."+key, a[key], b[key]); where != "" {
				return where
			}
		}
	case []any:
		b, ok := decided.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			if where := parts(fmt.Sprintf("%s[%d]", path, i), a[i], b[i]); where != "" {
				return where
			}
		}
	}
	return fmt.Sprintf("%s: stored is %s, and its events give %s", path, brief(stored), brief(decided))
}

// briefLength bounds how much of a value a HistoryError shows, in bytes.
const briefLength = 200

func brief(v any) string {
	if v == nil {
		return "nothing"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(text) > briefLength {
		return string(text[:briefLength]) + "…"
	}
	return string(text)
}
