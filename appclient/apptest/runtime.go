package apptest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// The values of loop_status.status.
const (
	statusSending    = "SENDING_API_REQUEST"
	statusWaiting    = "WAITING_FOR_API_RESPONSE"
	statusProcessing = "PROCESSING_API_RESPONSE"
	statusTool       = "EXECUTING_CLIENT_SIDE_TOOL"
	statusApproval   = "WAITING_ON_APPROVAL"
	statusIdle       = "WAITING_ON_INPUT"
)

// rememberedRuns is how many runs client_message_ids_by_run_id names.
const rememberedRuns = 32

// agentRuntime is an agent in a conversation: what the protocol calls a runtime.
type agentRuntime struct {
	process *process
	id      runtimeID
	scope   []byte // id as JSON

	mu          sync.Mutex
	status      string
	activeRuns  []string
	executing   []string
	runInputs   []runInputs
	subscribers []*session
	tools       []registration
	mode        string
	cwd         string
	toolsLoaded bool
	turn        *turn // nil while idle
	cancelling  bool  // the turn was aborted and has not ended yet
	leftover    bool  // the last turn was interrupted: the next input is acknowledged as queued
	openCalls   []string
	queue       []*queuedInput
	queued      int
	batches     int
	seen        map[string]string // disposition by client_message_id, kept while busy
	pending     *approval
}

type runInputs struct {
	run string
	ids []string
}

func newAgentRuntime(p *process, id runtimeID) *agentRuntime {
	rt := &agentRuntime{process: p, id: id, scope: mustJSON(id), status: statusIdle, seen: map[string]string{}}
	rt.applySettings(nil, nil)
	return rt
}

// applySettings stores mode and working directory where given. A directory that does not exist is replaced
// by the server's own without a word, as the real server does.
func (rt *agentRuntime) applySettings(mode, cwd *string) {
	m, dir := rt.process.server.store.settings(rt.id, mode, cwd)
	if info, err := os.Stat(dir); !filepath.IsAbs(dir) || err != nil || !info.IsDir() {
		dir = rt.process.server.opts.BootDir
	}
	rt.mode, rt.cwd = m, dir
}

// subscribe adds a client to those who get the runtime's events.
func (rt *agentRuntime) subscribe(s *session) {
	if !slices.Contains(rt.subscribers, s) {
		rt.subscribers = append(rt.subscribers, s)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scopes != nil {
		s.scopes[rt] = struct{}{}
	}
}

// emit sends an event to the given clients; rt.mu is held, so that all see the same order.
func (rt *agentRuntime) emit(to []*session, kind string, v any) {
	body := mustJSON(v)
	body = body[:len(body)-1]
	now := rt.process.server.opts.Now()
	for _, s := range to {
		s.event(kind, body, rt.scope, now)
	}
}

// setStatus changes the loop status and tells everybody.
func (rt *agentRuntime) setStatus(status string) {
	rt.status = status
	rt.emitLoop(rt.subscribers)
}

type loopEvent struct {
	Type       string     `json:"type"`
	LoopStatus loopStatus `json:"loop_status"`
}

type loopStatus struct {
	Status    string          `json:"status"`
	Active    []string        `json:"active_run_ids"`
	RunInputs json.RawMessage `json:"client_message_ids_by_run_id,omitempty"`
	Executing []string        `json:"executing_tool_call_ids"`
}

func (rt *agentRuntime) emitLoop(to []*session) {
	st := loopStatus{Status: rt.status, Active: rt.activeRuns, Executing: rt.executing}
	if st.Active == nil {
		st.Active = []string{}
	}
	if st.Executing == nil {
		st.Executing = []string{}
	}
	if len(rt.runInputs) > 0 && rt.process.server.features.runInputs {
		st.RunInputs = rt.runInputsJSON()
	}
	rt.emit(to, "update_loop_status", loopEvent{"update_loop_status", st})
}

// runInputsJSON keeps the order of the runs, which a Go map would not.
func (rt *agentRuntime) runInputsJSON() json.RawMessage {
	out := []byte{'{'}
	for i, r := range rt.runInputs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, mustJSON(r.run)...)
		out = append(out, ':')
		out = append(out, mustJSON(r.ids)...)
	}
	return append(out, '}')
}

func (rt *agentRuntime) addRunInputs(run string, ids []string) {
	if len(ids) == 0 {
		return
	}
	rt.runInputs = append(rt.runInputs, runInputs{run, ids})
	if n := len(rt.runInputs) - rememberedRuns; n > 0 {
		rt.runInputs = slices.Delete(rt.runInputs, 0, n)
	}
}

type deviceEvent struct {
	Type         string       `json:"type"`
	DeviceStatus deviceStatus `json:"device_status"`
}

