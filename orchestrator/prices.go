package orchestrator

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/prices"
)

// PricesVariable names the environment variable that chooses the price file.
const PricesVariable = "ORCHESTRATOR_PRICES"

// pricesFile is the name of the price file in the data directory.
const pricesFile = "prices.yaml"

// ErrPrices says that the price file cannot be used. What is wrong with its
// text is a workflow.Problems as well.
var ErrPrices = errors.New("the price file cannot be used")

// openPrices reads the price file that is named, else that of the data
// directory where there is one.
func openPrices(file, dataDir string) (engine.Prices, error) {
	named := file != ""
	if !named {
		file = filepath.Join(dataDir, pricesFile)
	}
	table, err := prices.Load(file)
	// A data directory that is none is told by whoever opens it.
	if !named && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
		return prices.Builtin(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrices, err)
	}
	return table, nil
}
