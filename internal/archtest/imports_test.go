package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/seed-e05a5b32/orchestrator"

// allowed says which packages of this module a package may import outside its
// tests. A package that is missing here fails the test: a new package states
// its place in the layout.
var allowed = map[string][]string{
	"workflow":                {"internal/suggest"},
	"workflow/graph":          {"workflow"},
	"roles":                   {"internal/suggest"},
	"appclient":               {},
	"appclient/apptest":       {},
	"appclient/conformance":   {"appclient"},
	"orchestrator/store":      {"workflow"},
	"orchestrator/engine":     {"internal/redact", "workflow", "orchestrator/store"},
	"orchestrator/appserver":  {},
	"orchestrator/teamtest":   {"workflow", "roles", "appclient/apptest", "orchestrator/store", "orchestrator/engine", "orchestrator/runner", "orchestrator/prices"},
	"orchestrator/check":      {"internal/redact", "workflow", "orchestrator/engine"},
	"orchestrator/prices":     {"internal/suggest", "workflow"},
	"orchestrator/config":     {"workflow", "orchestrator/store", "orchestrator/schedule", "orchestrator/notify"},
	"orchestrator/workspace":  {},
	"orchestrator/transcript": {"workflow", "orchestrator/engine"},
	"orchestrator/schedule":   {"workflow", "orchestrator/store", "orchestrator/engine"},
	"orchestrator/notify":     {"workflow", "orchestrator/store", "orchestrator/engine", "orchestrator/check"},
	"orchestrator/api":        {"orchestrator/transcript", "orchestrator/batch", "workflow", "orchestrator/engine", "orchestrator/store", "orchestrator/schedule", "orchestrator/notify"},
	"orchestrator/client":     {"orchestrator/transcript", "workflow", "orchestrator/store", "orchestrator/batch", "orchestrator/api", "orchestrator/schedule", "orchestrator/notify"},
	"orchestrator/batch":      {"workflow", "orchestrator/store", "orchestrator/engine"},
	"orchestrator/runner":     {"workflow", "roles", "appclient", "orchestrator/engine"},
	"orchestrator/pool":       {"appclient", "workflow", "orchestrator/engine"},
	"orchestrator/metrics":    {"workflow", "orchestrator/engine", "orchestrator/store"},
	"orchestrator/tracing":    {"workflow", "orchestrator/engine"},
	"orchestrator": {
		"orchestrator/batch", "orchestrator/pool", "orchestrator/transcript", "orchestrator/metrics", "orchestrator/tracing",
		"internal/redact",
		"workflow", "roles", "appclient", "appclient/apptest",
		"orchestrator/store", "orchestrator/engine", "orchestrator/runner", "orchestrator/appserver",
		"orchestrator/api", "orchestrator/check", "orchestrator/config", "orchestrator/prices", "orchestrator/workspace",
		"orchestrator/schedule", "orchestrator/notify",
	},
	"cmd/orchestrator": {
		"orchestrator/api", "orchestrator/batch", "orchestrator/client", "orchestrator/appserver", "orchestrator/transcript",
		"internal/redact", "internal/suggest",
		"workflow", "workflow/graph", "roles", "appclient", "appclient/apptest",
		"orchestrator", "orchestrator/config", "orchestrator/store", "orchestrator/engine", "orchestrator/runner", "orchestrator/teamtest",
		"orchestrator/schedule", "orchestrator/notify",
	},
	"internal/archtest": {},
	"internal/bench": {
		"appclient", "appclient/apptest", "internal/realserver", "internal/scriptedmodel",
		"orchestrator", "orchestrator/config", "orchestrator/engine", "orchestrator/store", "workflow",
	},
	"internal/scriptedmodel": {},
	"internal/realserver":    {},
	"internal/redact":        {},
	"internal/suggest":       {},
	"internal/otlpreceiver":  {},
	"internal/logkeys":       {},
	"internal/golden":        {},
	"e2e":                    {},
	"e2e/chaos":              {},
}

// forbidden lists what the pure core must not import, so that purity is a
// property of the import graph and not of good intentions. Of the libraries that
// workflow imports, jsonschema can read schemas from disk and network: it is given
// a loader that refuses all of them.
var forbidden = map[string][]string{"workflow": impure, "workflow/graph": impure}

var impure = []string{
	"os", "os/exec", "io/ioutil", "net", "net/http", "database/sql", "math/rand", "math/rand/v2", "crypto/rand",
	"syscall", "runtime", "path/filepath", "log", "log/slog",
}

func TestImportsFollowTheLayout(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	for pkg, imports := range importsByPackage(t, root, false) {
		seen[pkg] = true
		may, known := allowed[pkg]
		if !known {
			t.Errorf("package %s is not in the layout: add it to allowed in internal/archtest with what it may import", pkg)
			continue
		}
		for _, imp := range imports {
			if inner, ok := strings.CutPrefix(imp, module+"/"); ok && !slices.Contains(may, inner) {
				t.Errorf("%s imports %s, which the layout does not allow", pkg, inner)
			}
			if slices.Contains(forbidden[pkg], imp) {
				t.Errorf("%s imports %q, but it is pure", pkg, imp)
			}
		}
	}
	for pkg := range allowed {
		if !seen[pkg] && pkg != "e2e" { // e2e has test files only
			t.Errorf("allowed names %s, which does not exist", pkg)
		}
	}
}

// TestNoProductCodeImportsTesting keeps the testing package, and with it its
// flags, out of the binary. Some packages are test libraries.
func TestNoProductCodeImportsTesting(t *testing.T) {
	for pkg, imports := range importsByPackage(t, filepath.Join("..", ".."), false) {
		if pkg == "appclient/conformance" || pkg == "internal/golden" {
			continue
		}
		if slices.Contains(imports, "testing") {
			t.Errorf("%s imports testing outside of its tests", pkg)
		}
	}
}

// importsByPackage parses the import clauses of all Go files below root.
func importsByPackage(t *testing.T, root string, tests bool) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != "." && name != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") != tests {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(rel))
		out[pkg] = append(out[pkg], "")
		for _, imp := range parsed.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			out[pkg] = append(out[pkg], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 5 {
		t.Fatalf("found only %d packages below %s: the test looks at the wrong place", len(out), root)
	}
	return out
}
