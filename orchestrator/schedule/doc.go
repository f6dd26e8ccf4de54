// Package schedule submits tasks at times: what a schedule is, when it fires, what
// becomes of each fire, and the Driver that does it.
//
// The times of a schedule are computed from its text, its time zone and the time
// that it was made, and from nothing else. A fire is a row in the store with a
// unique key that is written before its task is submitted under the same key, so
// that a crash neither loses nor doubles one.
package schedule
