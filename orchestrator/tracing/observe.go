package tracing

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Decided implements engine.Observer.
func (t *Tracer) Decided(d engine.Decision) {
	if !t.sampled(d.Next) {
		return
	}
	task := d.Next.Task
	switch d.Event.Body.(type) {
	case workflow.TaskSubmitted:
		t.emit(span{
			state: d.Next, name: "submit_task " + d.Next.Team, id: rootOf(task), kind: trace.SpanKindProducer,
			start: d.Event.At, end: d.Event.At.Add(d.Took), attributes: submission(d.Next),
		})
	case workflow.TaskClaimed:
		t.emit(span{state: d.Next, name: "queued", id: spanOf(task, "queued"), start: d.Next.Created, end: d.Event.At})
	}
	t.waited(d)
	for _, turn := range d.Prev.Turns {
		if after, live := turnOf(d.Next, turn.ID); !live || after.Attempt != turn.Attempt || d.Next.Status.Terminal() {
			t.turnEnded(d, turn)
		}
	}
	for _, effect := range d.Effects {
		if h, ok := effect.(workflow.Handoff); ok && h.From != "" && !h.Retry && !measured(d, h) {
			t.handoff(d.Next, h, span{start: d.Began, end: d.Began.Add(d.Took)})
		}
	}
	t.committed(d)
	if d.Next.Status.Terminal() && !d.Prev.Status.Terminal() {
		t.taskEnded(d)
	}
}

func submission(state *workflow.State) []attribute.KeyValue {
	list := []attribute.KeyValue{semconv.GenAIWorkflowName(state.Team), attribute.String("orchestrator.team.revision", state.Revision)}
	if state.Batch != "" {
		list = append(list, attribute.String("orchestrator.batch.id", state.Batch))
	}
	if state.Schedule != "" {
		list = append(list, attribute.String("orchestrator.schedule", state.Schedule))
	}
	if state.Origin != nil {
		list = append(list, attribute.String("orchestrator.task.origin", state.Origin.Task))
	}
	if state.Parent != nil {
		list = append(list, attribute.String("orchestrator.task.parent", state.Parent.Task))
	}
	return list
}

// taskEnded makes the span of the whole task.
func (t *Tracer) taskEnded(d engine.Decision) {
	s := span{
		state: d.Next, name: "invoke_workflow " + d.Next.Team, id: spanOf(d.Next.Task, "task"), start: d.Next.Created, end: d.Event.At,
		attributes: append(submission(d.Next), semconv.GenAIOperationNameInvokeWorkflow,
			attribute.String("orchestrator.task.state", string(d.Next.Status)),
			semconv.GenAIUsageInputTokens(int(d.Next.Usage.PromptTokens)), semconv.GenAIUsageOutputTokens(int(d.Next.Usage.CompletionTokens)),
			attribute.Float64("orchestrator.cost_usd", float64(d.Next.Cost)/1e6)),
	}
	if d.Next.Status == workflow.TaskFailed {
		s.failure = "failed"
		if d.Next.Result != nil {
			s.failure = d.Next.Result.Explanation
		}
	}
	t.emit(s)
}

// turnEnded makes the span of an attempt that a decision has ended.
func (t *Tracer) turnEnded(d engine.Decision, turn workflow.Turn) {
	if turn.Kind == workflow.KindGate || turn.State == workflow.TurnPending && turn.Started.IsZero() && !concerns(d.Event.Body, turn) {
		return // a gate is a wait, and what never began is nothing
	}
	s := span{
		state: d.Next, name: turnName(turn), id: turnSpan(d.Next.Task, turn.ID, turn.Attempt), start: turn.Started, end: d.Event.At,
		attributes: turnAttributes(turn),
	}
	if s.start.IsZero() {
		s.start = d.Event.At
	}
	if turn.Kind == workflow.KindAgent {
		s.kind = trace.SpanKindClient
	}
	switch body := d.Event.Body.(type) {
	case workflow.TurnFinished:
		if body.Turn == turn.ID {
			s.finished(body)
		}
	case workflow.TurnReconciled:
		if body.Turn == turn.ID {
			s.attributes = append(s.attributes, attribute.String("orchestrator.reconciled", string(body.Finding)))
			s.attributes = append(s.attributes, usage(body.Usage, body.Model, body.Cost)...)
			if body.Finding != workflow.FindingFinished {
				s.failure = "contact with the turn was lost: " + string(body.Finding)
			}
		}
	}
	t.emit(s)
}

