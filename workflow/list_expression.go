package workflow

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
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
	result, err := evaluate(e.program, values)
	if err != nil {
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
	program, err := compileExpression(source, env, "", expr.AsKind(reflect.Slice))
	if err != nil {
		if _, got, ok := strings.Cut(err.Error(), "expected slice, but got "); ok {
			return nil, &conditionError{message: "it gives " + got + ", not a list"}
		}
		return nil, err
	}
	return &ListExpression{source: source, program: program}, nil
}
