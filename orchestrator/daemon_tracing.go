package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/tracing"
)

// ErrTracing says that traces cannot be sent as it is configured.
var ErrTracing = errors.New("traces cannot be sent")

// tracesTimeout is how long the traces that wait may take to be sent at the end.
const tracesTimeout = 3 * time.Second

// newTracer is nil where nothing asks for traces. Errors: ErrTracing.
func newTracer(ctx context.Context, d DaemonOptions) (*tracing.Tracer, error) {
	c := d.Config.Tracing
	o := tracing.Options{Endpoint: c.Endpoint, Service: c.Service, Version: d.Version, Log: d.Log, Getenv: os.Getenv}
	if c.SampleSet {
		o.Ratio = &c.Sample
	}
	if !o.Enabled() {
		return nil, nil //nolint:nilnil // it is off, and that is no error
	}
	if c.Token != (config.Secret{}) {
		var err error
		if o.Token, err = readSecret(ctx, c.Token); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTracing, err)
		}
	}
	tracer, err := tracing.New(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTracing, err)
	}
	return tracer, nil
}

// closeTracer sends the traces that wait. tracer may be nil.
func closeTracer(ctx context.Context, tracer *tracing.Tracer) error {
	if tracer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tracesTimeout)
	defer cancel()
	return tracer.Close(ctx)
}
