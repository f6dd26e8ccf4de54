package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

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
		if inputs, err = parseInputs(file, data); err != nil {
			return nil, err
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
		// A journal in JSON would change such a text without a word.
		if !utf8.ValidString(value) {
			return nil, fmt.Errorf("--input %s is not text in UTF-8\n  what to do: convert it, or put it into a file that the agents read", name)
		}
		seen[name] = true
		inputs[name] = value
	}
	return inputs, nil
}

// parseInputs reads one object; JSON is YAML. An empty file has no inputs.
func parseInputs(file string, data []byte) (map[string]any, error) {
	if file == "-" {
		file = "the standard input"
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return nil, fmt.Errorf("the inputs in %s are neither JSON nor YAML: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	inputs := map[string]any{}
	if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
		return inputs, nil
	}
	if node.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the inputs in %s must be one object of names and values, for example {\"goal\": \"…\"}", file)
	}
	if err := node.Decode(&inputs); err != nil {
		return nil, fmt.Errorf("the inputs in %s: %s", file, strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  "))
	}
	return inputs, nil
}

func readFileOr(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}
