// Package batch runs a team on many items, one task for each: so many at once,
// the first few on trial, and no more when too many have failed.
//
// Items are rows until they may run. What becomes of a batch is decided by
// Decide, which is pure, from the counts of its items; a Driver looks at the rows
// and at the tasks, decides, and makes the tasks with keys that name the item, so
// that whatever dies when, no item is ever run twice.
package batch
