package orchestrator

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestOpenPrices(t *testing.T) {
	dir := t.TempDir()
	other, wrong := filepath.Join(dir, "other.yaml"), filepath.Join(dir, "wrong.yaml")
	price := func(file string) (int64, bool) {
		t.Helper()
		prices, err := openPrices(file, dir)
		if err != nil {
			t.Fatal(err)
		}
		return prices.Price("a/b", workflow.Usage{PromptTokens: 1, TotalTokens: 1})
	}
	if _, known := price(""); known {
		t.Error("a price is known without a file")
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "prices.yaml"), []byte("version: 1\nmodels: {a/b: {input: 1, output: 1}}\n"), 0o600),
		os.WriteFile(other, []byte("version: 1\nmodels: {a/b: {input: 2, output: 2}}\n"), 0o600),
		os.WriteFile(wrong, []byte("version: 1\nmodels: {a/b: {input: -2, output: 2}}\n"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	if cost, known := price(""); cost != 1 || !known {
		t.Errorf("the file of the data directory: %d, %t", cost, known)
	}
	if cost, known := price(other); cost != 2 || !known {
		t.Errorf("the file that is named: %d, %t", cost, known)
	}
	_, err = openPrices(wrong, dir)
	if _, ok := errors.AsType[workflow.Problems](err); !ok || !errors.Is(err, ErrPrices) {
		t.Errorf("a wrong file: %v", err)
	}
	if _, err = openPrices(filepath.Join(dir, "none.yaml"), dir); !errors.Is(err, ErrPrices) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
