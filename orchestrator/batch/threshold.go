package batch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Threshold is a number of items, or a part of all items of a batch. The zero
// Threshold is none.
type Threshold struct {
	// Count is a number of items; 0 where Percent counts.
	Count int
	// Percent is of all items of the batch.
	Percent float64
}

// ParseThreshold reads "20%" or "3"; empty is none.
func ParseThreshold(text string) (Threshold, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Threshold{}, nil
	}
	if number, percent := strings.CutSuffix(text, "%"); percent {
		p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(p > 0 && p <= 100) {
			return Threshold{}, fmt.Errorf("%q is no part of all items: write it as 20%%, more than 0%% and at most 100%%", text)
		}
		return Threshold{Percent: p}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return Threshold{}, fmt.Errorf("%q is no number of items: write a whole number from 1 on, or a part of all items as 20%%", text)
	}
	return Threshold{Count: n}, nil
}

// String is what ParseThreshold reads.
func (t Threshold) String() string {
	switch {
	case t.Percent > 0:
		return strconv.FormatFloat(t.Percent, 'f', -1, 64) + "%"
	case t.Count > 0:
		return strconv.Itoa(t.Count)
	}
	return ""
}

// IsZero reports whether there is no threshold.
func (t Threshold) IsZero() bool { return t == Threshold{} }

// MarshalText implements encoding.TextMarshaler.
func (t Threshold) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Threshold) UnmarshalText(text []byte) (err error) {
	*t, err = ParseThreshold(string(text))
	return err
}

// of is how many of so many items must have failed; 0 when no number is enough.
// A part that is no whole number of items is rounded up.
func (t Threshold) of(items int) int {
	if t.Percent > 0 {
		return max(1, int(math.Ceil(t.Percent*float64(items)/100-1e-9)))
	}
	return t.Count
}
