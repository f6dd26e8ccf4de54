package tracing

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Options configure a Tracer. What they leave out is taken from the standard
// variables of OpenTelemetry (OTEL_…).
type Options struct {
	// Endpoint is the address of a receiver of OTLP over HTTP, such as
	// http://localhost:4318. Without a path, /v1/traces is meant. Empty leaves it to
	// OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
	Endpoint string
	// Token is sent as a bearer token; empty is none.
	Token string
	// Service is the name of the service; empty is OTEL_SERVICE_NAME, else orchestrator.
	Service string
	// Ratio is how many of the tasks that begin a trace of their own are traced, from
	// 0 to 1; nil is what OTEL_TRACES_SAMPLER says, else all.
	Ratio *float64
	// Version is that of the program.
	Version string
	Log     zerolog.Logger
	// Getenv reads the environment.
	Getenv func(name string) string
}

// Enabled says whether anything asks for traces: an endpoint, or OTEL_TRACES_EXPORTER=otlp.
func (o Options) Enabled() bool {
	if strings.EqualFold(o.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	exporter := o.Getenv("OTEL_TRACES_EXPORTER")
	if exporter != "" && exporter != "otlp" {
		return false
	}
	return exporter != "" || o.Endpoint != "" || o.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || o.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// exporter says how to reach the receiver. The variables are read by otlptracehttp itself.
func (o Options) exporter() ([]otlptracehttp.Option, error) {
	var list []otlptracehttp.Option
	if o.Endpoint != "" {
		address, err := url.Parse(o.Endpoint)
		if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
			return nil, fmt.Errorf("the endpoint of tracing is no http or https address: %q", o.Endpoint)
		}
		if strings.Trim(address.Path, "/") == "" {
			address.Path = "/v1/traces"
		}
		list = append(list, otlptracehttp.WithEndpointURL(address.String()))
	}
	if o.Token != "" {
		list = append(list, otlptracehttp.WithHeaders(map[string]string{"Authorization": "Bearer " + o.Token}))
	}
	if protocol := cmp.Or(o.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), o.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")); protocol != "" && protocol != "http/protobuf" {
		o.Log.Warn().Str("protocol", protocol).Msg("traces are sent as http/protobuf, whatever OTEL_EXPORTER_OTLP_PROTOCOL says")
	}
	return list, nil
}

// sampler says which tasks are traced.
func (o Options) sampler() (sdktrace.Sampler, error) {
	if o.Ratio != nil {
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(*o.Ratio)), nil
	}
	name, ratio := o.Getenv("OTEL_TRACES_SAMPLER"), 1.0
	if text := o.Getenv("OTEL_TRACES_SAMPLER_ARG"); text != "" && strings.HasSuffix(name, "traceidratio") {
		var err error
		if ratio, err = strconv.ParseFloat(text, 64); err != nil || ratio < 0 || ratio > 1 {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q, and not a number from 0 to 1", text)
		}
	}
	switch name {
	case "", "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample()), nil
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio), nil
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample()), nil
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio)), nil
	}
	return nil, fmt.Errorf("OTEL_TRACES_SAMPLER is %q, which is none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio", name)
}
