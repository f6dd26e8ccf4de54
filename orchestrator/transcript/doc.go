// Package transcript keeps the whole stream of every attempt at a turn: the
// prompt, text, reasoning, tool calls with their arguments and returns,
// approvals, retries, and the end. It is for people who want to know what a model
// did; nothing that is decided depends on it.
//
// An attempt has one file, DIR/TASK/TURN.ATTEMPT.jsonl.zst: Records as JSON Lines
// in blocks, each of which is a zstd frame of its own behind a skippable frame
// with its length and its checksum. So a file can be read while it is written and
// after a crash, up to the last block that is whole; zstd -dc reads it, too.
//
// Writing never holds up a turn: records wait in memory for one goroutine that
// writes for all turns, twice a second and at every tool call. What a disk does
// not take, or what is over a limit, is left out, and the transcript says so.
// Files are not synced: a transcript survives the end of the process, and loses
// the last seconds when the machine ends.
package transcript
