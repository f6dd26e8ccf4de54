package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"text/template"
	"unicode/utf8"
)

const (
	// maxRendered bounds what a template may render to, and what any function
	// in it may return, in bytes.
	maxRendered = 1 << 20
	// maxTemplateSource bounds the source text of a template, in bytes.
	maxTemplateSource = 64 << 10
	// maxRange bounds the numbers that a template may range over.
	maxRange = 10_000
	// maxIndent bounds the depth of the function indent, in spaces.
	maxIndent = 80
)

var errTooLong = fmt.Errorf("the text is longer than %d KiB", maxRendered>>10)

// Template is a compiled text/template that is checked when the team file is
// loaded. The zero Template means "not given".
type Template struct {
	source string
	tmpl   *template.Template
}

// IsZero reports whether no template was given.
func (t Template) IsZero() bool { return t.tmpl == nil }

// String returns the source text.
func (t Template) String() string { return t.source }

// newTemplate compiles source. Static checks are in templateCheck.
func newTemplate(source string) (Template, error) {
	if len(source) > maxTemplateSource {
		return Template{}, fmt.Errorf("the template is longer than %d KiB", maxTemplateSource>>10)
	}
	tmpl, err := template.New("").Option("missingkey=error").Funcs(templateFuncs()).Parse(source)
	if err != nil {
		return Template{}, err
	}
	return Template{source: source, tmpl: tmpl}, nil
}

// Render executes the template over the values of a scope. It never panics,
// and the result is never longer than 1 MiB.
func (t Template) Render(values map[string]any) (text string, err error) {
	if t.tmpl == nil {
		return "", errors.New("there is no template")
	}
	// text/template passes on run-time panics of its own evaluation; a bad
	// template must end a task with an explanation, not the process.
	defer func() {
		if r := recover(); r != nil {
			text, err = "", fmt.Errorf("the template cannot be evaluated: %v", r)
		}
	}()
	var out limitedBuffer
	if err := t.tmpl.Execute(&out, values); err != nil {
		if errors.Is(err, errTooLong) {
			return "", errTooLong
		}
		return "", errors.New(templateMessage(err))
	}
	return out.String(), nil
}

// templateMessage takes the parts out of a text/template error that name the
// template, which has no name that people know.
func templateMessage(err error) string {
	message := strings.TrimPrefix(err.Error(), "template: ")
	message = strings.TrimPrefix(message, ":")
	return strings.Replace(message, `executing "" at `, "at ", 1)
}

// limitedBuffer refuses to grow beyond maxRendered.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

// templateFuncs are the functions of a template, beside the comparisons and
// and, or, not, len, index, slice of text/template. The print functions are
// replaced so that no chain of them can fill the memory.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"trim":     strings.TrimSpace,
		"lower":    func(s string) (string, error) { return capped(strings.ToLower(s)) },
		"upper":    func(s string) (string, error) { return capped(strings.ToUpper(s)) },
		"indent":   indent,
		"truncate": truncate,
		"default":  defaultValue,
		"json":     jsonText,
		"print":    func(a ...any) (string, error) { return capped(fmt.Sprint(a...)) },
		"println":  func(a ...any) (string, error) { return capped(fmt.Sprintln(a...)) },
		"printf":   func(f string, a ...any) (string, error) { return capped(fmt.Sprintf(f, a...)) },
		rangeGuard: boundedRange,
	}
}

// allowedFuncs are the names that a template may use.
func allowedFuncs() []string {
	return []string{
		"trim", "lower", "upper", "indent", "truncate", "default", "json", "print", "println", "printf",
		"and", "or", "not", "len", "index", "slice", "eq", "ne", "lt", "le", "gt", "ge",
	}
}

func capped(s string) (string, error) {
	if len(s) > maxRendered {
		return "", errTooLong
	}
	return s, nil
}

// indent puts n spaces before every line that is not empty.
func indent(n int, s string) (string, error) {
	if n < 0 || n > maxIndent {
		return "", fmt.Errorf("indent takes 0 to %d spaces, not %d", maxIndent, n)
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", n) + line
		}
	}
	return capped(strings.Join(lines, "\n"))
}

// truncate keeps the first n characters and says how many it left out.
func truncate(n int, s string) (string, error) {
	if n < 0 {
		return "", fmt.Errorf("truncate takes a number of characters, not %d", n)
	}
	total := utf8.RuneCountInString(s)
	if total <= n {
		return s, nil
	}
	seen := 0
	for i := range s {
		if seen == n {
			return fmt.Sprintf("%s… (%d more characters)", s[:i], total-n), nil
		}
		seen++
	}
	return s, nil
}

// defaultValue returns value, or fallback when value is nil, empty or zero.
func defaultValue(fallback, value any) any {
	if truth, ok := template.IsTrue(value); !ok || !truth {
		return fallback
	}
	return value
}

func jsonText(v any) (string, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", err
	}
	return capped(string(text))
}

// rangeGuard is put behind every range pipeline when a template is compiled,
// since text/template ranges over numbers of any size.
const rangeGuard = "__range"

func boundedRange(v any) (any, error) {
	if v == nil {
		return []any{}, nil
	}
	switch n := reflect.ValueOf(v); {
	case n.CanInt() && n.Int() > maxRange, n.CanUint() && n.Uint() > maxRange:
		return nil, fmt.Errorf("range over the number %v: at most %d is allowed", v, maxRange)
	}
	return v, nil
}