// concerns reports whether an event is the end of a turn.
func concerns(body workflow.EventBody, turn workflow.Turn) bool {
	b, ok := body.(workflow.TurnFinished)
	return ok && b.Turn == turn.ID
}

func turnName(turn workflow.Turn) string {
	switch turn.Kind {
	case workflow.KindCheck:
		return "check " + turn.Node
	case workflow.KindTeam:
		return "sub_team " + turn.Node
	case workflow.KindAgent, workflow.KindGate:
	}
	return "invoke_agent " + turn.Node
}

func turnAttributes(turn workflow.Turn) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("orchestrator.node", turn.Node), attribute.Int("orchestrator.turn", turn.ID), attribute.Int("orchestrator.attempt", turn.Attempt),
	}
	if turn.Child != "" {
		list = append(list, attribute.String("orchestrator.task.child", turn.Child))
	}
	if turn.Kind != workflow.KindAgent {
		return list
	}
	list = append(list, semconv.GenAIOperationNameInvokeAgent, semconv.GenAIAgentName(turn.Node))
	if turn.Runtime.AgentID != "" {
		list = append(list, semconv.GenAIAgentID(turn.Runtime.AgentID))
	}
	if turn.Runtime.ConversationID != "" {
		list = append(list, semconv.GenAIConversationID(turn.Runtime.ConversationID))
	}
	if turn.Runtime.Server != "" {
		list = append(list, attribute.String("orchestrator.server", turn.Runtime.Server))
	}
	return list
}

// finished adds how a turn ended.
func (s *span) finished(f workflow.TurnFinished) {
	s.attributes = append(s.attributes, attribute.String("orchestrator.reason", string(f.Reason)), semconv.GenAIResponseFinishReasons(string(f.Reason)))
	if f.Outcome != "" {
		s.attributes = append(s.attributes, attribute.String("orchestrator.outcome", f.Outcome))
	}
	if f.ToolCalls > 0 {
		s.attributes = append(s.attributes, attribute.Int("orchestrator.tool_calls", f.ToolCalls))
	}
	s.attributes = append(s.attributes, usage(f.Usage, f.Model, f.Cost)...)
	switch f.Reason {
	case workflow.ReasonEndTurn, workflow.ReasonPassed, workflow.ReasonSucceeded, workflow.ReasonToolRule, workflow.ReasonCancelled:
	default:
		s.failure = strings.TrimSuffix(string(f.Reason)+": "+f.Error, ": ")
		s.attributes = append(s.attributes, semconv.ErrorTypeKey.String(string(f.Reason)))
	}
}

func usage(u workflow.Usage, model string, cost int64) []attribute.KeyValue {
	var list []attribute.KeyValue
	if model != "" {
		list = append(list, semconv.GenAIRequestModel(model))
		if provider, _, ok := strings.Cut(model, "/"); ok {
			list = append(list, semconv.GenAIProviderNameKey.String(provider))
		}
	}
	if u.TotalTokens > 0 {
		list = append(list,
			semconv.GenAIUsageInputTokens(int(u.PromptTokens)), semconv.GenAIUsageOutputTokens(int(u.CompletionTokens)),
			semconv.GenAIUsageCacheReadInputTokens(int(u.CachedInputTokens)), semconv.GenAIUsageReasoningOutputTokens(int(u.ReasoningTokens)),
			attribute.Float64("orchestrator.cost_usd", float64(cost)/1e6))
	}
	return list
}

