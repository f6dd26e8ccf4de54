package batch

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// readCSV reads records as in RFC 4180, with a header. Where the header has no
// comma and a tab or a semicolon, that separates the fields.
func (r *reading) readCSV(data []byte) {
	lines := newLineIndex(data)
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1 // told better below
	reader.Comma = separator(r.file, data)
	header := r.csvHeader(reader, lines)
	if header == nil {
		return
	}
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			r.csvError(err, lines)
			continue
		}
		line, _ := reader.FieldPos(0)
		at := place{line: line, column: 1}
		if blank(cells) {
			continue
		}
		if size := recordSize(cells); size > MaxItemSize {
			r.problem(at, fmt.Sprintf("the record has %d bytes, and may have %d", size, MaxItemSize), "")
			continue
		}
		if len(cells) != len(header) {
			r.problem(at, fmt.Sprintf("the record has %s, and the header has %d", plural(len(cells), "field"), len(header)),
				"put what has a separator in it between double quotes")
			continue
		}
		rec := record{at: at}
		for i, cell := range cells {
			l, c := reader.FieldPos(i)
			rec.fields = append(rec.fields, field{at: lines.place(l, c), name: header[i], value: cell})
		}
		r.add(rec)
	}
}

// csvHeader reads the names of the columns; nil when it cannot be used.
func (r *reading) csvHeader(reader *csv.Reader, lines lineIndex) []string {
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		r.csvError(err, lines)
		return nil
	}
	seen := map[string]bool{}
	good := true
	for i := range header {
		at := lines.place(reader.FieldPos(i))
		header[i] = strings.TrimSpace(header[i])
		switch {
		case header[i] == "":
			r.problem(at, fmt.Sprintf("column %d has no name", i+1), "the first line names the columns")
			good = false
		case seen[header[i]]:
			r.problem(at, fmt.Sprintf("two columns have the name %q", header[i]), "")
			good = false
		default:
			r.column(field{at: at, name: header[i]}) // so that it is told at the header
		}
		seen[header[i]] = true
	}
	if r.o.KeyColumn != "" && !seen[r.o.KeyColumn] {
		r.problem(place{line: 1, column: 1}, fmt.Sprintf("there is no column %q, which --key-column names", r.o.KeyColumn), workflow.DidYouMean(r.o.KeyColumn, header))
		good = false
	}
	for column := range r.o.Columns {
		if !seen[column] {
			r.problem(place{line: 1, column: 1}, fmt.Sprintf("there is no column %q, which --map names", column), workflow.DidYouMean(column, header))
			good = false
		}
	}
	if !good {
		return nil
	}
	return header
}

func (r *reading) csvError(err error, lines lineIndex) {
	parse, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		r.problem(place{}, err.Error(), "")
		return
	}
	at := lines.place(parse.Line, parse.Column)
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		r.problem(at, `there is a " in a field that does not begin with one`, `put the field between double quotes, and write "" for a " in it`)
	case errors.Is(err, csv.ErrQuote) && parse.Line != parse.StartLine:
		r.problem(lines.place(parse.StartLine, 1), `a " that begins in this record is not closed, or something follows the closing one`, `write "" for a " in a field`)
	case errors.Is(err, csv.ErrQuote):
		r.problem(at, `a " is not closed, or something follows the closing one`, `write "" for a " in a field`)
	default:
		r.problem(at, parse.Err.Error(), "")
	}
}

// separator finds out what separates the fields, from the header alone.
func separator(file string, data []byte) rune {
	header, _, _ := bytes.Cut(data, []byte("\n"))
	switch {
	case strings.HasSuffix(strings.ToLower(file), ".tsv"):
		return '\t'
	case bytes.ContainsRune(header, ','):
		return ','
	case bytes.ContainsRune(header, '\t'):
		return '\t'
	case bytes.ContainsRune(header, ';'):
		return ';'
	}
	return ','
}

// blank reports whether a record is an empty line, as spreadsheets leave them.
func blank(cells []string) bool {
	for _, cell := range cells {
		if strings.TrimSpace(cell) != "" {
			return false
		}
	}
	return true
}

func recordSize(cells []string) int {
	size := 0
	for _, cell := range cells {
		size += len(cell) + 1
	}
	return size
}

// lineIndex finds the lines of a file.
type lineIndex struct {
	data   []byte
	starts []int
}

func newLineIndex(data []byte) lineIndex {
	x := lineIndex{data: data, starts: []int{0}}
	for i, c := range data {
		if c == '\n' {
			x.starts = append(x.starts, i+1)
		}
	}
	return x
}

// line is one line without its end.
func (x lineIndex) line(n int) []byte {
	if n < 1 || n > len(x.starts) {
		return nil
	}
	end := len(x.data)
	if n < len(x.starts) {
		end = x.starts[n] - 1
	}
	return bytes.TrimSuffix(x.data[x.starts[n-1]:end], []byte("\r"))
}

// place is a place with the line that it is in; column counts bytes from 1.
func (x lineIndex) place(line, column int) place {
	text := x.line(line)
	if len(text) > MaxItemSize {
		return place{line: line, column: column}
	}
	at := min(max(column-1, 0), len(text))
	return place{line: line, column: utf8.RuneCount(text[:at]) + 1, snippet: string(text)}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
