package engine

import (
	"reflect"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/internal/redact"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// redacted returns an event without secrets: everything of it that is text. What
// it points to comes from the state of a task, which has none.
func (e *Engine) redacted(body workflow.EventBody) workflow.EventBody {
	if body == nil || e.o.Redact.Empty() {
		return body
	}
	v := reflect.New(reflect.TypeOf(body)).Elem()
	v.Set(reflect.ValueOf(body))
	redactFields(e.o.Redact, v)
	return v.Interface().(workflow.EventBody)
}

// redactFields redacts in v, which can be set. Maps and slices are replaced and not changed.
func redactFields(r *redact.Redactor, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if text := v.String(); text != "" {
			v.SetString(r.String(text))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				redactFields(r, v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() == 0 || v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(v.Index(i))
			redactFields(r, out.Index(i))
		}
		v.Set(out)
	case reflect.Map, reflect.Interface:
		if v.IsNil() {
			return
		}
		if clean := r.Value(v.Interface()); clean != nil && reflect.TypeOf(clean).AssignableTo(v.Type()) {
			v.Set(reflect.ValueOf(clean))
		}
	default: // numbers and times
	}
}

// liveText redacts what is shown of a turn while it runs, where a secret may come
// in pieces.
type liveText struct {
	mu     sync.Mutex
	stream *redact.Stream
	// kind and subagent are of the pieces in stream.
	kind     ProgressKind
	subagent string
}

// end returns what is still to be shown.
func (t *liveText) end() []Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rest()
}

// rest ends the stream. t.mu is held.
func (t *liveText) rest() []Progress {
	if t.stream == nil {
		return nil
	}
	text := t.stream.End()
	t.stream = nil
	if text == "" {
		return nil
	}
	return []Progress{{Kind: t.kind, Subagent: t.subagent, Text: text}}
}

// next returns what is to be shown after p.
func (t *liveText) next(r *redact.Redactor, p Progress) []Progress {
	if r == nil {
		return []Progress{p}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Progress
	if p.Kind != t.kind || p.Subagent != t.subagent {
		out = t.rest()
	}
	if p.Kind != ProgressText && p.Kind != ProgressThinking {
		p.Text, p.Argument, p.Input = r.String(p.Text), r.String(p.Argument), r.String(p.Input)
		return append(out, p)
	}
	if t.stream == nil {
		t.stream, t.kind, t.subagent = r.Stream(), p.Kind, p.Subagent
	}
	if p.Text = t.stream.Next(p.Text); p.Text != "" {
		out = append(out, p)
	}
	return out
}
