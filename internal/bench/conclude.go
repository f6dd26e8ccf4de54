package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// benchstat compares results. It is pinned, and no part of go.mod.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// conclude stores the results, compares them with those before, and writes the table.
func (b *bench) conclude(ctx context.Context, out io.Writer) error {
	dir := filepath.Join(b.root, b.stored)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	before, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return err
	}
	slices.Sort(before) // their names begin with the time
	file := filepath.Join(dir, b.results.file())
	if err := os.WriteFile(file, []byte(b.results.text()), 0o644); err != nil { //nolint:gosec // a result is no secret
		return err
	}
	fmt.Fprintf(out, "\nstored in %s\n", filepath.Join(b.stored, filepath.Base(file)))
	if len(before) > 0 {
		err = b.compare(ctx, out, before[len(before)-1], file)
	}
	if b.only == "" {
		err = errors.Join(err, b.writeTable(filepath.Join(b.root, "docs", "performance.md")))
	}
	return err
}

// compare says what has changed since an earlier result, and what of it is slower.
func (b *bench) compare(ctx context.Context, out io.Writer, before, now string) error {
	var table, list bytes.Buffer
	for into, format := range map[*bytes.Buffer]string{&table: "text", &list: "csv"} {
		cmd := exec.CommandContext(ctx, "go", "run", benchstat, "-ignore", "date,commit,disk,toolchain,memory,processors,command", "-format", format, "before="+before, "now="+now)
		var said bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, into, &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("compare with %s: %w\n%s", filepath.Base(before), err, &said)
		}
	}
	fmt.Fprintf(out, "\ncompared with %s:\n\n%s\n", filepath.Base(before), &table)
	slower := worse(list.String())
	if len(slower) == 0 {
		fmt.Fprintln(out, "nothing got worse that is more than chance")
	}
	for _, line := range slower {
		fmt.Fprintln(out, "worse:", line)
	}
	return nil
}

// worse lists what benchstat holds for changed, and for the worse, in its table in CSV.
func worse(table string) []string {
	var out []string
	unit, better := "", units()
	for line := range strings.Lines(table) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) > 1 && fields[0] == "" && fields[1] != "" && fields[1] != "before" {
			unit = fields[1]
			continue
		}
		// name, before, ±, now, ±, change, p
		if len(fields) < 7 || fields[0] == "geomean" || !strings.HasSuffix(fields[5], "%") {
			continue
		}
		change, err := strconv.ParseFloat(strings.TrimSuffix(fields[5], "%"), 64)
		if err != nil || change == 0 || (change < 0) != (better[unit] == "higher") {
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s %s, was %s (%s, %s)", fields[0], fields[3], unit, fields[1], fields[5], fields[6]))
	}
	return out
}

// The marks between which the table is written.
const (
	tableBegin = "<!-- What follows, to the next comment, is written by `make bench`. -->"
	tableEnd   = "<!-- end of what `make bench` writes -->"
)

func (b *bench) writeTable(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table", file)
	}
	return os.WriteFile(file, []byte(before+tableBegin+"\n\n"+b.results.table()+"\n"+tableEnd+after), 0o644) //nolint:gosec // a document
}
