package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// readInputs joins the inputs of a file (JSON or YAML; "-" is the standard
// input) and those of the command line, which win.
func readInputs(file string, stdin io.Reader, pairs []string) (map[string]any, error) {
	inputs := map[string]any{}
	if file != "" {
		data, err := readFileOr(file, stdin)
		if err != nil {
			return nil, fmt.Errorf("read the inputs: %w", err)
		}
		// JSON is YAML.
		if err := yaml.Unmarshal(data, &inputs); err != nil {
			return nil, fmt.Errorf("the inputs file %s must hold one object in JSON or YAML: %w", file, err)
		}
		if inputs == nil {
			inputs = map[string]any{}
		}
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("--input %q is not of the form name=value", pair)
		case seen[name]:
			return nil, fmt.Errorf("--input %s is given twice", name)
		}
		seen[name] = true
		inputs[name] = value
	}
	return inputs, nil
}

func readFileOr(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}
