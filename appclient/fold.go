package appclient

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// fold puts a turn together from its frames and decides when it is over. It
// has no goroutine, clock or I/O.
type fold struct {
	result TurnResult
	// acknowledges says that the server answers inputs: nothing before the answer is ours.
	acknowledges bool
	acked        bool
	// queueItem is the server's id of our input while it waits; queuedSeen stays set.
	queueItem  string
	queuedSeen bool
	dequeued   bool
	discarded  bool
	// alive is set by the first sign that the turn runs.
	alive bool
	// active is set once the loop was not idle.
	active bool
	// aborted is set when this client aborted the turn.
	aborted bool
	// idle is set while the last loop status of the turn is idle.
	idle bool
	// interrupted is set by the server's own note of a cancellation.
	interrupted bool
	// stale holds the runs of the turn before when it may still send what it had left; nil otherwise.
	stale map[string]bool
	// consumed is the last client_message_ids_by_run_id.
	consumed map[string][]string
	// over is set by the end of the turn. While unsettled, an error text that follows the end still belongs to it.
	over      bool
	unsettled bool
	// rejected is the server's text when it called the input a protocol violation.
	rejected  string
	lastError string
	lastStop  StopReason
	terminal  *Delta
	// lastDelta is the delta of the main agent that came last, numbers the last number of each run, and
	// lastRun the run of the last one with a number.
	lastDelta []byte
	numbers   map[string]int64
	lastRun   string
	// continued says that the turn was taken over from another connection, and unproven that nothing
	// has shown yet that there was no gap.
	continued, unproven bool
	runs                []*runFold
	runIndex            map[string]*runFold
}

// answer takes in the input_accepted.
func (f *fold) answer(disposition Disposition) {
	f.acknowledges, f.acked, f.result.Disposition = true, true, disposition
}

// waiting says that the input was not taken up yet, so that what happens on the runtime belongs to another turn.
func (f *fold) waiting() bool {
	if !f.acked {
		return f.acknowledges
	}
	return f.result.Disposition == DispositionQueued && !f.dequeued
}

// take takes in one frame and returns its delta, if it has one.
func (f *fold) take(in incoming) *Delta {
	if in.frame.Type == TypeStreamDelta {
		raw := member(in.frame.Raw, "delta")
		if raw == nil {
			return nil
		}
		delta := DecodeDelta(raw)
		if in.frame.SubagentID == "" {
			if f.lastDelta = raw; f.numbered(&delta) {
				f.delta(&delta)
			}
		}
		return &delta
	}
	if in.frame.SubagentID != "" {
		return nil
	}
	switch in.frame.Type {
	case TypeQueue:
		f.queue(in.frame)
	case TypeLoopStatus:
		if status := in.loop.get(); status != nil {
			f.loop(status)
		}
	case TypeTurnFinished:
		f.finished(in.frame)
	}
	return nil
}

// queue follows our input through the server's queue.
func (f *fold) queue(frame Frame) {
	var update QueueUpdate
	if json.Unmarshal(frame.Raw, &update) != nil {
		return
	}
	f.queueItem = ""
	for _, item := range update.Queue {
		if item.ClientMessageID == f.result.ClientMessageID {
			f.queueItem, f.queuedSeen = item.ID, true
		}
	}
	for _, removed := range update.Removed {
		if removed.ClientMessageID != f.result.ClientMessageID {
			continue
		}
		if removed.Disposition == "cancelled" && !f.dequeued {
			f.discarded = true
		} else {
			f.takenUp()
		}
	}
}

func (f *fold) takenUp() { f.dequeued, f.alive = true, true }

// loop takes in a loop status, and with servers before 0.30.3 finds the end of the turn in it.
func (f *fold) loop(status *LoopStatus) {
	if status.ClientMessageIDs != nil {
		f.consumed = status.ClientMessageIDs
		if !f.dequeued && f.ours() {
			f.takenUp()
		}
	}
	if f.waiting() || f.over {
		return
	}
	if f.idle = status.Idle(); !f.idle {
		f.alive, f.active = true, true
		return
	}
	f.legacyIdle()
}

// legacyIdle ends a turn without turn_finished when the loop is idle after it was not, or after a cancellation.
func (f *fold) legacyIdle() {
	if !f.acked && f.idle && (f.active || f.interrupted) {
		f.over = true
		f.legacyEnd()
	}
}

// ours says whether any run is known to have consumed our input.
func (f *fold) ours() bool {
	for _, ids := range f.consumed {
		if slices.Contains(ids, f.result.ClientMessageID) {
			return true
		}
	}
	return false
}

// legacyEnd finds the stop reason of a turn without turn_finished.
func (f *fold) legacyEnd() {
	f.unsettled = false
	switch {
	case f.terminal != nil:
		f.result.StopReason = f.terminal.StopReason
		if f.result.StopReason == "" || f.result.StopReason == StopEndTurn {
			f.result.StopReason = StopError
		}
	case f.interrupted || f.aborted:
		// The note of the cancellation may follow, and must not be taken for the next turn's.
		f.result.StopReason, f.unsettled = StopCancelled, !f.interrupted
	case f.lastStop == StopEndTurn:
		f.result.StopReason = StopEndTurn
	case f.lastStop == "" || f.lastStop == StopRequiresApproval:
		f.result.StopReason, f.unsettled = StopError, true
	default:
		f.result.StopReason, f.unsettled = f.lastStop, true
	}
}

