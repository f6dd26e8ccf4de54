package batch

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The bounds of what a batch takes.
const (
	// MaxItems is how many items a batch may have.
	MaxItems = 100_000
	// MaxItemsSize is how long a file of items may be, in bytes.
	MaxItemsSize = 64 << 20
	// MaxItemSize is how long one item, a line of JSON or a record of CSV, may be, in bytes.
	MaxItemSize = 1 << 20
	// MaxKeySize is how long the key of an item may be, in bytes.
	MaxKeySize = 200
)

// maxProblems bounds how many mistakes of a file are shown.
const maxProblems = 50

// Item is one item of a new batch.
type Item struct {
	// Key is unique in the batch.
	Key string `json:"key"`
	// Label is short, for people.
	Label string `json:"label"`
	// Origin says where the item was read, as FILE:LINE; empty when it was in no file.
	Origin string `json:"origin,omitempty"`
	// Input has passed Team.BindInput.
	Input map[string]any `json:"input"`
}

// ItemsOptions say how items become inputs. Team is required.
type ItemsOptions struct {
	Team *workflow.Team
	// Input is given to all items that do not have it themselves.
	Input map[string]any
	// Columns names the input that a column is for, where that is not its own
	// name; an empty one leaves the column out.
	Columns map[string]string
	// KeyColumn names the column that tells the items apart; without it their inputs do.
	KeyColumn string
}

// record is an item as it was read.
type record struct {
	at     place
	fields []field
}

// field is a column of an item.
type field struct {
	at    place
	name  string
	value any
}

// place is where something was read; line and column count from 1, 0 is unknown.
type place struct {
	line, column int
	snippet      string
}

// reading turns records into items, and gathers what is wrong.
type reading struct {
	o    ItemsOptions
	file string
	// loose says that columns which are no inputs are left out.
	loose    bool
	problems workflow.Problems
	more     int
	items    []Item
	seen     map[string]place
	// told are the columns that were complained about already.
	told map[string]bool
}

func newReading(file string, o ItemsOptions) *reading {
	return &reading{o: o, file: file, seen: map[string]place{}, told: map[string]bool{}}
}

// result is what ReadItems returns.
func (r *reading) result() ([]Item, error) {
	if len(r.items) == 0 && len(r.problems) == 0 {
		r.problem(place{}, "there are no items in it", "")
	}
	if r.more > 0 {
		r.problems = append(r.problems, workflow.Problem{File: r.file, Message: fmt.Sprintf("and %d more mistakes", r.more)})
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.items, nil
}

func (r *reading) problem(at place, message, fix string) {
	if len(r.problems) >= maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, workflow.Problem{File: r.file, Line: at.line, Column: at.column, Message: message, Fix: fix, Snippet: at.snippet})
}

// column says which input a column is for; empty leaves it out. A column that
// is for nothing is a mistake, told once.
func (r *reading) column(f field) string {
	if input, mapped := r.o.Columns[f.name]; mapped {
		if input == "" || r.declares(input) {
			return input
		}
		r.once("map "+f.name, f.at, fmt.Sprintf("the column %q is for the input %q, which the team %q does not declare", f.name, input, r.o.Team.Name),
			workflow.DidYouMean(input, r.inputs()))
		return ""
	}
	if r.declares(f.name) {
		return f.name
	}
	if f.name != r.o.KeyColumn && !r.loose {
		r.once("column "+f.name, f.at, fmt.Sprintf("the column %q is no input of the team %q", f.name, r.o.Team.Name),
			strings.TrimSpace(workflow.DidYouMean(f.name, r.inputs())+"; --map "+shellWord(f.name+"=INPUT")+" says which it is for, and --map "+shellWord(f.name+"=")+" leaves it out"))
	}
	return ""
}

func (r *reading) once(what string, at place, message, fix string) {
	if !r.told[what] {
		r.told[what] = true
		r.problem(at, message, strings.TrimPrefix(fix, "; "))
	}
}

func (r *reading) declares(input string) bool {
	_, ok := r.o.Team.Inputs[input]
	return ok
}

