package batch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// BenchmarkTenThousandItems reads, stores (synced to the disk) and lists a batch
// of ten thousand items.
func BenchmarkTenThousandItems(b *testing.B) {
	team := parseTeam(b, maintain)
	var text strings.Builder
	text.WriteString("repo,goal,depth\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "/srv/repositories/group-%d/repository-%d,\"Update the licence, and the year\",%d\n", i%50, i, i)
	}
	s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	d := NewDriver(DriverOptions{Store: s, Tasks: engine.New(engine.Options{Store: s, Runner: newAgents()})})
	b.ResetTimer()
	for range b.N {
		items, err := ReadItems("items.csv", []byte(text.String()), ItemsOptions{Team: team})
		if err != nil {
			b.Fatal(err)
		}
		view, _, err := d.Create(b.Context(), Submission{Team: team, Items: items})
		if err != nil {
			b.Fatal(err)
		}
		listed, err := Items(b.Context(), s, view.ID, store.ItemFilter{})
		if err != nil || len(listed) != 10_000 {
			b.Fatal(len(listed), err)
		}
	}
}
