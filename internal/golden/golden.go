// Package golden compares what code generates with the files that are kept of it.
// `go test PACKAGE -update` writes them anew.
package golden

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files anew that hold generated text") //nolint:gochecknoglobals // a flag of the tests

// File holds that the file has this content.
func File(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with -update)", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is stale (make it with -update) (-want +got):\n%s", path, d)
	}
}

// What is before and behind the generated part of a page.
const (
	begin = " -update`. -->\n\n"
	end   = "<!-- End of the generated part. -->"
)

// Part holds that the generated part of a page has this content. It lies between a
// comment that ends with the command that generates it, `go test ./PACKAGE -update`
// for the package under test, and one that says so.
func Part(t testing.TB, path, got string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s has not the comments around the generated part", path)
	}
	File(t, path, before+begin+strings.Trim(got, "\n")+"\n\n"+end+after)
}
