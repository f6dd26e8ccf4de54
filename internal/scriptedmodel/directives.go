package scriptedmodel

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

var directivePattern = regexp.MustCompile(`(?s)\[\[([a-z]+)(?::(.*?))?\]\]`)

// Directives answers by what the last user message with a directive says:
//
//	[[say:T]] [[pre:T]] [[reason:T]] [[tool:NAME:{json}]] (one per step) [[par:NAME:{json}]] (all in one step)
//	[[err:500]] [[errn:500:2:key]] [[delay:ms]] [[slow:n:ms]] [[hang]] [[hangmid]] [[drop]] [[dropmid]]
//	[[empty]] [[length]] [[big:n]]
type Directives struct {
	mu     sync.Mutex
	failed map[string]int
}

// NewDirectives returns a Directives that has failed nothing yet.
func NewDirectives() *Directives { return &Directives{failed: map[string]int{}} }

type directive struct{ name, arg string }

// Respond implements Responder.
func (d *Directives) Respond(req Request) Reply {
	text, steps, results := lastDirectives(req)
	var all []directive
	for _, m := range directivePattern.FindAllStringSubmatch(text, -1) {
		all = append(all, directive{m[1], m[2]})
	}
	get := func(name string) (string, bool) {
		for _, x := range all {
			if x.name == name {
				return x.arg, true
			}
		}
		return "", false
	}
	reply := Reply{Delay: milliseconds(first(get("delay")))}
	if fault, ok := d.fault(get, text); ok {
		fault.Delay = reply.Delay
		return fault
	}
	reply.Reasoning = first(get("reason"))
	if _, empty := get("empty"); empty {
		return reply
	}
	if calls := stepCalls(all, steps); len(calls) > 0 {
		reply.Text, reply.ToolCalls = first(get("pre")), calls
		return reply
	}
	return answer(reply, get, req.Number, results)
}

// fault is an answer that is no answer.
func (d *Directives) fault(get func(string) (string, bool), text string) (Reply, bool) {
	if _, ok := get("hang"); ok {
		return Reply{Hang: true}, true
	}
	if _, ok := get("drop"); ok {
		return Reply{Drop: true}, true
	}
	if code, ok := get("err"); ok {
		return failure(code), true
	}
	if arg, ok := get("errn"); ok {
		parts := append(strings.SplitN(arg, ":", 3), "", "")
		key := parts[2]
		if key == "" {
			key = text
		}
		times, _ := strconv.Atoi(parts[1])
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.failed[key] < times {
			d.failed[key]++
			return failure(parts[0]), true
		}
	}
	return Reply{}, false
}

func failure(code string) Reply {
	status, err := strconv.Atoi(code)
	if err != nil {
		status = http.StatusInternalServerError
	}
	return Reply{Status: status, Text: "scripted failure " + strconv.Itoa(status)}
}

// stepCalls returns the tool calls of this step: first all [[par:…]] together, then each [[tool:…]] alone.
func stepCalls(all []directive, step int) []ToolCall {
	var parallel, sequence []ToolCall
	for _, x := range all {
		name, args, _ := strings.Cut(x.arg, ":")
		switch x.name {
		case "par":
			parallel = append(parallel, ToolCall{name, args})
		case "tool":
			sequence = append(sequence, ToolCall{name, args})
		}
	}
	if len(parallel) > 0 {
		if step == 0 {
			return parallel
		}
		step--
	}
	if step < len(sequence) {
		return sequence[step : step+1]
	}
	return nil
}

func answer(reply Reply, get func(string) (string, bool), number int, results []string) Reply {
	if _, ok := get("hangmid"); ok {
		reply.Text, reply.HangMid = "partial output before hang", true
		return reply
	}
	if _, ok := get("dropmid"); ok {
		reply.Text, reply.DropMid = "partial output before drop", true
		return reply
	}
	if arg, ok := get("slow"); ok {
		count, delay, _ := strings.Cut(arg, ":")
		n, _ := strconv.Atoi(count)
		var words []string
		for i := range n {
			words = append(words, "w"+strconv.Itoa(i))
		}
		reply.Text, reply.ChunkDelay = strings.Join(words, " "), milliseconds(delay)
		return reply
	}
	if _, ok := get("length"); ok {
		reply.Text, reply.FinishReason = "truncated out", "length"
		return reply
	}
	if arg, ok := get("big"); ok {
		n, _ := strconv.Atoi(arg)
		reply.Text = strings.TrimSuffix(strings.Repeat(strings.Repeat("x", 1000)+" ", n), " ")
		return reply
	}
	if say, ok := get("say"); ok {
		reply.Text = say
	} else if len(results) > 0 {
		reply.Text = "tool said: " + truncate(results[len(results)-1], 200)
	} else {
		reply.Text = "reply " + strconv.Itoa(number)
	}
	return reply
}

// lastDirectives finds the last user message that holds a directive.
func lastDirectives(req Request) (text string, steps int, results []string) {
	for i := len(req.Messages) - 1; i >= 0; i-- {
		if m := req.Messages[i]; m.Role == "user" && strings.Contains(m.Text, "[[") {
			return m.Text, countSteps(req.Messages[i+1:]), toolResults(req.Messages[i+1:])
		}
	}
	return "", 0, toolResults(req.Messages)
}

func first(s string, _ bool) string { return s }

func milliseconds(s string) time.Duration {
	n, _ := strconv.Atoi(s) // a directive that is not a number means no delay
	return time.Duration(n) * time.Millisecond
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}
