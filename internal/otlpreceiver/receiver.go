// Package otlpreceiver is a receiver of traces for tests: OTLP over HTTP in protobuf.
package otlpreceiver

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one that was received. IDs are in hexadecimal digits.
type Span struct {
	Trace, ID, Parent string
	Name              string
	Start, End        time.Time
	// Attributes are as text, and Resource those of who sent it.
	Attributes, Resource map[string]string
	// Error is the description of a status that is an error; empty is none.
	Error string
}

// Receiver keeps what is sent to it. It is an http.Handler.
type Receiver struct {
	mu    sync.Mutex
	spans []Span
	came  chan struct{} // closed and replaced when something came
	// Requests are the headers of the requests.
	requests []http.Header
}

// New makes a Receiver.
func New() *Receiver { return &Receiver{came: make(chan struct{})} }

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var message collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &message)
	}
	if err != nil || request.URL.Path != "/v1/traces" || request.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprintf("not OTLP: %s: %v", request.URL.Path, err), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request.Header)
	for _, resource := range message.GetResourceSpans() {
		who := attributes(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				span := Span{
					Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Name: s.GetName(), Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())),
					Attributes: attributes(s.GetAttributes()), Resource: who,
				}
				if s.GetStatus().GetCode() == 2 {
					span.Error = s.GetStatus().GetMessage()
				}
				r.spans = append(r.spans, span)
			}
		}
	}
	close(r.came)
	r.came = make(chan struct{})
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func attributes(list []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		out[a.GetKey()] = text(a.GetValue())
	}
	return out
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *common.AnyValue_ArrayValue:
		var parts []string
		for _, item := range v.ArrayValue.GetValues() {
			parts = append(parts, text(item))
		}
		return strings.Join(parts, ", ")
	}
	return ""
}

// Spans are all that were received so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Requests are the headers of all requests so far.
func (r *Receiver) Requests() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Await returns the spans as soon as they are enough. The error is the end of ctx.
func (r *Receiver) Await(ctx context.Context, enough func([]Span) bool) ([]Span, error) {
	for {
		r.mu.Lock()
		spans, came := slices.Clone(r.spans), r.came
		r.mu.Unlock()
		if enough(spans) {
			return spans, nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return spans, fmt.Errorf("wait for spans: %w", context.Cause(ctx))
		}
	}
}
