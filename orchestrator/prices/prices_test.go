package prices

import (
	"errors"
	"io/fs"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const file = `version: 1
models:
  "anthropic/claude-*": &claude {input: 3.00, output: 15, cached_input: 0.30, cache_write: 3.75}
  "anthropic/claude-opus-*": {input: 15, output: 75}
  anthropic/claude-opus-4: {input: 0.000001, output: 0}
  "*/other": *claude
  "a*b*c": {input: 1, output: 1}
  "xy*yx": {input: 1, output: 1}
  ollama/expensive: {input: 1, output: 2}
`

func parse(t *testing.T, src string) *Table {
	t.Helper()
	table, err := Parse("prices.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestPrice(t *testing.T) {
	table := parse(t, file)
	input := workflow.Usage{PromptTokens: 1_000_000, TotalTokens: 1_000_000}
	tests := []struct {
		name, model string
		usage       workflow.Usage
		cost        int64
		known       bool
	}{
		{"a pattern", "anthropic/claude-sonnet-4-5", input, 3_000_000, true},
		{"the longer pattern", "anthropic/claude-opus-5", input, 15_000_000, true},
		{"the name before any pattern", "anthropic/claude-opus-4", input, 1, true},
		{"rounded up", "anthropic/claude-opus-4", workflow.Usage{PromptTokens: 1, TotalTokens: 1}, 1, true},
		{"nothing used", "anthropic/claude-opus-4", workflow.Usage{}, 0, true},
		{"a pattern covers slashes", "openrouter/x/other", input, 3_000_000, true},
		{"several wildcards", "a/b/b/c", input, 1_000_000, true},
		{"wildcards in the wrong order", "a/c/b", input, 0, false},
		{"wildcards for nothing", "abc", input, 1_000_000, true},
		{"a pattern whose ends would overlap", "xyx", input, 0, false},
		{"unknown", "openai/gpt-5", input, 0, false},
		{"no model", "", input, 0, false},
		{"upper and lower case differ", "Anthropic/claude-sonnet-4-5", input, 0, false},
		{"a model on this machine", "lmstudio/qwen", input, 0, true},
		{"another one", "ollama/llama3:8b", input, 0, true},
		{"the file comes first", "ollama/expensive", input, 1_000_000, true},
		{"a model in the cloud", "ollama/gpt-oss:120b-cloud", input, 0, false},
		{"another one in the cloud", "ollama/glm-4.6:cloud", input, 0, false},
		{"a service", "ollama-cloud/glm", input, 0, false},
		{"whatever is connected", "local/default", input, 0, false},
		{"a provider alone", "lmstudio/", input, 0, false},
		// 94 + 5 + 7 = 106 is how the App Server counts: the cached tokens are beside the prompt tokens.
		{"cached tokens", "anthropic/claude-x", workflow.Usage{PromptTokens: 94, CompletionTokens: 5, CachedInputTokens: 7, TotalTokens: 106}, 94*3 + 5*15 + 3, true},
		{"tokens written to the cache", "anthropic/claude-x", workflow.Usage{PromptTokens: 100, CompletionTokens: 10, CachedInputTokens: 1000, TotalTokens: 1510}, 300 + 150 + 300 + 1500, true},
		{"cached tokens within the prompt", "anthropic/claude-x", workflow.Usage{PromptTokens: 100, CompletionTokens: 10, CachedInputTokens: 50, TotalTokens: 110}, 150 + 150 + 15, true},
		{"no total", "anthropic/claude-x", workflow.Usage{PromptTokens: 100, CompletionTokens: 10, CachedInputTokens: 50}, 300 + 150 + 15, true},
		{"reasoning is within the completion", "anthropic/claude-x", workflow.Usage{CompletionTokens: 10, ReasoningTokens: 8, TotalTokens: 10}, 150, true},
		{"no price for cached tokens", "anthropic/claude-opus-x", workflow.Usage{CachedInputTokens: 10, TotalTokens: 20}, 300, true},
		{"negative numbers", "anthropic/claude-x", workflow.Usage{PromptTokens: -5, CompletionTokens: math.MinInt64, TotalTokens: -1}, 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cost, known := table.Price(test.model, test.usage)
			if cost != test.cost || known != test.known {
				t.Errorf("got %d, %t, want %d, %t", cost, known, test.cost, test.known)
			}
		})
	}
	if cost, known := Builtin().Price("llama.cpp/x", input); cost != 0 || !known {
		t.Errorf("built in: %d, %t", cost, known)
	}
	if _, known := Builtin().Price("anthropic/claude-opus-4", input); known {
		t.Error("a price is built in")
	}
}

// TestCostIsExact compares with arithmetic that has no bounds.
func TestCostIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64Range(0, 999_999_999_999)
		count := rapid.Int64Range(0, 1<<60)
		p := price{number.Draw(t, "input"), number.Draw(t, "output"), number.Draw(t, "cached"), number.Draw(t, "written")}
		u := workflow.Usage{PromptTokens: count.Draw(t, "prompt"), CompletionTokens: count.Draw(t, "completion"), CachedInputTokens: count.Draw(t, "read")}
		u.TotalTokens = u.PromptTokens + u.CompletionTokens + u.CachedInputTokens
		want := new(big.Int)
		for _, part := range [][2]uint64{{uint64(u.PromptTokens), p.input}, {uint64(u.CompletionTokens), p.output}, {uint64(u.CachedInputTokens), p.cachedInput}} {
			want.Add(want, new(big.Int).Mul(new(big.Int).SetUint64(part[0]), new(big.Int).SetUint64(part[1])))
		}
		if u.TotalTokens > 1<<60 { // it is bounded as every number is
			return
		}
		want.Add(want, big.NewInt(million-1)).Div(want, big.NewInt(million))
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		if got := p.cost(u); got != want.Int64() {
			t.Fatalf("got %d, want %s", got, want)
		}
	})
}

