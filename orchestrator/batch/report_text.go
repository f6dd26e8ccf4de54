package batch

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// WriteJSON writes a report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// reportHeader names the columns of the table.
func reportHeader() []string {
	return []string{"#", "item", "state", "branch", "diff", "turns", "tokens", "cost", "time", "task"}
}

// row is one item as the table and Markdown have it.
func (r ReportItem) row() []string {
	state := string(r.State)
	if r.Waits {
		state = "waiting"
	}
	if r.Attempt > 1 {
		state += fmt.Sprintf(" (attempt %d)", r.Attempt)
	}
	return []string{
		strconv.Itoa(r.Number), r.Label, state, r.Branch, r.diff(), blankZero(int64(r.Turns)), blankZero(r.Tokens), money(r.Cost, r.Unpriced), duration(r.Duration), r.Task,
	}
}

func (r ReportItem) diff() string {
	if !r.HasDiff {
		return ""
	}
	return diffSize(r.Files, r.Insertions, r.Deletions)
}

// WriteTable writes a report for a terminal. Explanations are below the table.
func (r Report) WriteTable(w io.Writer) error {
	rows := [][]string{reportHeader()}
	for _, item := range r.Items {
		rows = append(rows, item.row())
	}
	rows = append(rows, r.totalRow())
	var b strings.Builder
	fmt.Fprintf(&b, "batch %s  %s  %s\n\n", r.Batch.ID, r.Batch.Name, r.headline())
	writeColumns(&b, rows)
	for _, item := range r.Items {
		if item.Explanation != "" {
			fmt.Fprintf(&b, "\n%s %s: %s\n", item.mark(), item.Label, item.Explanation)
			if item.Story != "" {
				fmt.Fprintf(&b, "    %s\n", item.Story)
			}
		}
	}
	return write(w, b.String())
}

func (r ReportItem) mark() string {
	if r.State == ItemFailed || r.State == ItemCancelled {
		return "✗"
	}
	return "-"
}

// headline says in a line how the batch stands.
func (r Report) headline() string {
	c := r.Batch.Counts
	text := fmt.Sprintf("%s: %s", r.Batch.Status, countsText(c))
	if r.Batch.Note != "" {
		text += " (" + r.Batch.Note + ")"
	}
	return text + ", " + duration(r.Totals.Elapsed)
}

// countsText lists the counts that are not zero.
func countsText(c Counts) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{c.Succeeded, "succeeded"}, {c.Failed, "failed"}, {c.Cancelled, "cancelled"}, {c.Running, "running"}, {c.Waiting, "waiting"}, {c.Pending, "pending"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}

func (r Report) totalRow() []string {
	t := r.Totals
	diff := ""
	if slices.ContainsFunc(r.Items, func(item ReportItem) bool { return item.HasDiff }) || t.Files > 0 {
		diff = diffSize(t.Files, t.Insertions, t.Deletions)
	}
	return []string{
		"", items(r.Batch.Items), "", "", diff,
		blankZero(int64(t.Turns)), blankZero(t.Tokens), money(t.Cost, t.Unpriced), duration(t.Duration), "",
	}
}

// writeColumns aligns the cells of rows.
func writeColumns(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// WriteMarkdown writes a report for a pull request, an issue or a wiki.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Batch %s\n\n%s of team `%s`: %s.\n\n", markdown(r.Batch.Name), items(r.Batch.Items), r.Batch.Team, markdown(r.headline()))
	writeMarkdownRow(&b, reportHeader())
	b.WriteString("|---|---|---|---|---|--:|--:|--:|--:|---|\n")
	for _, item := range r.Items {
		writeMarkdownRow(&b, item.row())
	}
	total := r.totalRow()
	for i, cell := range total {
		if cell != "" {
			total[i] = "**" + cell + "**"
		}
	}
	writeMarkdownRow(&b, total)
	told := false
	for _, item := range r.Items {
		if item.Explanation == "" {
			continue
		}
		if !told {
			b.WriteString("\n## What did not succeed\n\n")
			told = true
		}
		fmt.Fprintf(&b, "- **%s** %s: %s", markdown(item.Label), item.State, markdown(item.Explanation))
		if item.Story != "" {
			fmt.Fprintf(&b, " (`%s`)", item.Story)
		}
		b.WriteString("\n")
	}
	if len(r.Totals.Unpriced) > 0 {
		fmt.Fprintf(&b, "\nThe cost leaves out models without a known price: %s.\n", strings.Join(r.Totals.Unpriced, ", "))
	}
	return write(w, b.String())
}

func writeMarkdownRow(b *strings.Builder, cells []string) {
	for _, cell := range cells {
		if !strings.HasPrefix(cell, "**") {
			cell = markdown(cell)
		}
		b.WriteString("| " + cell + " ")
	}
	b.WriteString("|\n")
}

// markdown keeps a text from being read as Markdown or HTML.
func markdown(text string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`).Replace(text)
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// diffSize is as git writes it: files, lines added, lines removed.
func diffSize(files, insertions, deletions int) string {
	if files == 0 {
		return "none"
	}
	return fmt.Sprintf("%s +%d -%d", plural(files, "file"), insertions, deletions)
}

func blankZero(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// money is in US dollars; a question mark says that not all is known.
func money(millionths int64, unpriced []string) string {
	text := ""
	if millionths > 0 {
		text = fmt.Sprintf("$%.2f", float64(millionths)/1e6)
		if millionths < 10_000 {
			text = fmt.Sprintf("$%.4f", float64(millionths)/1e6)
		}
	}
	if len(unpriced) > 0 {
		text += "?"
	}
	return text
}

// duration is rounded as people say it.
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
