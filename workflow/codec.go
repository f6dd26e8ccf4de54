package workflow

import (
	"encoding/json"
	"fmt"
	"time"
)

type taggedEvent struct {
	At   time.Time       `json:"at"`
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// MarshalJSON encodes the event as {"at": …, "type": …, "body": …}. It puts the
// parts together itself: encoding/json would look through the body again.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Body == nil {
		return nil, fmt.Errorf("encode event: it has no body")
	}
	at, err := e.At.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.Body.EventType(), err)
	}
	body, err := json.Marshal(e.Body)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.Body.EventType(), err)
	}
	out := make([]byte, 0, len(at)+len(body)+64)
	out = append(append(out, `{"at":`...), at...)
	return append(appendTagged(append(out, ','), e.Body.EventType(), body), '}'), nil
}

// appendTagged adds the members of something that is named by its type, which needs no escapes.
func appendTagged(to []byte, name string, body []byte) []byte {
	to = append(append(to, `"type":"`...), name...)
	return append(append(to, `","body":`...), body...)
}

// UnmarshalJSON decodes what MarshalJSON encoded. A type that this version
// does not know is an *UnknownTypeError.
func (e *Event) UnmarshalJSON(data []byte) error {
	var tagged taggedEvent
	if err := json.Unmarshal(data, &tagged); err != nil {
		return fmt.Errorf("decode event: %w", err)
	}
	decode, ok := eventDecoders()[tagged.Type]
	if !ok {
		return &UnknownTypeError{Kind: "event", Type: tagged.Type}
	}
	body, err := decode(tagged.Body)
	if err != nil {
		return fmt.Errorf("decode event %s: %w", tagged.Type, err)
	}
	*e = Event{At: tagged.At, Body: body}
	return nil
}

type taggedEffect struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// Effects is a list of effects that encodes itself as a JSON array of
// {"type": …, "body": …}.
type Effects []Effect

// MarshalJSON implements json.Marshaler. No effects encode as [].
func (es Effects) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i, e := range es {
		if e == nil {
			return nil, fmt.Errorf("encode effect %d: it is nil", i)
		}
		body, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode effect %s: %w", e.EffectType(), err)
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendTagged(append(out, '{'), e.EffectType(), body), '}')
	}
	return append(out, ']'), nil
}

// UnmarshalJSON implements json.Unmarshaler. A type that this version does not
// know is an *UnknownTypeError.
func (es *Effects) UnmarshalJSON(data []byte) error {
	var tagged []taggedEffect
	if err := json.Unmarshal(data, &tagged); err != nil {
		return fmt.Errorf("decode effects: %w", err)
	}
	out := make(Effects, 0, len(tagged))
	for _, t := range tagged {
		decode, ok := effectDecoders()[t.Type]
		if !ok {
			return &UnknownTypeError{Kind: "effect", Type: t.Type}
		}
		effect, err := decode(t.Body)
		if err != nil {
			return fmt.Errorf("decode effect %s: %w", t.Type, err)
		}
		out = append(out, effect)
	}
	*es = out
	return nil
}

// UnknownTypeError says that stored data was written by a newer version.
type UnknownTypeError struct {
	Kind string // event or effect
	Type string
}

// Error implements error.
func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("%s type %q is not known to this version; it was probably written by a newer one", e.Kind, e.Type)
}

func eventDecoders() map[string]func([]byte) (EventBody, error) {
	return map[string]func([]byte) (EventBody, error){
		TaskSubmitted{}.EventType():       decodeBody[TaskSubmitted, EventBody],
		TaskClaimed{}.EventType():         decodeBody[TaskClaimed, EventBody],
		TurnSending{}.EventType():         decodeBody[TurnSending, EventBody],
		TurnAccepted{}.EventType():        decodeBody[TurnAccepted, EventBody],
		TurnFinished{}.EventType():        decodeBody[TurnFinished, EventBody],
		TurnReconciled{}.EventType():      decodeBody[TurnReconciled, EventBody],
		TurnUsed{}.EventType():            decodeBody[TurnUsed, EventBody],
		TimerFired{}.EventType():          decodeBody[TimerFired, EventBody],
		CancelRequested{}.EventType():     decodeBody[CancelRequested, EventBody],
		ResumeRequested{}.EventType():     decodeBody[ResumeRequested, EventBody],
		PauseRequested{}.EventType():      decodeBody[PauseRequested, EventBody],
		TaskSpawned{}.EventType():         decodeBody[TaskSpawned, EventBody],
		ChildReported{}.EventType():       decodeBody[ChildReported, EventBody],
		LimitReached{}.EventType():        decodeBody[LimitReached, EventBody],
		ProgressReported{}.EventType():    decodeBody[ProgressReported, EventBody],
		QuestionAnswered{}.EventType():    decodeBody[QuestionAnswered, EventBody],
		QuestionAsked{}.EventType():       decodeBody[QuestionAsked, EventBody],
		GateAnswered{}.EventType():        decodeBody[GateAnswered, EventBody],
		WorkspaceWaits{}.EventType():      decodeBody[WorkspaceWaits, EventBody],
		WorkspacePreparing{}.EventType():  decodeBody[WorkspacePreparing, EventBody],
		WorkspaceReady{}.EventType():      decodeBody[WorkspaceReady, EventBody],
		WorkspaceFailed{}.EventType():     decodeBody[WorkspaceFailed, EventBody],
		WorkspaceRestored{}.EventType():   decodeBody[WorkspaceRestored, EventBody],
		WorkspaceSaved{}.EventType():      decodeBody[WorkspaceSaved, EventBody],
		WorkspacePublishing{}.EventType(): decodeBody[WorkspacePublishing, EventBody],
		WorkspacePublished{}.EventType():  decodeBody[WorkspacePublished, EventBody],
		PublishRequested{}.EventType():    decodeBody[PublishRequested, EventBody],
		WorkspaceFinished{}.EventType():   decodeBody[WorkspaceFinished, EventBody],
	}
}

func effectDecoders() map[string]func([]byte) (Effect, error) {
	return map[string]func([]byte) (Effect, error){
		StartTurn{}.EffectType():      decodeBody[StartTurn, Effect],
		AbortTurn{}.EffectType():      decodeBody[AbortTurn, Effect],
		Handoff{}.EffectType():        decodeBody[Handoff, Effect],
		FinishTask{}.EffectType():     decodeBody[FinishTask, Effect],
		PauseTask{}.EffectType():      decodeBody[PauseTask, Effect],
		BranchEnded{}.EffectType():    decodeBody[BranchEnded, Effect],
		AskPerson{}.EffectType():      decodeBody[AskPerson, Effect],
		AnswerQuestion{}.EffectType(): decodeBody[AnswerQuestion, Effect],
		StopTurn{}.EffectType():       decodeBody[StopTurn, Effect],
	}
}

// decodeBody decodes data as a T and returns it as the interface I, which
// every T that it is used with implements.
func decodeBody[T, I any](data []byte) (I, error) {
	var body T
	if len(data) > 0 {
		if err := json.Unmarshal(data, &body); err != nil {
			var zero I
			return zero, err
		}
	}
	return any(body).(I), nil
}
