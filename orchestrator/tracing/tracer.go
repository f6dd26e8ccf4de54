package tracing

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// sendDelay is how long a span waits for others to be sent with. A trace is to be
// found while its task runs.
const sendDelay = time.Second

// Tracer is an engine.Observer that makes spans. Close must be called.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	sampler  sdktrace.Sampler
	waits    waits
	// giveUp ends the sending that runs.
	giveUp func()
}

var _ engine.Observer = (*Tracer)(nil)

// New makes a Tracer. It connects when there is something to send. An error is one
// of the options.
func New(ctx context.Context, o Options) (*Tracer, error) {
	to, err := o.exporter()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, to...)
	if err != nil {
		return nil, fmt.Errorf("prepare to send traces: %w", err)
	}
	return newTracer(ctx, o, exporter)
}

func newTracer(ctx context.Context, o Options, exporter sdktrace.SpanExporter) (*Tracer, error) {
	sampler, err := o.sampler()
	if err != nil {
		return nil, err
	}
	own, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("orchestrator"), semconv.ServiceVersion(o.Version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithProcessPID(), resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("say who sends the traces: %w", err)
	}
	if o.Service != "" {
		if own, err = resource.Merge(own, resource.NewSchemaless(semconv.ServiceName(o.Service))); err != nil {
			return nil, fmt.Errorf("say who sends the traces: %w", err)
		}
	}
	s, givenUp := &sending{log: o.Log}, make(chan struct{})
	batching := []sdktrace.BatchSpanProcessorOption{sdktrace.WithMaxQueueSize(maxQueue)}
	if o.Getenv("OTEL_BSP_SCHEDULE_DELAY") == "" {
		batching = append(batching, sdktrace.WithBatchTimeout(sendDelay))
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(own), sdktrace.WithIDGenerator(chosen{}), sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithSpanProcessor(bounded{sdktrace.NewBatchSpanProcessor(counted{exporter, s, givenUp}, batching...), s}),
	)
	return &Tracer{
		provider: provider, sampler: sampler, waits: newWaits(), giveUp: sync.OnceFunc(func() { close(givenUp) }),
		tracer: provider.Tracer("github.com/seed-e05a5b32/orchestrator", trace.WithInstrumentationVersion(o.Version), trace.WithSchemaURL(semconv.SchemaURL)),
	}, nil
}

// Close sends what waits, as far as that works before ctx ends. What cannot be
// sent is told in the log, and is no error. It may be called again.
func (t *Tracer) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, t.giveUp)
	defer stop()
	if err := t.provider.Shutdown(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("end the traces: %w", err)
	}
	return nil
}

// parentOf is the span that the root of a task belongs to; not valid where there is none.
func parentOf(state *workflow.State) trace.SpanContext {
	given, ok := givenContext(state.Trace)
	if p := state.Parent; p != nil {
		return trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: traceOf(state), SpanID: turnSpan(p.Task, p.Turn, p.Attempt), TraceFlags: given.TraceFlags(), TraceState: given.TraceState(), Remote: true,
		})
	}
	if ok {
		return given
	}
	return trace.SpanContext{}
}

// sampled says whether a task is traced. It is the same answer for as long as the
// task lives, and for all that it starts.
func (t *Tracer) sampled(state *workflow.State) bool {
	ctx := context.Background()
	if given, ok := givenContext(state.Trace); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, given)
	}
	return t.sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, TraceID: traceOf(state)}).Decision == sdktrace.RecordAndSample
}

// Context is what commands of a task are told of its trace: in a turn, or outside
// of all where the ID of turn is 0. See engine.Options.Trace.
func (t *Tracer) Context(state *workflow.State, turn workflow.Turn) *workflow.TraceContext {
	span, flags := rootOf(state.Task), "00"
	if turn.ID != 0 {
		span = turnSpan(state.Task, turn.ID, turn.Attempt)
	}
	if t.sampled(state) {
		flags = "01"
	}
	out := &workflow.TraceContext{Parent: fmt.Sprintf("00-%s-%s-%s", traceOf(state), span, flags)}
	if state.Trace != nil {
		out.State = state.Trace.State
	}
	return out
}

// span is one that is over.
type span struct {
	state      *workflow.State
	name       string
	id         trace.SpanID
	parent     trace.SpanID // zero: the root of the task
	kind       trace.SpanKind
	start, end time.Time
	attributes []attribute.KeyValue
	// failure is set where it is an error.
	failure string
}

// emit makes a span of a task that is traced.
func (t *Tracer) emit(s span) {
	parent := parentOf(s.state)
	id := traceOf(s.state)
	if root := rootOf(s.state.Task); s.id != root {
		if !s.parent.IsValid() {
			s.parent = root
		}
		parent = trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: id, SpanID: s.parent, TraceFlags: trace.FlagsSampled, TraceState: parent.TraceState(), Remote: true,
		})
	}
	ctx := context.WithValue(context.Background(), chosenKey{}, ids{id, s.id})
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	if s.end.Before(s.start) {
		s.end = s.start
	}
	s.attributes = append(s.attributes, attribute.String("orchestrator.task.id", s.state.Task), attribute.String("orchestrator.team", s.state.Team))
	_, made := t.tracer.Start(ctx, s.name, trace.WithTimestamp(s.start), trace.WithAttributes(s.attributes...),
		trace.WithSpanKind(cmp.Or(s.kind, trace.SpanKindInternal)))
	if s.failure != "" {
		made.SetStatus(codes.Error, s.failure)
	}
	made.End(trace.WithTimestamp(s.end))
}
