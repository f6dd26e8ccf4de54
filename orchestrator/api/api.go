package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Options configure an API. Service is required.
type Options struct {
	Service Service
	// Version is that of the program, for the OpenAPI document.
	Version string
	// Tokens are what clients have to know; nil is none.
	Tokens *Tokens
	// Workspaces are the directories that clients of listeners which are not local
	// may have tasks work in, with all that is below them.
	Workspaces []string
	Log        zerolog.Logger
	// Redact takes secrets out of what errors say; nil knows none.
	Redact func(string) string
	// Metrics answers GET /metrics; nil is nothing there. Who may read may read them.
	Metrics http.Handler
	// MaxBody bounds the body of a request, in bytes; 8 MiB when zero.
	MaxBody int64
	// RequestTimeout bounds a request that is no stream; 60 s when zero.
	RequestTimeout time.Duration
	// MaxStreams bounds the streams of events at once; 256 when zero.
	MaxStreams int
	// Heartbeat is how often a silent stream says that it lives; 15 s when zero.
	Heartbeat time.Duration
}

// API serves a Service. Handler makes what an http.Server needs.
type API struct {
	o       Options
	huma    huma.API
	mux     *http.ServeMux
	streams chan struct{}
}

// New makes an API.
func New(o Options) *API {
	if o.MaxBody == 0 {
		o.MaxBody = 8 << 20
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = time.Minute
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = 256
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	a := &API{o: o, mux: http.NewServeMux(), streams: make(chan struct{}, o.MaxStreams)}
	config := huma.DefaultConfig("orchestrator", "1")
	config.Info.Description = "Runs teams of agents on Letta App Servers. Tasks are named by their ID or any unique beginning or end of it."
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // they would add links to schemas to every body
	config.OpenAPIPath = "/openapi"
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.DefaultFormat = "application/json"
	config.RejectUnknownQueryParameters = true
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Not needed on a Unix socket or a loopback address."},
	}
	a.huma = humago.New(a.mux, config)
	a.registerInfo()
	a.registerTasks()
	a.registerControl()
	a.registerAsks()
	a.registerEvents()
	a.registerSchedules()
	a.registerBatches()
	a.registerUsage()
	a.registerTranscript()
	a.nameGoTypes()
	if o.Metrics != nil {
		a.mux.Handle("GET /metrics", o.Metrics)
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.write(w, &Problem{Type: problemType("not-found"), Title: "Not found", Status: http.StatusNotFound, Detail: "there is nothing at " + r.Method + " " + r.URL.Path + "; the operations are described at /openapi.json"})
	})
	return a
}

// OpenAPI is the document that describes the operations, as OpenAPI 3.0 in
// YAML, which more tools read than 3.1; both are served.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().DowngradeYAML() }

// schemaName is the Go name of a type, where two types do not have the same.
func schemaName(t reflect.Type, hint string) string {
	named := t
	if t.Kind() == reflect.Pointer {
		named = t.Elem()
	}
	switch named {
	case reflect.TypeFor[workflow.Problem]():
		return "ProblemDetail"
	case reflect.TypeFor[batch.View]():
		return "Batch"
	case reflect.TypeFor[batch.Counts]():
		return "BatchCounts"
	case reflect.TypeFor[batch.Options]():
		return "BatchOptions"
	case reflect.TypeFor[batch.Change]():
		return "BatchChange"
	case reflect.TypeFor[batch.ItemView]():
		return "BatchItem"
	case reflect.TypeFor[batch.Report]():
		return "BatchReport"
	case reflect.TypeFor[batch.ReportItem]():
		return "BatchReportItem"
	case reflect.TypeFor[batch.Totals]():
		return "BatchTotals"
	case reflect.TypeFor[batch.Threshold]():
		return "BatchThreshold"
	case reflect.TypeFor[schedule.View]():
		return "Schedule"
	case reflect.TypeFor[schedule.FireView]():
		return "Fire"
	case reflect.TypeFor[schedule.Upcoming]():
		return "UpcomingFire"
	case reflect.TypeFor[notify.View]():
		return "Notification"
	case reflect.TypeFor[notify.Attempt]():
		return "NotificationAttempt"
	case reflect.TypeFor[notify.Event]():
		return "NotificationEvent"
	case reflect.TypeFor[notify.Data]():
		return "NotificationData"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// goPackages are the packages whose types a Go client uses as they are.
func goPackages() map[string]string {
	const module = "github.com/seed-e05a5b32/orchestrator/"
	return map[string]string{
		module + "workflow":              "workflow",
		module + "orchestrator/api":      "api",
		module + "orchestrator/batch":    "batch",
		module + "orchestrator/schedule": "schedule",
		module + "orchestrator/notify":   "notify",
	}
}

// nameGoTypes tells generators of Go clients which type of this module a schema was made from.
func (a *API) nameGoTypes() {
	registry := a.huma.OpenAPI().Components.Schemas
	for name, schema := range registry.Map() {
		t := registry.TypeFromRef("#/components/schemas/" + name)
		if t == nil {
			continue
		}
		if !strings.HasSuffix(name, "Request") && !strings.HasSuffix(name, "Answer") {
			schema.AdditionalProperties = nil // what is answered may get more fields; what is asked with unknown ones is refused
		}
		pkg, ok := goPackages()[t.PkgPath()]
		if !ok || t.Name() == "" || !isExported(t.Name()) {
			continue
		}
		if schema.Extensions == nil {
			schema.Extensions = map[string]any{}
		}
		schema.Extensions["x-go-type"] = pkg + "." + t.Name()
		schema.Extensions["x-go-type-import"] = map[string]any{"path": t.PkgPath(), "name": pkg}
	}
}

func isExported(name string) bool { return name[0] >= 'A' && name[0] <= 'Z' }

// operation registers an operation; its errors become problems.
func operation[I, O any](a *API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{"token": {}}, {}}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = a.o.MaxBody
	}
	op.BodyReadTimeout = a.o.RequestTimeout // less would also end what the request does
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError)
	huma.Register(a.huma, op, func(ctx context.Context, input *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, a.o.RequestTimeout)
		defer cancel()
		out, err := handler(ctx, input)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

// body is the answer of an operation.
type body[T any] struct{ Body T }

// reply makes the answer of an operation.
func reply[T any](value T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{Body: value}, nil
}

func joined(names []string) string { return strings.Join(names, ", ") }
