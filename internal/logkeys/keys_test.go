package logkeys

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
)

// methods are those of zerolog that take a key and a value.
var methods = []string{
	"Str", "Strs", "Stringer", "Int", "Ints", "Int64", "Uint", "Uint64", "Float64", "Bool", "Dur", "Time", "Bytes", "Hex", "RawJSON",
	"Interface", "Any", "AnErr", "Errs", "Object", "Dict",
}

// begins are the methods that begin a message, or the fields of a logger.
var begins = []string{"Trace", "Debug", "Info", "Warn", "Error", "WithLevel", "With", "Err"}

// found is a key as it is used somewhere.
type found struct {
	key   string // empty where it is no literal
	where token.Position
}

// keysIn are the keys in a file.
func keysIn(set *token.FileSet, file *ast.File) []found {
	imported := map[string]bool{}
	for _, imp := range file.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		imported[path[strings.LastIndex(path, "/")+1:]] = true
		if imp.Name != nil {
			imported[imp.Name.Name] = true
		}
	}
	var list []found
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(methods, selector.Sel.Name) {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && imported[x.Name] {
			return true // a function of another package
		}
		if literal, ok := call.Args[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			key, _ := strconv.Unquote(literal.Value)
			list = append(list, found{key, set.Position(call.Pos())})
		} else if logs(selector.X) {
			list = append(list, found{"", set.Position(call.Pos())})
		}
		return true
	})
	return list
}

// logs reports whether a chain of calls begins with a message.
func logs(x ast.Expr) bool {
	for {
		call, ok := x.(*ast.CallExpr)
		if !ok {
			return false
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		if slices.Contains(begins, selector.Sel.Name) {
			return true
		}
		x = selector.X
	}
}

func TestOnlyDeclaredKeysAreLogged(t *testing.T) {
	root := filepath.Join("..", "..")
	used := map[string]bool{"error": true} // that of Err
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "testdata" || entry.Name() == "e2e"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, f := range keysIn(set, file) {
			switch {
			case f.key == "":
				t.Errorf("%s: the key of a log message is no literal", f.where)
			case !slices.ContainsFunc(Keys(), func(k Key) bool { return k.Name == f.key }):
				t.Errorf("%s: the key %q is not declared in internal/logkeys: use one that is there, or add it", f.where, f.key)
			}
			used[f.key] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		if !used[k.Name] {
			t.Errorf("the key %q is declared and never used", k.Name)
		}
	}
}

func TestKeysAreFoundInCode(t *testing.T) {
	const code = `package p
import "go.opentelemetry.io/otel/attribute"
func f() {
	log.Info().Str("one", x).Msg("m")
	l := log.With().Int("two", 2).Logger()
	event.Dur("three", d)
	log.Warn().Err(err).Str(name, x).Msg("m")
	attribute.Bool("four", true)
	r.Bool(node, "five")
	flags.Int("six", 1, "about")
}`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "p.go", code, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range keysIn(set, file) {
		got = append(got, f.key)
	}
	if want := []string{"one", "two", "three", ""}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestReference keeps the generated part of docs/observability.md as the code has it.
func TestReference(t *testing.T) { golden.Part(t, "../../docs/observability.md", Reference()) }
