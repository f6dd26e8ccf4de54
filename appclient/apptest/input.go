package apptest

import (
	"encoding/json"
	"slices"
	"strconv"
)

// queuedInput waits for the running turn to end.
type queuedInput struct {
	item    queueItem
	session *session
	input   *turnInput
}

// turnInput is what a turn consumes: one input, or several that were merged.
type turnInput struct {
	ids       []string
	otid      string
	parts     []textPart
	allowlist *[]string
	scopes    []string
	notice    *Unsolicited // the server began the turn itself
}

type inputAccepted struct {
	Type        string    `json:"type"`
	RequestID   string    `json:"request_id"`
	Runtime     runtimeID `json:"runtime"`
	Accepted    bool      `json:"accepted"`
	Disposition string    `json:"disposition,omitempty"`
	Error       string    `json:"error,omitempty"`
}

// acknowledge answers an input, on servers that do.
func (s *session) acknowledge(c inputCommand, accepted bool, disposition, problem string) {
	if c.RequestID != "" && s.process.server.features.turnEnd {
		s.answer(inputAccepted{"input_accepted", c.RequestID, c.Runtime, accepted, disposition, problem})
	}
}

func (s *session) input(c inputCommand) {
	rt := s.lockRuntime(c.Runtime)
	if rt == nil {
		return
	}
	defer rt.mu.Unlock()
	switch c.Payload.Kind {
	case "create_message":
		rt.createMessage(s, c)
	case "approval_response":
		rt.approvalResponse(s, c)
	default:
		rt.violation("unknown input kind")
	}
}

// violation reports an input that is structurally wrong; it gets no acknowledgement.
func (rt *agentRuntime) violation(problem string) {
	terminal := false
	rt.emitDelta(rt.lifecycle(delta{MessageType: "loop_error", Message: "Protocol violation: " + problem, StopReason: "error", Terminal: &terminal}))
}

func (rt *agentRuntime) createMessage(s *session, c inputCommand) {
	in := &turnInput{allowlist: c.Payload.Allowlist, scopes: c.Payload.ScopeIDs}
	var content json.RawMessage
	for _, m := range c.Payload.Messages {
		if m.Role != "user" && m.Role != "" {
			continue // discarded by the local backend
		}
		if m.ClientMessageID != "" {
			in.ids = append(in.ids, m.ClientMessageID)
		}
		if in.otid == "" {
			in.otid = m.OTID
		}
		if in.otid == "" {
			in.otid = m.ClientMessageID
		}
		in.parts = append(in.parts, m.parts()...)
		content = m.Content
	}
	if in.otid == "" {
		in.otid = string(newUUID())
	}
	dedupe := rt.process.server.features.turnEnd
	if len(in.ids) > 0 && dedupe && rt.turn != nil {
		if disposition, ok := rt.seen[in.ids[0]]; ok {
			s.acknowledge(c, true, disposition, "")
			return
		}
	}
	if rt.turn == nil && !rt.leftover {
		rt.remember(in.ids, "started")
		s.acknowledge(c, true, "started", "")
		rt.startTurn(s, in, "batch-direct-"+string(newUUID()))
		return
	}
	rt.remember(in.ids, "queued")
	rt.queued++
	q := &queuedInput{session: s, input: in, item: queueItem{
		ID: "q-" + strconv.Itoa(rt.queued), Kind: "message", Source: "user", Content: content, EnqueuedAt: rt.date(),
	}}
	if len(in.ids) > 0 {
		q.item.ClientMessageID = in.ids[0]
	}
	s.acknowledge(c, true, "queued", "")
	rt.queue = append(rt.queue, q)
	rt.emitQueue(rt.subscribers)
	if rt.turn == nil {
		rt.startQueued()
	}
}

func (rt *agentRuntime) remember(ids []string, disposition string) {
	for _, id := range ids {
		rt.seen[id] = disposition
	}
}

// takeQueue empties the queue into one input, as the server does: it merges the inputs of one client.
func (rt *agentRuntime) takeQueue() (*turnInput, *session, []queueRemoval) {
	first := rt.queue[0]
	merged := &turnInput{otid: first.input.otid, allowlist: first.input.allowlist, scopes: first.input.scopes, notice: first.input.notice}
	var removed []queueRemoval
	rt.queue = slices.DeleteFunc(rt.queue, func(q *queuedInput) bool {
		if q.session != first.session {
			return false
		}
		if len(merged.parts) > 0 {
			merged.parts = append(merged.parts, textPart{Type: "text", Text: "\n"})
		}
		merged.ids = append(merged.ids, q.input.ids...)
		merged.parts = append(merged.parts, q.input.parts...)
		removed = append(removed, queueRemoval{q.item.ClientMessageID, "dequeued"})
		return true
	})
	return merged, first.session, removed
}

// echo shows a queued input that is now consumed.
func (rt *agentRuntime) echo(in *turnInput) {
	rt.emitDelta(delta{Type: "message", ID: "user-msg-" + string(newUUID()), MessageType: "user_message", Content: in.parts, OTID: in.otid})
}

// startQueued begins a turn with what is queued.
func (rt *agentRuntime) startQueued() {
	in, owner, removed := rt.takeQueue()
	rt.batches++
	rt.echo(in)
	rt.emitQueue(rt.subscribers)
	rt.setStatus(statusIdle)
	rt.startTurn(owner, in, "batch-"+strconv.Itoa(rt.batches))
	rt.emitQueue(rt.subscribers, removed...)
}

// notify queues a turn that nobody asked for.
func (rt *agentRuntime) notify(u *Unsolicited) {
	rt.queued++
	id := "q-" + strconv.Itoa(rt.queued)
	text := "<task-notification>\n" + u.Notification + "\n</task-notification>"
	in := &turnInput{otid: "cm-" + id, parts: []textPart{{Type: "text", Text: text}}, notice: u}
	rt.queue = append(rt.queue, &queuedInput{input: in, item: queueItem{
		ID: id, ClientMessageID: "cm-" + id, Kind: "task_notification", Source: "task_notification", Content: mustJSON(text), EnqueuedAt: rt.date(),
	}})
	rt.emitQueue(rt.subscribers)
}

type removeQueueItem struct {
	scoped
	ItemID string `json:"item_id"`
}

type removeQueueItemResponse struct {
	scopedResponse
	ItemID string `json:"item_id"`
}

func (s *session) removeQueueItem(c removeQueueItem) {
	rt := s.lockRuntime(c.Runtime)
	if rt == nil {
		return
	}
	defer rt.mu.Unlock()
	i := slices.IndexFunc(rt.queue, func(q *queuedInput) bool { return q.item.ID == c.ItemID })
	s.answer(removeQueueItemResponse{scopedResponse{"remove_queue_item_response", c.RequestID, &c.Runtime, i >= 0}, c.ItemID})
	if i < 0 {
		return
	}
	id := rt.queue[i].item.ClientMessageID
	rt.queue = slices.Delete(rt.queue, i, i+1)
	rt.emitQueue(rt.subscribers)
	rt.emitQueue(rt.subscribers, queueRemoval{id, "cancelled"})
}
