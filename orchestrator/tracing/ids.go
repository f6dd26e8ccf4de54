package tracing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// traceOf is the trace of a task: the one that it was submitted in, else one that
// follows from the ID of the task that a person submitted, so that the tasks of
// sub-teams are in the trace of the task that they work for.
func traceOf(state *workflow.State) trace.TraceID {
	if given, ok := givenContext(state.Trace); ok {
		return given.TraceID()
	}
	top, _, _ := strings.Cut(state.Task, ".")
	sum := sha256.Sum256([]byte("trace " + top))
	return trace.TraceID(sum[:16])
}

// spanOf is the ID of a span of a task: of what, and which one of them.
func spanOf(task, what string, which ...any) trace.SpanID {
	sum := sha256.Sum256([]byte(strings.TrimSpace(fmt.Sprintln(append([]any{"span", task, what}, which...)...))))
	return trace.SpanID(sum[:8])
}

func rootOf(task string) trace.SpanID { return spanOf(task, "submit") }

func turnSpan(task string, turn, attempt int) trace.SpanID {
	return spanOf(task, "turn", turn, attempt)
}

// givenContext is the span that a task was submitted in.
func givenContext(given *workflow.TraceContext) (trace.SpanContext, bool) {
	if given == nil {
		return trace.SpanContext{}, false
	}
	parts := strings.Split(given.Parent, "-")
	if len(parts) != 4 {
		return trace.SpanContext{}, false
	}
	id, err := trace.TraceIDFromHex(parts[1])
	if err != nil {
		return trace.SpanContext{}, false
	}
	span, err := trace.SpanIDFromHex(parts[2])
	if err != nil {
		return trace.SpanContext{}, false
	}
	state, err := trace.ParseTraceState(given.State)
	if err != nil {
		state = trace.TraceState{} // a tracestate that is not valid is dropped, as the standard says
	}
	c := trace.SpanContextConfig{TraceID: id, SpanID: span, TraceState: state, Remote: true}
	if strings.HasSuffix(parts[3], "1") || strings.ContainsAny(parts[3][1:], "3579bdf") {
		c.TraceFlags = trace.FlagsSampled
	}
	return trace.NewSpanContext(c), true
}

// chosen is an IDGenerator that gives the IDs that the context says.
type chosen struct{}

type chosenKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements sdktrace.IDGenerator.
func (chosen) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	i, _ := ctx.Value(chosenKey{}).(ids)
	return i.trace, i.span
}

// NewSpanID implements sdktrace.IDGenerator.
func (c chosen) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, span := c.NewIDs(ctx)
	return span
}
