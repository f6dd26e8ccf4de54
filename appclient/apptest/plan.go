package apptest

import (
	"fmt"
	"strings"
	"time"
)

// request is one model request: what the model does until it ends its message.
type request struct {
	parts   []part
	calls   []call
	stop    string // end_turn when there are no calls and nothing else is said
	failure *Failure
	usage   *Usage
}

// call is a tool call of a plan; external means that a client must have registered it.
type call struct {
	Call
	raw      string // the arguments as they are, when not empty
	external bool
}

// part is one thing that happens inside a model request.
type part struct {
	expect      *Expect
	kind        string // message_type of text
	text        string
	words       bool // text is streamed word by word
	delay       time.Duration
	pause       time.Duration // after each chunk
	hang        bool
	cut         bool // the provider's connection breaks
	drop        bool
	echoTool    bool // the last tool result, as the scripted model does when it is told nothing
	duplicate   int
	unknown     map[string]any
	unsolicited *Unsolicited
	where       string // for errors of the script
}

// planScript turns the steps of a turn into model requests.
func planScript(steps Turn, where string) []request {
	var plan []request
	current := request{}
	for i, s := range steps {
		at := fmt.Sprintf("%s, step %d", where, i+1)
		if s.Expect != nil {
			current.parts = append(current.parts, part{expect: s.Expect, where: at})
		}
		switch {
		case s.Say != "":
			current.parts = append(current.parts, part{kind: "assistant_message", text: s.Say, words: true, pause: s.ChunkDelay, where: at})
		case s.Reason != "":
			current.parts = append(current.parts, part{kind: "reasoning_message", text: s.Reason, words: true, pause: s.ChunkDelay, where: at})
		case s.Delay != 0:
			current.parts = append(current.parts, part{delay: s.Delay})
		case s.Hang:
			current.parts = append(current.parts, part{hang: true})
		case s.Drop:
			current.parts = append(current.parts, part{drop: true})
		case s.Duplicate != 0:
			current.parts = append(current.parts, part{duplicate: s.Duplicate})
		case s.UnknownFrame != nil:
			current.parts = append(current.parts, part{unknown: s.UnknownFrame})
		case s.Unsolicited != nil:
			current.parts = append(current.parts, part{unsolicited: s.Unsolicited})
		case s.Usage != nil:
			current.usage = s.Usage
		case s.StopReason != "":
			current.stop = s.StopReason
			return append(plan, current)
		case s.Error != nil:
			failure := *s.Error // counted down while the turn is played
			current.failure = &failure
			if s.Error.Times == 0 {
				return append(plan, current)
			}
		default:
			for _, c := range s.calls() {
				current.calls = append(current.calls, call{Call: c, external: s.External != nil || s.Outcome != nil})
			}
			if len(current.calls) > 0 {
				plan = append(plan, current)
				current = request{}
			}
		}
	}
	return append(plan, current)
}

// chunks cuts text after each run of spaces, so that the chunks joined are the text.
func chunks(text string, words bool) []string {
	if !words {
		return []string{text}
	}
	var out []string
	for len(text) > 0 {
		i := strings.IndexByte(text, ' ')
		for i >= 0 && i < len(text) && text[i] == ' ' {
			i++
		}
		if i < 0 {
			i = len(text)
		}
		out = append(out, text[:i])
		text = text[i:]
	}
	return out
}