// measured reports whether HandedOff will tell of a handoff.
func measured(d engine.Decision, h workflow.Handoff) bool {
	f, ok := d.Event.Body.(workflow.TurnFinished)
	if !ok || f.Turn != h.FromTurn {
		return false
	}
	from, _ := turnOf(d.Prev, h.FromTurn)
	to, live := turnOf(d.Next, h.ToTurn)
	ran := func(k workflow.NodeKind) bool { return k == workflow.KindAgent || k == workflow.KindCheck }
	return live && ran(from.Kind) && ran(to.Kind) && d.Next.Status != workflow.TaskPaused
}

// handoff makes the span of a handoff, which has the times of s.
func (t *Tracer) handoff(state *workflow.State, h workflow.Handoff, s span) {
	s.state, s.name, s.id = state, "handoff "+h.From+" → "+h.To, spanOf(state.Task, "handoff", h.FromTurn, h.To, h.ToTurn)
	s.attributes = []attribute.KeyValue{
		attribute.Int("orchestrator.rule", h.Rule), attribute.String("orchestrator.handoff.from", h.From), attribute.String("orchestrator.handoff.to", h.To),
	}
	if h.Reason != "" {
		s.attributes = append(s.attributes, attribute.String("orchestrator.reason", string(h.Reason)))
	}
	if len(h.Skipped) > 0 {
		var why []string
		for _, r := range h.Skipped {
			why = append(why, fmt.Sprintf("rule %d: %s", r.Rule, r.Why))
		}
		s.attributes = append(s.attributes, attribute.StringSlice("orchestrator.handoff.skipped", why))
	}
	t.emit(s)
}

// HandedOff implements engine.Observer.
func (t *Tracer) HandedOff(h engine.HandedOff) {
	if t.sampled(h.State) {
		t.handoff(h.State, h.Handoff, span{start: h.Ended, end: h.Began})
	}
}

// committed makes the span of writing a decision to the store.
func (t *Tracer) committed(d engine.Decision) {
	s := span{
		state: d.Next, name: "commit " + d.Event.Body.EventType(), id: spanOf(d.Next.Task, "commit", d.Next.Version),
		start: d.Began, end: d.Began.Add(d.Took),
		attributes: []attribute.KeyValue{attribute.String("orchestrator.event", d.Event.Body.EventType()), attribute.Int64("orchestrator.version", d.Next.Version)},
	}
	if turn, attempt, ok := turnNamed(d.Event.Body); ok {
		s.parent = turnSpan(d.Next.Task, turn, attempt)
	}
	t.emit(s)
}

// turnNamed is the attempt that an event is about.
func turnNamed(body workflow.EventBody) (turn, attempt int, ok bool) {
	switch b := body.(type) {
	case workflow.TurnSending:
		return b.Turn, b.Attempt, true
	case workflow.TurnAccepted:
		return b.Turn, b.Attempt, true
	case workflow.TurnFinished:
		return b.Turn, b.Attempt, true
	case workflow.TurnReconciled:
		return b.Turn, b.Attempt, true
	case workflow.QuestionAsked:
		return b.Turn, b.Attempt, true
	case workflow.ProgressReported:
		return b.Turn, b.Attempt, true
	}
	return 0, 0, false
}

func turnOf(state *workflow.State, id int) (workflow.Turn, bool) {
	for _, turn := range state.Turns {
		if turn.ID == id {
			return turn, true
		}
	}
	return workflow.Turn{}, false
}

// Claimed implements engine.Observer; Decided tells of it.
func (t *Tracer) Claimed(engine.Claim) {}

// Started implements engine.Observer. Its wait is in the span of the handoff.
func (t *Tracer) Started(engine.Start) {}

// Recovering implements engine.Observer; the reconciled turn tells of it.
func (t *Tracer) Recovering(engine.Recovery) {}

// Stored implements engine.Observer; Decided tells of it.
func (t *Tracer) Stored(engine.Stored) {}

// Trouble implements engine.Observer. It belongs to no task.
func (t *Tracer) Trouble(engine.StorageTrouble) {}
