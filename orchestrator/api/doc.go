// Package api serves a daemon over HTTP: operations described by an OpenAPI
// document, events as server-sent events, errors as RFC 9457 problems. What it
// serves is a Service; it knows nothing of how tasks are driven.
package api
