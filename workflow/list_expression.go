package workflow

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// ListExpression is a compiled expression (`for_each:`) that gives a list.
type ListExpression struct {
	source  string
	program *vm.Program
}

// String returns the source text.
func (e *ListExpression) String() string { return e.source }

// Eval evaluates the expression over the values of a scope. What is no list is an error.
func (e *ListExpression) Eval(values map[string]any) ([]any, error) {
	machine := vm.VM{MemoryBudget: conditionMemory}
	result, err := machine.Run(e.program, values)
	if err != nil {
		if e, ok := errors.AsType[*file.Error](err); ok {
			return nil, errors.New(e.Message)
		}
		return nil, err
	}
	switch list := result.(type) {
	case []any:
		return list, nil
	case nil:
		return nil, errors.New("there is none")
	default:
		v := reflect.ValueOf(result)
		if v.Kind() != reflect.Slice {
			return nil, fmt.Errorf("the result is %T, not a list", result)
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = v.Index(i).Interface()
		}
		return out, nil
	}
}

// newListExpression compiles source against the names and types of env. What
// certainly gives no list is refused.
func newListExpression(source string, env types.Map) (*ListExpression, error) {
	if len(source) > maxCondition {
		return nil, &conditionError{message: fmt.Sprintf("it is longer than %d characters", maxCondition)}
	}
	var restriction restriction
	options := []expr.Option{expr.Env(env), expr.Patch(&restriction), expr.DisableAllBuiltins()}
	for _, name := range conditionFuncs() {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(source, append(options, expr.AsKind(reflect.Slice))...)
	if err != nil {
		if _, got, ok := strings.Cut(err.Error(), "expected slice, but got "); ok {
			return nil, &conditionError{message: "it gives " + got + ", not a list"}
		}
		if e, ok := errors.AsType[*file.Error](err); ok {
			return nil, &conditionError{message: e.Message, offset: byteOffset(source, e.From)}
		}
		return nil, &conditionError{message: err.Error()}
	}
	if restriction.broken != "" {
		return nil, &conditionError{message: restriction.broken + " is not supported", offset: byteOffset(source, restriction.at)}
	}
	return &ListExpression{source: source, program: program}, nil
}