func (r *reading) inputs() []string {
	var names []string
	for name := range r.o.Team.Inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// add makes an item of a record.
func (r *reading) add(rec record) {
	if len(r.items) == MaxItems {
		r.once("too many", rec.at, fmt.Sprintf("a batch takes at most %d items", MaxItems), "divide them into several batches")
		return
	}
	given, places := map[string]any{}, map[string]place{}
	for name, value := range r.o.Input {
		given[name] = value
	}
	key, keyAt := "", rec.at
	var label []string
	for _, f := range rec.fields {
		if f.name == r.o.KeyColumn && r.o.KeyColumn != "" {
			key, keyAt = strings.TrimSpace(plainText(f.value)), f.at
		}
		input := r.column(f)
		if input == "" {
			continue
		}
		if _, twice := places[input]; twice {
			r.once("twice "+input, f.at, fmt.Sprintf("the input %q is given by two columns", input), "leave one out with --map "+shellWord(f.name+"="))
			continue
		}
		// An empty cell of an input that is not text is one that is not given.
		if text, isText := f.value.(string); isText && text == "" && r.o.Team.Inputs[input].Type != workflow.InputString {
			continue
		}
		given[input], places[input] = f.value, f.at
		if text := plainText(f.value); text != "" {
			label = append(label, text)
		}
	}
	bound, ok := r.bind(rec.at, given, places)
	if !ok {
		return
	}
	item := Item{Input: bound, Label: excerpt(strings.Join(label, " "), 60)}
	if rec.at.line > 0 {
		item.Origin = fmt.Sprintf("%s:%d", r.file, rec.at.line)
	}
	switch {
	case r.o.KeyColumn == "":
		item.Key = inputKey(bound)
	case key == "":
		r.problem(keyAt, fmt.Sprintf("the key column %q is empty", r.o.KeyColumn), "")
		return
	default:
		item.Key, item.Label = key, excerpt(key, 60)
	}
	if why := badKey(item.Key); why != "" {
		r.problem(keyAt, fmt.Sprintf("the key of the item %s", why), "")
		return
	}
	if first, twice := r.seen[item.Key]; twice {
		r.problem(keyAt, r.duplicate(item, first), "")
		return
	}
	r.seen[item.Key] = keyAt
	r.items = append(r.items, item)
}

func (r *reading) duplicate(item Item, first place) string {
	what := "the same inputs"
	if r.o.KeyColumn != "" {
		what = fmt.Sprintf("the same key %q", excerpt(item.Key, 60))
	}
	if first.line == 0 {
		return "an item has " + what + " as one before"
	}
	return fmt.Sprintf("the item has %s as that in line %d", what, first.line)
}

// bind checks the inputs, and says where a wrong one was read.
func (r *reading) bind(at place, given map[string]any, places map[string]place) (map[string]any, bool) {
	bound, err := r.o.Team.BindInput(given)
	if err == nil {
		return bound, true
	}
	problems, ok := err.(workflow.Problems) //nolint:errorlint // BindInput returns nothing else
	if !ok {
		r.problem(at, err.Error(), "")
		return nil, false
	}
	for _, p := range problems {
		where, fix := at, p.Fix
		for input, place := range places {
			if strings.HasPrefix(p.Message, fmt.Sprintf("the input %q ", input)) {
				where = place
			}
		}
		if rest, found := strings.CutPrefix(fix, "give it with "); found {
			fix = "give it in a column, or to all items with " + rest
		}
		r.problem(where, p.Message, fix)
	}
	return nil, false
}

// badKey continues a sentence that begins with the key.
func badKey(key string) string {
	switch {
	case len(key) > MaxKeySize:
		return fmt.Sprintf("has %d bytes, and may have %d", len(key), MaxKeySize)
	case !utf8.ValidString(key):
		return "is not valid UTF-8"
	case strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "has a control character in it"
	}
	return ""
}

// inputKey is a hash of the inputs, which tells items without a key column apart.
func inputKey(input map[string]any) string {
	text, err := json.Marshal(input) // sorted by name
	if err != nil {
		panic(fmt.Sprintf("inputs that were bound cannot be encoded: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// CheckItems binds the inputs of items that were read elsewhere, and gives those
// without a key one. What is wrong is a workflow.Problems, all at once.
func CheckItems(given []Item, team *workflow.Team) ([]Item, error) {
	r := newReading("", ItemsOptions{Team: team})
	seen := map[string]int{}
	for i, item := range given {
		before := len(r.problems)
		bound, ok := r.bind(place{}, item.Input, nil)
		if ok {
			item.Input = bound
			if item.Key == "" {
				item.Key = inputKey(bound)
			}
			if why := badKey(item.Key); why != "" {
				r.problem(place{}, "the key "+why, "")
			}
			if first, twice := seen[item.Key]; twice {
				r.problem(place{}, fmt.Sprintf("the item has the same key as item %d", first), "")
			}
			seen[item.Key] = i + 1
			if item.Label == "" {
				item.Label = excerpt(item.Key, 60)
			}
			r.items = append(r.items, item)
		}
		for j := range r.problems[before:] {
			r.problems[before+j].File = cmp.Or(item.Origin, fmt.Sprintf("item %d", i+1))
		}
	}
	return r.result()
}

// Digest is equal for the same team and items, whatever their order and labels.
func Digest(team string, items []Item) string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = item.Key + "\x00" + inputKey(item.Input)
	}
	slices.Sort(lines)
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%s", team, strings.Join(lines, "\n"))
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// ReadItems reads items from CSV with a header, or from lines of JSON objects.
// The name decides which (.csv and .tsv, .jsonl and .ndjson), else the first
// character. What is wrong with it is a workflow.Problems, all at once.
func ReadItems(file string, data []byte, o ItemsOptions) ([]Item, error) {
	r := newReading(file, o)
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > MaxItemsSize:
		r.problem(place{}, fmt.Sprintf("it is longer than %d MiB", MaxItemsSize>>20), "divide it into several batches")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		r.problem(place{}, "it is UTF-16", "save it as UTF-8")
	case !utf8.Valid(data):
		r.problem(invalidAt(data), "it is not valid UTF-8", "save it as UTF-8")
	case isJSON(file, data):
		r.readJSONLines(data)
	default:
		r.readCSV(data)
	}
	return r.result()
}

func isJSON(file string, data []byte) bool {
	switch lower := strings.ToLower(file); {
	case strings.HasSuffix(lower, ".jsonl"), strings.HasSuffix(lower, ".ndjson"), strings.HasSuffix(lower, ".json"):
		return true
	case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".tsv"):
		return false
	}
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
}

// invalidAt finds the first byte that is no UTF-8.
func invalidAt(data []byte) place {
	at := place{line: 1, column: 1}
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if c == utf8.RuneError && size == 1 {
			return at
		}
		at.column++
		if c == '\n' {
			at.line, at.column = at.line+1, 1
		}
		data = data[size:]
	}
	return at
}

// plainText is a value as people write it.
func plainText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// excerpt is a text on one line, with at most so many characters.
func excerpt(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
