// Package archtest holds the test that fails the build on an import that the
// layout in docs/architecture.md does not allow.
package archtest