func TestParseNamesThePlace(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"empty", "", "prices.yaml: the price file is empty"},
		{"no YAML", "version: 1\nmodels: {", "prices.yaml:2:1: the price file is not YAML"},
		{"not UTF-8", "version: 1 # \xff", "prices.yaml: the price file is not UTF-8"},
		{"too long", strings.Repeat("#", maxFile+1), "prices.yaml: the price file is longer than 1024 KiB"},
		{"two documents", "version: 1\nmodels: {}\n---\nversion: 1\n", "prices.yaml:3:1: the price file has a second document"},
		{"a list", "- 1\n", "prices.yaml:1:1: the price file must be a mapping"},
		{"no version", "models: {}\n", `prices.yaml:1:1: the price file has no field "version"`},
		{"no models", "version: 1\n", `prices.yaml:1:1: the price file has no field "models"`},
		{"another version", "version: 2\nmodels: {}\n", "prices.yaml:1:10: this program reads version 1"},
		{"unknown field", "version: 1\nmodel: {}\n", `did you mean "models"?`},
		{"a field twice", "version: 1\nmodels: {}\nmodels: {}\n", "prices.yaml:3:1: models is given twice"},
		{"models as a list", "version: 1\nmodels: [a]\n", "prices.yaml:2:9: models must map"},
		{"a model twice", "version: 1\nmodels:\n  a/b: {input: 1, output: 1}\n  a/b: {input: 1, output: 1}\n", "prices.yaml:4:3: a/b is given twice"},
		{"a model without name", "version: 1\nmodels:\n  \"\": {input: 1, output: 1}\n", "prices.yaml:3:3: this is no name of a model"},
		{"a number as price", "version: 1\nmodels:\n  a/b: 3\n", "prices.yaml:3:8: the price of a/b must be a mapping"},
		{"an unknown price", "version: 1\nmodels:\n  a/b: {input: 1, output: 1, cached: 1}\n", `prices.yaml:3:30: the price of a/b has no field "cached"`},
		{"no output", "version: 1\nmodels:\n  a/b: {input: 1}\n", `prices.yaml:3:8: the price of a/b has no field "output"`},
		{"negative", "version: 1\nmodels:\n  a/b: {input: -1, output: 1}\n", "prices.yaml:3:16: a price is dollars for a million tokens and cannot be negative"},
		{"not a number", "version: 1\nmodels:\n  a/b: {input: .nan, output: 1}\n", "prices.yaml:3:16: a price is dollars for a million tokens, and .nan cannot be one"},
		{"infinite", "version: 1\nmodels:\n  a/b: {input: 1, output: -.inf}\n", "prices.yaml:3:27: a price is dollars for a million tokens, and -.inf cannot be one"},
		{"an exponent", "version: 1\nmodels:\n  a/b: {input: 1e9999, output: 1}\n", "prices.yaml:3:16: a price"},
		{"octal", "version: 1\nmodels:\n  a/b: {input: 010, output: 1}\n", "prices.yaml:3:16: a price"},
		{"too many decimals", "version: 1\nmodels:\n  a/b: {input: 1, output: 0.0000001}\n", "prices.yaml:3:27: a price"},
		{"too much", "version: 1\nmodels:\n  a/b: {input: 1, output: 1000000}\n", "prices.yaml:3:27: a price"},
		{"text", "version: 1\nmodels:\n  a/b: {input: \"1\", output: 1}\n", "prices.yaml:3:16: a price is dollars for a million tokens, and this is no number"},
		{"nothing", "version: 1\nmodels:\n  a/b: {input: , output: 1}\n", "this is no number"},
		{"an alias of itself", "version: 1\nmodels: &m\n  a/b: *m\n", `the price of a/b has no field "a/b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("prices.yaml", []byte(test.src))
			if _, ok := errors.AsType[workflow.Problems](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	_, err := Parse("prices.yaml", []byte("version: 3\nmodels:\n  a: {input: -1}\n  b: 3\n"))
	if problems, _ := errors.AsType[workflow.Problems](err); len(problems) != 4 {
		t.Errorf("not everything that is wrong is told: %v", err)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if table, err := Load(path); err != nil || len(table.exact) != 2 || len(table.globs) != 5 {
		t.Errorf("got %+v, %v", table, err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

// FuzzParse: whatever the text is, it is a table of prices that are none of
// them negative, or it is refused with a message.
func FuzzParse(f *testing.F) {
	f.Add(file)
	f.Add("version: 1\nmodels: &m\n  a/b: *m\n")
	f.Add("version: 1\nmodels:\n  a: {input: 1e3, output: -0}\n---\n")
	f.Fuzz(func(t *testing.T, src string) {
		table, err := Parse("p", []byte(src))
		if err != nil {
			if problems, ok := errors.AsType[workflow.Problems](err); !ok || len(problems) == 0 || problems.Error() == "" {
				t.Fatalf("got %v", err)
			}
			return
		}
		u := workflow.Usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64, CachedInputTokens: math.MaxInt64, TotalTokens: math.MaxInt64}
		for model := range table.exact {
			if cost, known := table.Price(model, u); cost < 0 || !known {
				t.Fatalf("%q costs %d, %t", model, cost, known)
			}
		}
		for _, g := range table.globs {
			if cost, known := table.Price(g.pattern, u); cost < 0 || !known {
				t.Fatalf("%q costs %d, %t", g.pattern, cost, known)
			}
		}
	})
}
