package workflow

import (
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

const (
	// maxCondition bounds the source text of a condition, in bytes.
	maxCondition = 1000
	// conditionMemory is how many elements a condition may make while it runs.
	conditionMemory = 100_000
)

// Condition is a compiled boolean expression (`when:`) of the expr language.
type Condition struct {
	source  string
	program *vm.Program
}

// String returns the source text.
func (c *Condition) String() string { return c.source }

// Match evaluates the condition over the values of a scope. It never panics.
func (c *Condition) Match(values map[string]any) (bool, error) {
	result, err := evaluate(c.program, values)
	if err != nil {
		return false, err
	}
	match, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("the result is %T, not true or false", result)
	}
	return match, nil
}

// conditionError is a compile error with its byte offset within the source.
type conditionError struct {
	message string
	offset  int
}

func (e *conditionError) Error() string { return e.message }

// newCondition compiles source against the names and types of env.
func newCondition(source string, env types.Map) (*Condition, error) {
	program, err := compileExpression(source, env, " in a condition", expr.AsBool())
	if err != nil {
		return nil, err
	}
	return &Condition{source: source, program: program}, nil
}

// compileExpression compiles source for conditions and lists alike. where ends
// the sentence about what is not supported. Its error is a *conditionError.
func compileExpression(source string, env types.Map, where string, more ...expr.Option) (*vm.Program, error) {
	if len(source) > maxCondition {
		return nil, &conditionError{message: fmt.Sprintf("it is longer than %d characters", maxCondition)}
	}
	var restriction restriction
	options := append([]expr.Option{expr.Env(env), expr.Patch(&restriction), expr.DisableAllBuiltins()}, more...)
	for _, name := range conditionFuncs() {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(source, options...)
	if err != nil {
		if e, ok := errors.AsType[*file.Error](err); ok {
			return nil, &conditionError{message: e.Message, offset: byteOffset(source, e.From)}
		}
		return nil, &conditionError{message: err.Error()}
	}
	if restriction.broken != "" {
		return nil, &conditionError{message: restriction.broken + " is not supported" + where, offset: byteOffset(source, restriction.at)}
	}
	return program, nil
}

// evaluate runs a compiled expression over the values of a scope. It never panics.
func evaluate(program *vm.Program, values map[string]any) (any, error) {
	machine := vm.VM{MemoryBudget: conditionMemory}
	result, err := machine.Run(program, values)
	if e, ok := errors.AsType[*file.Error](err); ok {
		return nil, errors.New(e.Message)
	}
	return result, err
}

// conditionFuncs are the built-in functions that can neither read the clock
// nor make a text or a list much longer than the one they are given.
func conditionFuncs() []string {
	return []string{
		"len", "trim", "trimPrefix", "trimSuffix", "upper", "lower", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
		"all", "any", "one", "none", "find", "filter", "count", "sum", "first", "last", "keys", "values", "get",
		"int", "float", "string", "type", "abs", "ceil", "floor", "round", "min", "max",
	}
}

// restriction finds what the options of expr cannot forbid: variable
// declarations, by which a short expression can double a text many times over,
// and the functions that take a predicate.
type restriction struct {
	broken string
	at     int
}

// Visit implements ast.Visitor.
func (r *restriction) Visit(node *ast.Node) {
	if r.broken != "" {
		return
	}
	switch n := (*node).(type) {
	case *ast.VariableDeclaratorNode:
		r.broken, r.at = "let", n.Location().From
	case *ast.BuiltinNode:
		if !slices.Contains(conditionFuncs(), n.Name) {
			r.broken, r.at = n.Name, n.Location().From
		}
	}
}

// byteOffset turns an offset in characters into one in bytes.
func byteOffset(s string, runes int) int {
	seen := 0
	for i := range s {
		if seen == runes {
			return i
		}
		seen++
	}
	return len(s)
}
