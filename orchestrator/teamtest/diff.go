package teamtest

import "strings"

// DiffLine is one line of a comparison: Sign is ' ' for what is in both, '-'
// for what was expected and '+' for what came instead.
type DiffLine struct {
	Sign byte   `json:"-"`
	Text string `json:"text"`
}

// diff compares two lists of lines by their longest common subsequence, with
// same telling which lines are the same.
func diff(expected, got []string, same func(i, j int) bool) []DiffLine {
	lengths := make([][]int, len(expected)+1)
	for i := range lengths {
		lengths[i] = make([]int, len(got)+1)
	}
	for i := len(expected) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if same(i, j) {
				lengths[i][j] = lengths[i+1][j+1] + 1
			} else {
				lengths[i][j] = max(lengths[i+1][j], lengths[i][j+1])
			}
		}
	}
	var out []DiffLine
	i, j := 0, 0
	for i < len(expected) || j < len(got) {
		switch {
		case i < len(expected) && j < len(got) && same(i, j):
			out = append(out, DiffLine{' ', got[j]})
			i, j = i+1, j+1
		case i < len(expected) && (j == len(got) || lengths[i+1][j] >= lengths[i][j+1]):
			out = append(out, DiffLine{'-', expected[i]})
			i++
		default:
			out = append(out, DiffLine{'+', got[j]})
			j++
		}
	}
	return out
}

// diffTexts compares two texts line by line.
func diffTexts(expected, got string) []DiffLine {
	a, b := strings.Split(expected, "\n"), strings.Split(got, "\n")
	return diff(a, b, func(i, j int) bool { return a[i] == b[j] })
}
