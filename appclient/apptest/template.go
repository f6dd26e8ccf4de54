package apptest

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
)

// expand renders a template of a script; text without "{{" is returned as it is.
func expand(text string, data map[string]any) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	t, err := template.New("step").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("render template: %w", err)
	}
	return b.String(), nil
}

// expandValue renders every string inside a decoded YAML or JSON value.
func expandValue(v any, data map[string]any) (any, error) {
	switch v := v.(type) {
	case string:
		return expand(v, data)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			x, err := expandValue(e, data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			out[k] = x
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			x, err := expandValue(e, data)
			if err != nil {
				return nil, fmt.Errorf("%d: %w", i, err)
			}
			out[i] = x
		}
		return out, nil
	}
	return v, nil
}

// checkTemplates renders every template of a step once, so that a script with a bad one is refused when it
// is loaded and not in the middle of a turn.
func (s Step) checkTemplates() error {
	data := map[string]any{"cwd": "", "message": "", "agent": "", "visit": 1, "tool": ""}
	_, err1 := expand(s.Say, data)
	_, err2 := expand(s.Reason, data)
	errs := []error{err1, err2}
	for _, c := range s.calls() {
		_, err := expandValue(c.Input, data)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
