// Package realserver runs the installed App Server for end-to-end tests: on a
// free port, with a HOME of its own and a scripted model, and kills it as tests need.
package realserver
