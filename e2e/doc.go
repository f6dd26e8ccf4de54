// Package e2e runs the orchestrator's binary against the real App Server, with
// a scripted model behind it. Its tests carry the build tag e2e; `make e2e`
// installs the App Server and runs them.
package e2e
