package transcript

import (
	"encoding/json"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Type says what a Record is.
type Type string

// The types of records.
const (
	// Begin is the first record of an attempt, and of every time that it is taken up again.
	Begin Type = "begin"
	// Prompt is the message that was sent, or the command of a check.
	Prompt Type = "prompt"
	// Text and Thinking are what the model said. Pieces counts the frames that it came in.
	Text     Type = "text"
	Thinking Type = "thinking"
	// ToolCall and ToolReturn are a call, with its arguments in Input, and what came back.
	ToolCall   Type = "tool_call"
	ToolReturn Type = "tool_return"
	// Approval is a decision on a call.
	Approval Type = "approval"
	// Question is what a person was asked, and Answer what they answered.
	Question Type = "question"
	Answer   Type = "answer"
	// Retry says that the App Server asks the model again.
	Retry Type = "retry"
	// Usage is the sum of what the attempt has used so far.
	Usage Type = "usage"
	// Stop is the stop reason of one request to the model.
	Stop Type = "stop"
	// Status is what else the App Server said.
	Status Type = "status"
	// Contact is what became of the contact with the turn.
	Contact Type = "contact"
	// Output is what a check printed.
	Output Type = "output"
	// Cut says what is missing here, and why.
	Cut Type = "cut"
	// Found is what was found out about an attempt with which contact was lost.
	Found Type = "found"
	// End is the last record of an attempt, and its reason.
	End Type = "end"
)

// Record is one line of a transcript. Which fields are set depends on Type.
type Record struct {
	// At is when it was seen; of text in pieces, the first.
	At   time.Time `json:"at"`
	Type Type      `json:"type"`
	// Turn and Attempt say whose record it is. Files of earlier versions do not have
	// them; what is told always has.
	Turn    int `json:"turn,omitempty"`
	Attempt int `json:"attempt,omitempty"`

	// Node, Kind, Server, Model, Agent and Conversation are of Begin.
	Node         string            `json:"node,omitempty"`
	Kind         workflow.NodeKind `json:"kind,omitempty"`
	Server       string            `json:"server,omitempty"`
	Model        string            `json:"model,omitempty"`
	Agent        string            `json:"agent_id,omitempty"`
	Conversation string            `json:"conversation_id,omitempty"`

	// Subagent is set on what a sub-agent of the App Server did.
	Subagent string `json:"subagent,omitempty"`
	Text     string `json:"text,omitempty"`
	Pieces   int    `json:"pieces,omitempty"`

	// Call, Tool and Input are of a tool call; Input is its JSON as text. Argument is
	// the one argument that says most.
	Call     string `json:"call,omitempty"`
	Tool     string `json:"tool,omitempty"`
	Argument string `json:"argument,omitempty"`
	Input    string `json:"input,omitempty"`
	// Status is that of a ToolReturn or a Found.
	Status string `json:"status,omitempty"`

	Usage workflow.Usage `json:"usage,omitzero"`
	// Reason, Outcome, Error, Cost, Unpriced and OutputFile are of the End, as in workflow.TurnFinished.
	Reason     workflow.Reason `json:"reason,omitempty"`
	Outcome    string          `json:"outcome,omitempty"`
	Error      string          `json:"error,omitempty"`
	Cost       int64           `json:"cost,omitempty"`
	Unpriced   bool            `json:"unpriced,omitempty"`
	OutputFile string          `json:"output_file,omitempty"`
	ExitCode   int             `json:"exit_code,omitempty"`

	// Records and Bytes are how much a Cut left out; Bytes also how much of Text or
	// Input was left out at its end.
	Records int64 `json:"records,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"`
}

// streams says whether records of a type come in pieces that belong together.
func streams(t Type) bool { return t == Text || t == Thinking || t == Output }

// shorten bounds the texts of a record.
func (r *Record) shorten(most int) {
	for _, text := range []*string{&r.Text, &r.Input, &r.Error} {
		if len(*text) > most {
			cut := most
			for cut > 0 && !validStart((*text)[cut]) {
				cut--
			}
			r.Bytes += int64(len(*text) - cut)
			*text = (*text)[:cut]
		}
	}
}

// validStart says whether a byte begins a character of UTF-8.
func validStart(b byte) bool { return b&0xc0 != 0x80 }

// append adds the record to lines.
func (r Record) append(lines []byte) []byte {
	line, err := json.Marshal(r)
	if err != nil { // a time out of range at most: nothing else can fail
		return lines
	}
	return append(append(lines, line...), '\n')
}
