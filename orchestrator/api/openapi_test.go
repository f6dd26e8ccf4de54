package api

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write docs/openapi.yaml anew")

// TestOpenAPI keeps the document in docs in step with the operations.
func TestOpenAPI(t *testing.T) {
	document, err := New(Options{Service: nothing{}}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "openapi.yaml")
	if *update {
		if err := os.WriteFile(file, document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(stored) != string(document) {
		t.Errorf("%s is stale: make generate", file)
	}
}

// nothing serves nothing: it is there for the document.
type nothing struct{ Service }
