// Package pool runs turns on several App Servers as if they were one. A turn
// goes to the server on which its conversation lives, or its agent where that has
// a memory, and what begins anew to the one that has the least to do. A server
// that cannot be reached gets nothing until it can be: what has not been sent, and
// has no conversation, goes to another one; the rest waits, without a slot, and
// nothing asks again and again.
package pool
