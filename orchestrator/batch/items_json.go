package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// readJSONLines reads one object from every line that is not empty.
func (r *reading) readJSONLines(data []byte) {
	lines := newLineIndex(data)
	for n := range len(lines.starts) {
		line := lines.line(n + 1)
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if len(line) > MaxItemSize {
			r.problem(place{line: n + 1, column: 1}, fmt.Sprintf("the line has %d bytes, and may have %d", len(line), MaxItemSize), "")
			continue
		}
		rec, failure := jsonRecord(line, lines, n+1)
		if failure != nil {
			r.problem(lines.place(n+1, failure.offset+1), failure.text, failure.fix)
			if failure.whole {
				return // every other line would be wrong as well
			}
			continue
		}
		r.jsonColumns(rec)
		r.add(rec)
	}
}

// jsonColumns checks that an item has the columns that were named; optional ones may be missing.
func (r *reading) jsonColumns(rec record) {
	var names []string
	for _, f := range rec.fields {
		names = append(names, f.name)
	}
	if r.o.KeyColumn != "" && !slices.Contains(names, r.o.KeyColumn) {
		r.problem(rec.at, fmt.Sprintf("the item has no field %q, which --key-column names", r.o.KeyColumn), workflow.DidYouMean(r.o.KeyColumn, names))
	}
}

// jsonFailure is a mistake in a line of JSON.
type jsonFailure struct {
	offset int
	text   string
	fix    string
	whole  bool
}

// jsonRecord reads an object with the places of its fields.
func jsonRecord(line []byte, lines lineIndex, n int) (record, *jsonFailure) {
	rec := record{at: place{line: n, column: 1}}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	first, err := decoder.Token()
	switch {
	case err != nil:
		return rec, syntaxFailure(err, line)
	case first == json.Delim('['):
		return rec, &jsonFailure{text: "this is a list of JSON, and one object in each line is wanted", fix: "jq -c '.[]' FILE makes them", whole: true}
	case first != json.Delim('{'):
		return rec, &jsonFailure{text: "this is no object", fix: `write {"INPUT": VALUE, …} in each line`}
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return rec, syntaxFailure(err, line)
		}
		name, isName := token.(string)
		if !isName {
			return rec, &jsonFailure{offset: int(decoder.InputOffset()), text: "the name of a field is wanted here"}
		}
		nameAt := max(int(decoder.InputOffset())-len(name)-2, 0)
		for _, f := range rec.fields {
			if f.name == name {
				return rec, &jsonFailure{offset: nameAt, text: fmt.Sprintf("the field %q is there twice", name)}
			}
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return rec, syntaxFailure(err, line)
		}
		if value == nil {
			continue // as if it were not there
		}
		rec.fields = append(rec.fields, field{at: lines.place(n, nameAt+1), name: name, value: value})
	}
	if _, err := decoder.Token(); err != nil {
		return rec, syntaxFailure(err, line)
	}
	if rest := bytes.TrimSpace(line[decoder.InputOffset():]); len(rest) > 0 {
		return rec, &jsonFailure{offset: len(line) - len(bytes.TrimLeft(line[decoder.InputOffset():], " \t")), text: "something follows the object", fix: "write one object in each line"}
	}
	return rec, nil
}

// syntaxFailure says where a line is no JSON.
func syntaxFailure(err error, line []byte) *jsonFailure {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &jsonFailure{
			offset: len(line), text: "this is no JSON: the object does not end in this line", fix: "write one object in each line; jq -c . FILE makes them",
			whole: len(bytes.TrimSpace(line)) == 1, // an object over many lines
		}
	}
	// The offsets of a decoder count from the value that it is at.
	var whole json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(line, &whole)); ok {
		return &jsonFailure{offset: max(int(syntax.Offset)-1, 0), text: "this is no JSON: " + syntax.Error()}
	}
	return &jsonFailure{text: "this is no JSON: " + err.Error()}
}
