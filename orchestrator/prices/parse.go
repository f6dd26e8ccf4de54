package prices

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxFile bounds a price file, in bytes.
const maxFile = 1 << 20

// Load reads a price file. What is wrong with its text is a workflow.Problems;
// other errors are those of reading it.
func Load(file string) (*Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the price file: %w", err)
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the price file %s: %w", file, err)
	}
	return Parse(file, src)
}

// Parse reads the text of a price file. file is used in messages only. The
// error is a workflow.Problems, with everything that is wrong.
func Parse(file string, src []byte) (*Table, error) {
	p := &parser{file: file, lines: strings.Split(string(src), "\n"), models: map[string]price{}}
	p.read(src)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return newTable(p.models, true), nil
}

// Models reads what the field models of a price file holds, from another file.
// What is wrong is reported; the Table knows what is not. It has a price for
// what n names and for nothing else.
func Models(n *yaml.Node, report func(n *yaml.Node, fix, message string)) *Table {
	p := &parser{models: map[string]price{}, report: report}
	p.all(resolve(n))
	return newTable(p.models, false)
}

// parser holds one run of Parse.
type parser struct {
	file     string
	lines    []string
	models   map[string]price
	problems workflow.Problems
	// report takes what is wrong with a node instead of problems; nil does not.
	report func(n *yaml.Node, fix, message string)
}

const example = `models: {"anthropic/claude-*": {input: 3.00, output: 15.00}}`

func (p *parser) read(src []byte) {
	if len(src) > maxFile {
		p.problemAt(0, 0, 1, "", "the price file is longer than %d KiB", maxFile>>10)
		return
	}
	if !utf8.Valid(src) {
		p.problemAt(0, 0, 1, "save it as UTF-8", "the price file is not UTF-8 text")
		return
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	err := decoder.Decode(&document)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			p.problem(&second, "put everything into one document", "the price file has a second document")
			return
		}
	} else if errors.Is(err, io.EOF) {
		p.problemAt(0, 0, 1, "begin with:  version: 1", "the price file is empty")
		return
	}
	if !errors.Is(err, io.EOF) {
		line, message := syntax(err)
		p.problemAt(line, 1, 1, "", "the price file is not YAML: %s", message)
		return
	}
	p.document(resolve(document.Content[0]))
}

var syntaxLine = regexp.MustCompile(`^line (\d+): `)

// syntax takes the line out of an error of the YAML library.
func syntax(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := syntaxLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits; one too large for an int is no line anyway
		message = message[len(m[0]):]
	}
	return line, message
}

func (p *parser) document(root *yaml.Node) {
	seen := p.object(root, "the price file", map[string]func(*yaml.Node){"version": p.version, "models": p.all})
	if root.Kind != yaml.MappingNode {
		return
	}
	for _, field := range [][2]string{{"version", "begin with:  version: 1"}, {"models", "add, for example:  " + example}} {
		if !seen[field[0]] {
			p.problem(root, field[1], "the price file has no field %q", field[0])
		}
	}
}

func (p *parser) version(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Value != "1" {
		p.problem(n, "write:  version: 1", "this program reads version 1 of price files")
	}
}

func (p *parser) all(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.problem(n, "write:  "+example, "models must map the names of models to their prices")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		name := key.Value
		switch _, twice := p.models[name]; {
		case key.Kind != yaml.ScalarNode || !handle.MatchString(name):
			p.problem(key, "name it as the App Server does: provider/model; * stands for any text", "this is no name of a model")
		case twice:
			p.problem(key, "remove one of the two", "%s is given twice", name)
		default:
			p.models[name] = price{} // also where its prices are wrong: twice is twice
			p.model(name, value)
		}
	}
}

// handle is what a model may be named by.
var handle = regexp.MustCompile(`^[^\s\p{C}]{1,200}$`)

func (p *parser) model(name string, n *yaml.Node) {
	var found price
	seen := p.object(n, "the price of "+name, map[string]func(*yaml.Node){
		"input":        func(n *yaml.Node) { found.input = p.dollars(n) },
		"output":       func(n *yaml.Node) { found.output = p.dollars(n) },
		"cached_input": func(n *yaml.Node) { found.cachedInput = p.dollars(n) },
		"cache_write":  func(n *yaml.Node) { found.cacheWrite = p.dollars(n) },
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, field := range []string{"input", "output"} {
		if !seen[field] {
			p.problem(n, "add "+field+": the dollars for a million tokens", "the price of %s has no field %q", name, field)
		}
	}
	if !seen["cached_input"] {
		found.cachedInput = found.input
	}
	if !seen["cache_write"] {
		found.cacheWrite = found.input
	}
	p.models[name] = found
}

// object reads a mapping field by field, and returns which fields there are.
func (p *parser) object(n *yaml.Node, what string, fields map[string]func(*yaml.Node)) map[string]bool {
	seen := map[string]bool{}
	if n.Kind != yaml.MappingNode {
		p.problem(n, "", "%s must be a mapping", what)
		return seen
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		read, known := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !known:
			p.problem(key, meant(key.Value, fields), "%s has no field %q", what, key.Value)
		case seen[key.Value]:
			p.problem(key, "remove one of the two", "%s is given twice in %s", key.Value, what)
		default:
			seen[key.Value] = true
			read(resolve(n.Content[i+1]))
		}
	}
	return seen
}

// resolve follows an alias (*name), so that models may share their prices.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// problem reports what is wrong with a node.
func (p *parser) problem(n *yaml.Node, fix, format string, args ...any) {
	if p.report != nil {
		p.report(n, fix, fmt.Sprintf(format, args...))
		return
	}
	width := 1
	if n.Kind == yaml.ScalarNode && n.Style == 0 && !strings.Contains(n.Value, "\n") {
		width = utf8.RuneCountInString(n.Value)
	}
	p.problemAt(n.Line, n.Column, width, fix, format, args...)
}

func (p *parser) problemAt(line, column, width int, fix, format string, args ...any) {
	problem := workflow.Problem{File: p.file, Line: line, Column: column, Width: width, Message: fmt.Sprintf(format, args...), Fix: fix}
	if line > 0 && line <= len(p.lines) {
		problem.Snippet = strings.TrimRight(p.lines[line-1], "\r")
	}
	p.problems = append(p.problems, problem)
}

func meant(name string, fields map[string]func(*yaml.Node)) string {
	if near := suggest.Nearest(name, sortedNames(fields)); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "it has: " + strings.Join(sortedNames(fields), ", ")
}
