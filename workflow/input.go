package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// The types of an input.
const (
	InputString = "string"
	InputInt    = "int"
	InputNumber = "number"
	InputBool   = "bool"
)

// maxExactInt is the largest whole number that JSON keeps exactly.
const maxExactInt = 1 << 53

// BindInput checks the input of a task against the inputs that the team
// declares. Values may be strings, as a command line gives them, or of the
// declared type already, as JSON gives them. The result holds every declared
// input: an optional one that is not given has its default, or else the zero
// value of its type. The error is Problems.
func (t *Team) BindInput(given map[string]any) (map[string]any, error) {
	var problems Problems
	for _, name := range sortedKeys(given) {
		if _, ok := t.Inputs[name]; !ok {
			problems = append(problems, Problem{
				Message: fmt.Sprintf("the team %q declares no input %q", t.Name, name),
				Fix:     suggestion(name, sortedKeys(t.Inputs)),
			})
		}
	}
	bound := make(map[string]any, len(t.Inputs))
	for _, name := range sortedKeys(t.Inputs) {
		in := t.Inputs[name]
		value, ok := given[name]
		if !ok {
			if in.Required {
				problems = append(problems, missingInput(name, in, "is required"))
			}
			bound[name] = in.fallback()
			continue
		}
		typed, err := convertInput(in.Type, value)
		switch {
		case err != nil:
			problems = append(problems, Problem{Message: fmt.Sprintf("the input %q %s", name, err), Fix: in.Description})
		case in.Required && typed == "":
			problems = append(problems, missingInput(name, in, "is required and was given empty"))
		}
		bound[name] = typed
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return bound, nil
}

// BindArguments is BindInput for the name=value pairs of a command line.
func (t *Team) BindArguments(given map[string]string) (map[string]any, error) {
	values := make(map[string]any, len(given))
	for name, value := range given {
		values[name] = value
	}
	return t.BindInput(values)
}

func missingInput(name string, in Input, what string) Problem {
	fix := fmt.Sprintf("give it with --input %s=…", name)
	if in.Description != "" {
		fix += " (" + in.Description + ")"
	}
	return Problem{Message: fmt.Sprintf("the input %q %s", name, what), Fix: fix}
}

// fallback is the value of an input that is not given.
func (in Input) fallback() any {
	if in.Default != nil {
		return in.Default
	}
	switch in.Type {
	case InputInt:
		return 0
	case InputNumber:
		return 0.0
	case InputBool:
		return false
	default:
		return ""
	}
}

// convertInput turns a value into the declared type. Its error continues a
// sentence that begins with the name of the input.
func convertInput(kind string, value any) (any, error) {
	if number, ok := value.(json.Number); ok {
		value = number.String()
	}
	switch kind {
	case InputInt:
		return convertInt(value)
	case InputNumber:
		return convertNumber(value)
	case InputBool:
		if text, ok := value.(string); ok {
			if b, err := strconv.ParseBool(text); err == nil {
				return b, nil
			}
		}
		if b, ok := value.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("must be true or false, not %s", shown(value))
	default:
		if text, ok := value.(string); ok {
			return text, nil
		}
		return nil, fmt.Errorf("must be text, not %s", shown(value))
	}
}

func convertInt(value any) (any, error) {
	var n int64
	switch v := value.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > maxExactInt {
			return nil, fmt.Errorf("must be a whole number, not %s", shown(value))
		}
		n = int64(v)
	case string:
		parsed, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("must be a whole number, not %s", shown(value))
		}
		n = parsed
	default:
		return nil, fmt.Errorf("must be a whole number, not %s", shown(value))
	}
	if n > maxExactInt || n < -maxExactInt {
		return nil, fmt.Errorf("is out of range: at most %d", int64(maxExactInt))
	}
	return int(n), nil
}

func convertNumber(value any) (any, error) {
	var f float64
	switch v := value.(type) {
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	case float64:
		f = v
	case string:
		parsed, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return nil, fmt.Errorf("must be a number, not %s", shown(value))
		}
		f = parsed
	default:
		return nil, fmt.Errorf("must be a number, not %s", shown(value))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("must be a finite number, not %s", shown(value))
	}
	return f, nil
}

// shown renders a value for a message, never long.
func shown(value any) string {
	text := fmt.Sprintf("%v", value)
	if s, ok := value.(string); ok {
		text = strconv.Quote(s)
	}
	return excerpt(text, 60)
}
