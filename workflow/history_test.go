package workflow

import (
	"errors"
	"testing"
)

func TestVerifyHistoryOfNothing(t *testing.T) {
	err := VerifyHistory(nil, nil, State{Task: "T"})
	if differs, ok := errors.AsType[*HistoryError](err); !ok || differs.Error() != "event 0 of task T: there are no events" {
		t.Errorf("got %v", err)
	}
}

func TestPartsOfValues(t *testing.T) {
	type m = map[string]any
	for want, tt := range map[string][2]any{
		"": {m{"a": []any{1.0, m{"b": "x"}}}, m{"a": []any{1.0, m{"b": "x"}}}},
		`s.a[1].b: stored is "x", and its events give "y"`:   {m{"a": []any{1.0, m{"b": "x"}}}, m{"a": []any{1.0, m{"b": "y"}}}},
		`s.a: stored is nothing, and its events give 1`:      {m{}, m{"a": 1.0}},
		`s.a: stored is [1], and its events give [1,2]`:      {m{"a": []any{1.0}}, m{"a": []any{1.0, 2.0}}},
		`s.a: stored is {"b":1}, and its events give "text"`: {m{"a": m{"b": 1.0}}, m{"a": "text"}},
	} {
		if got := parts("s", tt[0], tt[1]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
