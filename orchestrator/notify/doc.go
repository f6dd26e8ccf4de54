// Package notify tells people that something wants them: an approval, a question,
// a gate, a task that failed, a batch that is done.
//
// What is told is written in the transaction of the event itself (store.Notices),
// so that no crash loses it. It is delivered at least once: whoever is stopped
// between a delivery and writing that down delivers it again, with the same id.
package notify
