package transcript

import "github.com/seed-e05a5b32/orchestrator/orchestrator/engine"

// Begin implements engine.Transcripts.
func (f *Files) Begin(start engine.TranscriptStart) engine.Transcript {
	t := f.hold(key{start.Task, attempt{start.Turn, start.Attempt}})
	t.add(Record{
		Type: Begin, Node: start.Node, Kind: start.Kind, Server: start.Runtime.Server, Model: start.Model,
		Agent: start.Runtime.AgentID, Conversation: start.Runtime.ConversationID,
	})
	if start.Prompt != "" {
		t.add(Record{Type: Prompt, Text: start.Prompt})
	}
	return t
}

// hold returns what collects the records of an attempt; release must be called.
func (f *Files) hold(k key) *turn {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.turns[k]
	if t == nil {
		to := f.tasks[k.task]
		if to == nil {
			to = &taskFile{name: fileOf(f.o.Dir, k.task)}
		}
		t = &turn{files: f, key: k, file: to}
		if !f.closed {
			f.turns[k], f.tasks[k.task] = t, to
			to.open++
		}
	}
	t.users++
	return t
}

func (f *Files) release(t *turn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.users--
	f.forget(t)
}

// forget drops a turn that nobody adds to and of which all is written, and some
// time after the last one of a task what is known of its file. f.mu is held.
func (f *Files) forget(t *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users > 0 || t.queued || f.turns[t.key] != t {
		return
	}
	delete(f.turns, t.key)
	if t.file.open--; t.file.open > 0 {
		return
	}
	if f.idle = append(f.idle, t.key.task); len(f.idle) > maxIdle {
		if oldest := f.tasks[f.idle[0]]; oldest != nil && oldest.open == 0 {
			delete(f.tasks, f.idle[0])
		}
		f.idle = f.idle[1:]
	}
}

// isOpen says whether an attempt of a task is still being written. f may be nil.
func (f *Files) isOpen(task string) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	to := f.tasks[task]
	return to != nil && to.open > 0
}
