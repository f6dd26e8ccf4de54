package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

// handoffs turns the frames on the sockets of an App Server into the times of
// handoffs: from the last frame of a turn, which the server wrote, to the first
// frame of the next turn of the same task, which it read. It sees only what
// every client has to send, so that any client can be measured.
type handoffs struct {
	mu sync.Mutex
	// task is that of a conversation.
	task map[string]string
	// owner is the connection that sent the input of the turn of a conversation.
	owner map[string]int
	// ended is when the last turn of a task ended, until its next one begins.
	ended map[string]*interval

	first, last time.Time
	turns       int
	// toFrame and toInput end with the first frame at all, and with the input.
	toFrame, toInput []time.Duration
}

type interval struct {
	end   time.Time
	begun bool // the first frame of the next turn was seen
}

func newHandoffs() *handoffs {
	return &handoffs{task: map[string]string{}, owner: map[string]int{}, ended: map[string]*interval{}}
}

// wireFrame is what is looked at of a frame.
type wireFrame struct {
	Type    string `json:"type"`
	Runtime struct {
		ConversationID string `json:"conversation_id"`
	} `json:"runtime"`
	ConversationID string `json:"conversation_id"`
	Create         *struct {
		Body struct {
			Summary string `json:"summary"`
		} `json:"body"`
	} `json:"create_conversation"`
	Payload struct {
		Messages []struct {
			ClientMessageID string `json:"client_message_id"`
		} `json:"messages"`
	} `json:"payload"`
}

// wire takes in a frame of a connection.
func (h *handoffs) wire(connection int, fromClient bool, data []byte, at time.Time) {
	if !fromClient {
		if bytes.HasPrefix(data, []byte(`{"type":"turn_finished"`)) {
			h.finished(connection, data, at)
		}
		return
	}
	var f wireFrame
	if json.Unmarshal(data, &f) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first.IsZero() {
		h.first = at
	}
	switch f.Type {
	case "runtime_start":
		task := h.task[f.ConversationID]
		if f.Create != nil { // a summary ends with the task
			words := strings.Fields(f.Create.Body.Summary)
			if len(words) > 0 {
				task = words[len(words)-1]
			}
		}
		if i := h.ended[task]; i != nil && !i.begun {
			i.begun = true
			h.toFrame = append(h.toFrame, at.Sub(i.end))
		}
	case "input":
		if len(f.Payload.Messages) == 0 {
			return
		}
		task, _, _ := strings.Cut(f.Payload.Messages[0].ClientMessageID, ".")
		h.task[f.Runtime.ConversationID] = task
		h.owner[f.Runtime.ConversationID] = connection
		if i := h.ended[task]; i != nil {
			if !i.begun {
				h.toFrame = append(h.toFrame, at.Sub(i.end))
			}
			h.toInput = append(h.toInput, at.Sub(i.end))
			delete(h.ended, task)
		}
	}
}

func (h *handoffs) finished(connection int, data []byte, at time.Time) {
	var f wireFrame
	if json.Unmarshal(data, &f) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	conversation := f.Runtime.ConversationID
	if h.owner[conversation] != connection {
		return // who only watches
	}
	h.ended[h.task[conversation]] = &interval{end: at}
	h.last = at
	h.turns++
}

// serverLog is what the scripted App Server tells of what it has seen.
type serverLog struct {
	// Asked is how many turns have begun, Turns how many of them have ended.
	Asked, Turns int
	// Wall is from the first frame of a client to the last end of a turn.
	Wall time.Duration
	// ToFrame and ToInput are the handoffs, sorted.
	ToFrame, ToInput []time.Duration
}

// log tells what was seen; counts leaves the times out.
func (h *handoffs) log(counts bool) serverLog {
	h.mu.Lock()
	defer h.mu.Unlock()
	if counts {
		return serverLog{Turns: h.turns}
	}
	return serverLog{
		Turns: h.turns, Wall: h.last.Sub(h.first),
		ToFrame: slices.Sorted(slices.Values(h.toFrame)), ToInput: slices.Sorted(slices.Values(h.toInput)),
	}
}

// percentile is of sorted times; 0 of none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))]
}
