package appclient

import (
	"encoding/json"
	"strings"
)

// dispatch takes in one frame on the reader's goroutine. Nothing here waits
// for a consumer, and the work does not grow with the number of runtimes.
func (c *Client) dispatch(frame Frame) {
	c.dispatchMu.Lock()
	defer c.dispatchMu.Unlock()
	if frame.EventSeq > 0 {
		c.seq.split = c.transport == TransportSplit
		frame.Repeated = c.seq.repeated(frame.EventSeq, frame.key)
		if frame.Gap = c.seq.next(frame.EventSeq); frame.Gap > 0 {
			c.gaps.Add(frame.Gap)
		}
	}
	c.publish(frame)
	switch {
	case frame.Type == TypeExternalToolRequest:
		c.serveTool(frame)
	case frame.Type == TypeControlRequest:
	case frame.RequestID != "":
		c.resolve(frame)
	}
	if frame.Runtime == nil || frame.Repeated {
		return
	}
	c.mu.Lock()
	rt := c.runtimes[*frame.Runtime]
	c.mu.Unlock()
	if rt != nil {
		rt.take(c, frame)
	}
}

// resolve hands an answer to the request that waits for it.
func (c *Client) resolve(frame Frame) {
	if frame.Type == TypeInputAccepted {
		c.acks.Store(true)
	} else if !strings.HasSuffix(frame.Type, "_response") {
		return
	}
	c.mu.Lock()
	pending := c.pending[frame.RequestID]
	delete(c.pending, frame.RequestID)
	c.mu.Unlock()
	if pending == nil {
		return
	}
	if pending.hook != nil {
		pending.hook(frame)
	}
	pending.answer <- frame
}

// incoming is a frame of a runtime with what the reader has already decoded of it.
type incoming struct {
	frame    Frame
	loop     *lazy[LoopStatus]
	approval *ApprovalRequest // of a control_request
	device   *lazy[DeviceStatus]

	// The rest comes from this client itself.
	ack     bool         // frame answers the turn's input
	tool    *toolOutcome // a tool call was answered
	decided *decided     // an approval request was decided, or its answer was answered
	abort   *abortAnswer // the abort was answered
	// takeOver makes a turn that was watched one of this connection's own.
	takeOver *Turn
	// lost is the turn on the connection that it is taken over from, if it is not watched alone.
	lost *RunningTurn
	// leave ends the following.
	leave bool
}

// take takes in a frame of this runtime on the reader's goroutine.
func (rt *runtimeState) take(c *Client, frame Frame) {
	in := incoming{frame: frame}
	switch frame.Type {
	case TypeLoopStatus:
		if raw := member(frame.Raw, "loop_status"); raw != nil {
			in.loop = &lazy[LoopStatus]{raw: raw, quick: quickLoopStatus}
			rt.loop.Store(in.loop)
		}
	case TypeDeviceStatus:
		if raw := member(frame.Raw, "device_status"); raw != nil {
			in.device = &lazy[DeviceStatus]{raw: raw, quick: quickDeviceStatus, finish: func(s *DeviceStatus) { s.Raw = raw }}
			rt.setDevice(in.device)
		}
	case TypeControlRequest:
		request := new(ApprovalRequest)
		if json.Unmarshal(frame.Raw, request) == nil && request.RequestID != "" {
			in.approval = request
		}
	}
	rt.forward(c, in)
}