type deviceStatus struct {
	ConnectionID   string             `json:"current_connection_id"`
	ConnectionName string             `json:"connection_name"`
	Online         bool               `json:"is_online"`
	Processing     bool               `json:"is_processing"`
	Mode           string             `json:"current_permission_mode"`
	CWD            string             `json:"current_working_directory"`
	GitContext     *string            `json:"git_context"`
	Version        *string            `json:"letta_code_version"`
	Toolset        *string            `json:"current_toolset"`
	Preference     string             `json:"current_toolset_preference"`
	LoadedTools    []string           `json:"current_loaded_tools"`
	Skills         []string           `json:"current_available_skills"`
	Background     []string           `json:"background_processes"`
	Pending        []controlRequest   `json:"pending_control_requests"`
	Experiments    []string           `json:"experiments"`
	CWDRevision    int                `json:"cwd_revision"`
	ShouldDoctor   bool               `json:"should_doctor"`
	Commands       []string           `json:"supported_commands"`
	Reflection     reflectionSettings `json:"reflection_settings"`
}

type reflectionSettings struct {
	AgentID   string `json:"agent_id"`
	Trigger   string `json:"trigger"`
	StepCount int    `json:"step_count"`
}

func (rt *agentRuntime) emitDevice(to []*session) {
	none := []string{}
	st := deviceStatus{
		ConnectionID: "app-server", ConnectionName: "apptest", Online: true,
		Processing: rt.turn != nil && !rt.cancelling, Mode: rt.mode, CWD: rt.cwd, Preference: "auto",
		LoadedTools: none, Skills: none, Background: none, Pending: []controlRequest{}, Experiments: none, CWDRevision: 1, Commands: none,
		Reflection: reflectionSettings{AgentID: rt.id.AgentID, Trigger: "step-count", StepCount: 25},
	}
	if rt.toolsLoaded {
		toolset := "default"
		st.Toolset, st.LoadedTools = &toolset, builtinTools()
	}
	if rt.pending != nil {
		st.Pending = []controlRequest{rt.pending.request}
	}
	rt.emit(to, "update_device_status", deviceEvent{"update_device_status", st})
}

type queueEvent struct {
	Type    string         `json:"type"`
	Queue   []queueItem    `json:"queue"`
	Removed []queueRemoval `json:"removed,omitempty"`
}

type queueEventRemoved struct {
	Type    string         `json:"type"`
	Queue   []queueItem    `json:"queue"`
	Removed []queueRemoval `json:"removed"`
}

func (rt *agentRuntime) emitQueue(to []*session, removed ...queueRemoval) {
	items := []queueItem{}
	for _, q := range rt.queue {
		items = append(items, q.item)
	}
	if !rt.process.server.features.queueRemoved {
		rt.emit(to, "update_queue", queueEvent{"update_queue", items, nil})
		return
	}
	if removed == nil {
		removed = []queueRemoval{}
	}
	rt.emit(to, "update_queue", queueEventRemoved{"update_queue", items, removed})
}

type subagentEvent struct {
	Type      string   `json:"type"`
	Subagents []string `json:"subagents"`
}

type deltaEvent struct {
	Type  string `json:"type"`
	Delta delta  `json:"delta"`
}

func (rt *agentRuntime) emitDelta(d delta) {
	rt.emit(rt.subscribers, "stream_delta", deltaEvent{"stream_delta", d})
}

// lifecycle completes a delta that does not come from the model.
func (rt *agentRuntime) lifecycle(d delta) delta {
	d.ID, d.Date = "lifecycle-"+string(newUUID()), rt.date()
	return d
}

func (rt *agentRuntime) date() string {
	return rt.process.server.opts.Now().UTC().Format(wireTime)
}

type controlEvent struct {
	Type string `json:"type"`
	controlRequest
	AgentID        string `json:"agent_id"`
	ConversationID string `json:"conversation_id"`
}

func (rt *agentRuntime) emitControl(to []*session) {
	if rt.pending != nil && rt.process.server.features.controlRequests {
		rt.emit(to, "control_request", controlEvent{"control_request", rt.pending.request, rt.id.AgentID, rt.id.ConversationID})
	}
}

// replay sends the state of the runtime to one client, as runtime_start and sync do.
func (rt *agentRuntime) replay(s *session, device bool) {
	to := []*session{s}
	if device {
		rt.emitDevice(to)
	}
	rt.emitLoop(to)
	rt.emitQueue(to)
	rt.emit(to, "update_subagent_state", subagentEvent{"update_subagent_state", []string{}})
	rt.emitControl(to)
}

// unsubscribe forgets a client that is gone: its tools, its open calls and its queued inputs. A turn that
// nobody follows any more is cancelled.
func (rt *agentRuntime) unsubscribe(s *session) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.subscribers = slices.DeleteFunc(slices.Clone(rt.subscribers), func(x *session) bool { return x == s })
	rt.tools = slices.DeleteFunc(rt.tools, func(r registration) bool { return r.session == s })
	var removed []queueRemoval
	rt.queue = slices.DeleteFunc(rt.queue, func(q *queuedInput) bool {
		if q.session == s {
			removed = append(removed, queueRemoval{q.item.ClientMessageID, "cancelled"})
		}
		return q.session == s
	})
	if len(removed) > 0 {
		rt.emitQueue(rt.subscribers, removed...)
	}
	if len(rt.subscribers) == 0 && rt.turn != nil {
		rt.cancelTurn(true)
	}
	s.failCalls(rt, "Listener connection closed")
}

// wait sleeps without holding anything; it ends early when the process does.
func (p *process) wait(d time.Duration) error {
	if d <= 0 {
		return p.ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}