// finished takes in a turn_finished, unless it belongs to an older or an unsolicited turn.
func (f *fold) finished(frame Frame) {
	var end turnFinished
	if f.over || !f.acked || f.waiting() || json.Unmarshal(frame.Raw, &end) != nil {
		return
	}
	if !f.belongs(end) {
		return
	}
	f.over, f.alive = true, true
	f.result.StopReason, f.result.TurnID, f.result.RunID = end.StopReason, end.TurnID, end.RunID
	if f.result.Error = contentText(end.Error); f.result.Error == "" && !isNull(end.Error) && end.Error[0] == '{' {
		f.result.Error = string(end.Error)
	}
	f.unsettled = f.result.Error == "" && end.StopReason != StopEndTurn && end.StopReason != StopCancelled
}

// belongs checks a turn_finished against what is known about its run.
func (f *fold) belongs(end turnFinished) bool {
	if end.StopReason == StopCancelled && !f.alive && !f.aborted {
		return false // the late end of a turn that was cancelled before ours began
	}
	if end.RunID == "" || f.consumed == nil {
		return true
	}
	if ids, known := f.consumed[end.RunID]; known {
		return slices.Contains(ids, f.result.ClientMessageID)
	}
	// The run is in nobody's name. When runs in our name are known, it is not ours.
	return !f.ours()
}

// delta takes in a delta of the main agent.
func (f *fold) delta(d *Delta) {
	if f.over {
		f.trailing(d)
		return
	}
	if d.MessageType == DeltaUser && d.OTID != "" && d.OTID == f.result.ClientMessageID {
		f.takenUp()
	}
	if f.waiting() {
		if !f.acked && d.MessageType == DeltaLoopError && !d.Terminal && isProtocolError(d.Text) {
			f.rejected = d.Text
		}
		return
	}
	if f.leftover(d) {
		return
	}
	f.alive = true
	switch d.MessageType {
	case DeltaAssistant:
		f.run(d.RunID).add(d)
	case DeltaReasoning:
		f.run(d.RunID).reasoning.WriteString(d.Text)
	case DeltaStopReason:
		f.run(d.RunID).stop, f.lastStop = d.StopReason, d.StopReason
	case DeltaUsage:
		f.result.Usage.add(*d.Usage)
	case DeltaRetry, DeltaEvent:
		if d.Retry != nil {
			f.result.Retries++
		}
	case DeltaApprovalRequest, DeltaToolCall, DeltaToolStart, DeltaToolEnd, DeltaToolReturn:
		f.tool(d)
	case DeltaError:
		f.lastError = d.Text
	case DeltaLoopError:
		f.loopError(d)
	case DeltaStatus:
		if d.Text == "Interrupted" {
			f.interrupted = true
			if f.aborted { // otherwise the loop status follows
				f.legacyIdle()
			}
		}
	}
}

// leftover says whether a delta was left by the cancelled turn before, on servers that do not say when such a turn is over.
func (f *fold) leftover(d *Delta) bool {
	if f.acknowledges || f.acked {
		return false
	}
	note := d.MessageType == DeltaStatus && d.Text == "Interrupted"
	return f.stale[d.RunID] || (!f.active && !f.aborted && (note || f.stale != nil && d.RunID == ""))
}

// stillRunning returns the runs of a cancelled turn on a server that does not say when such a turn is really over.
func (f *fold) stillRunning() map[string]bool {
	if f.acknowledges || f.acked || f.result.StopReason != StopCancelled {
		return nil
	}
	runs := maps.Clone(f.stale) // turns may be cancelled one after the other
	if runs == nil {
		runs = make(map[string]bool)
	}
	for _, run := range f.runs {
		if run.id != "" {
			runs[run.id] = true
		}
	}
	return runs
}

// isProtocolError recognises the only sign of an input that is structurally invalid.
func isProtocolError(text string) bool {
	return strings.HasPrefix(text, "Protocol violation") || strings.HasPrefix(text, "Unsupported input")
}

func (f *fold) loopError(d *Delta) {
	f.lastError = d.Text
	if d.Terminal {
		f.terminal = d
	}
}

// trailing takes in what follows the end and still belongs to it: the terminal
// error, and on older servers the note of a cancellation.
func (f *fold) trailing(d *Delta) {
	switch {
	case !f.unsettled:
		return
	case d.MessageType == DeltaLoopError:
		f.loopError(d)
	case d.MessageType == DeltaStatus && d.Text == "Interrupted":
		f.interrupted = true
	default:
		return
	}
	if f.unsettled = false; !f.acked {
		f.legacyEnd()
		f.unsettled = false
	}
}

// finish completes the result.
func (f *fold) finish() TurnResult {
	r := f.result
	r.Gap = r.Gap || f.unproven
	for _, run := range f.runs {
		r.Runs = append(r.Runs, run.run())
	}
	if r.RunID == "" && len(r.Runs) > 0 {
		r.RunID = r.Runs[len(r.Runs)-1].ID
	}
	for _, run := range r.Runs {
		if run.ID == r.RunID {
			r.Text = run.Text()
		}
	}
	if r.Error == "" && r.StopReason != StopEndTurn {
		if r.Error = f.lastError; r.Error == "" && f.over && r.StopReason == StopError {
			r.Error = "the turn ended without a stop reason or an error message"
		}
	}
	return r
}

func (u *Usage) add(other Usage) {
	u.PromptTokens += other.PromptTokens
	u.CompletionTokens += other.CompletionTokens
	u.TotalTokens += other.TotalTokens
	u.CachedInputTokens += other.CachedInputTokens
	u.CacheWriteTokens += other.CacheWriteTokens
	u.ReasoningTokens += other.ReasoningTokens
	u.ContextTokens = other.ContextTokens
	u.Requests += other.Requests
}
