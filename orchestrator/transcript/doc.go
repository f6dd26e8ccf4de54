// Package transcript keeps the whole stream of every attempt at a turn: the
// prompt, text, reasoning, tool calls with their arguments and returns,
// approvals, retries, and the end. It is for people who want to know what a model
// did; nothing that is decided depends on it.
//
// A task has one file, DIR/TASK.jsonl.zst: Records as JSON Lines in blocks, each of
// which is a zstd frame of its own behind a skippable frame with its length, its
// checksum, and the attempt that it belongs to. So a file can be read while it is
// written and after a crash, up to the last block that is whole, and one attempt
// without the others; zstd -dc reads it, too. To create a file costs tens of times
// what it costs to open it again, so that short turns do not have one each.
//
// Writing never holds up a turn: records wait in memory for one goroutine that
// writes for all turns, twice a second and at every tool call. What a disk does
// not take, or what is over a limit, is left out, and the transcript says so.
// Files are not synced: a transcript survives the end of the process, and loses
// the last seconds when the machine ends.
package transcript
