//go:build faults

package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// report collects what the parts found.
type report struct {
	mu    sync.Mutex
	parts map[string]outcome
}

func (r *report) add(name string, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parts == nil {
		r.parts = map[string]outcome{}
	}
	sum := r.parts[name]
	if sum.faults == nil {
		sum.faults = map[string]int{}
	}
	for kind, n := range o.faults {
		sum.faults[kind] += n
	}
	sum.tasks += o.tasks
	sum.lost += o.lost
	sum.doubled += o.doubled
	sum.uncertain += o.uncertain
	sum.continued += o.continued
	sum.recovery = max(sum.recovery, o.recovery)
	r.parts[name] = sum
}

// print writes the tables: the faults by kind, and what came of them.
func (r *report) print(w io.Writer, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out strings.Builder
	total := outcome{faults: map[string]int{}}
	fmt.Fprintf(&out, "\nchaos, seed %d\n\n", *seed)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, o outcome) {
		faults := 0
		for _, n := range o.faults {
			faults += n
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", name, faults, o.tasks, o.lost, o.doubled, o.uncertain, o.continued, o.recovery.Round(10*time.Millisecond))
	}
	fmt.Fprintln(table, "\tfaults\ttasks\tlost\tdoubled\tuncertain\tcontinued\tlongest recovery\t")
	for _, name := range slices.Sorted(maps.Keys(r.parts)) {
		o := r.parts[name]
		row(name, o)
		for kind, n := range o.faults {
			total.faults[kind] += n
		}
		total.tasks += o.tasks
		total.lost += o.lost
		total.doubled += o.doubled
		total.uncertain += o.uncertain
		total.continued += o.continued
		total.recovery = max(total.recovery, o.recovery)
	}
	row("all", total)
	_ = table.Flush() // into memory
	fmt.Fprintln(&out)
	table = tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, kind := range slices.Sorted(maps.Keys(total.faults)) {
		fmt.Fprintf(table, "%s\t%d\n", kind, total.faults[kind])
	}
	_ = table.Flush() // into memory
	if failed {
		fmt.Fprintf(&out, "\nFailed. Again with the same choices: make chaos SEED=%d\n", *seed)
	}
	fmt.Fprint(w, out.String())
}
