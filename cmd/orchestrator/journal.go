package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// journalLine is one line of a journal as `events --json`, `run --json` and
// `show --json` print it; what they print beside it is left out.
type journalLine struct {
	Seq     int64            `json:"seq"`
	At      time.Time        `json:"at"`
	Type    string           `json:"type"`
	Event   json.RawMessage  `json:"event"`
	Body    json.RawMessage  `json:"body"`
	Effects workflow.Effects `json:"effects"`
	// Events are all of them at once.
	Events []journalLine `json:"events"`
	// Note is a line for people.
	Note string `json:"note"`
	Task string `json:"task"`
}

// readJournal reads the journal of one task, one JSON object per line.
func readJournal(name string, r io.Reader) ([]workflow.Recorded, error) {
	decoder := json.NewDecoder(r)
	var out []workflow.Recorded
	task := ""
	for n := 1; ; n++ {
		var line journalLine
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no journal: object %d: %w", name, n, err)
		}
		lines := line.Events
		if lines == nil && line.Event == nil && line.Body == nil {
			continue // a note, or the summary at the end
		}
		if lines == nil {
			lines = []journalLine{line}
		}
		for _, l := range lines {
			if task == "" {
				task = l.Task
			}
			if l.Task != task {
				return nil, fmt.Errorf("%s has the journals of two tasks, %s and %s", name, task, l.Task)
			}
			recorded, err := l.recorded()
			if err != nil {
				return nil, fmt.Errorf("%s is no journal: object %d: %w", name, n, err)
			}
			out = append(out, recorded)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no events\n  what to do: save a journal with  orchestrator events TASK --json", name)
	}
	return out, nil
}

// recorded decodes a line, in whichever of its forms it is.
func (l journalLine) recorded() (workflow.Recorded, error) {
	out := workflow.Recorded{Seq: l.Seq, Effects: l.Effects}
	text := l.Event
	if l.Body != nil {
		text = l.Body
	}
	var nested struct {
		Type string          `json:"type"`
		Body json.RawMessage `json:"body"`
	}
	if json.Unmarshal(text, &nested) != nil || nested.Body == nil || l.Type != "" {
		event, err := json.Marshal(map[string]any{"at": l.At, "type": l.Type, "body": text})
		if err != nil {
			return out, err
		}
		text = event
	}
	if err := json.Unmarshal(bytes.TrimSpace(text), &out.Event); err != nil {
		return out, err
	}
	return out, nil
}
