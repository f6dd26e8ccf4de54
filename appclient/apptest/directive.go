package apptest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Directives are instructions to the model inside a message, for agents without a script:
//
//	[[say:TEXT]] [[pre:TEXT]] [[reason:TEXT]]  text of the last, of the earlier requests; reasoning
//	[[tool:NAME:{json}]]                       a tool call; several follow one another, a request each
//	[[par:NAME:{json}]]                        tool calls of the first request, together
//	[[err:500]] [[errn:500:2:key]]             every request fails; the first two do
//	[[delay:MS]] [[slow:N:MS]] [[hang]] [[hangmid]]  silence; N chunks, MS apart; silence for ever
//	[[drop]] [[dropmid]]                       the provider's connection breaks
//	[[empty]] [[length]] [[big:N]]             nothing; cut off at the length limit; N chunks of 1 KB
type directives struct {
	list [][2]string
}

func parseDirectives(text string) directives {
	var d directives
	for _, m := range regexp.MustCompile(`\[\[([a-z]+)(?::([\s\S]*?))?\]\]`).FindAllStringSubmatch(text, -1) {
		d.list = append(d.list, [2]string{m[1], m[2]})
	}
	return d
}

func (d directives) get(name string) (string, bool) {
	for _, e := range d.list {
		if e[0] == name {
			return e[1], true
		}
	}
	return "", false
}

func (d directives) has(name string) bool {
	_, ok := d.get(name)
	return ok
}

// numbers reads "20:100" into numbers; what is no number is 0.
func numbers(s string) []int {
	var out []int
	for f := range strings.SplitSeq(s, ":") {
		n, err := strconv.Atoi(f)
		if err != nil {
			n = 0
		}
		out = append(out, n)
	}
	return append(out, 0, 0)
}

// calls are the tool calls of the directives with a name.
func (d directives) calls(name string) []call {
	var out []call
	for _, e := range d.list {
		if e[0] == name {
			tool, arguments, _ := strings.Cut(e[1], ":")
			out = append(out, call{Call: Call{Name: tool}, raw: arguments})
		}
	}
	return out
}

// planDirectives turns a message into model requests; reply is said when the message asks for nothing.
func planDirectives(text, reply string) []request {
	d := parseDirectives(text)
	lead := d.lead()
	switch {
	case d.has("hang"):
		return []request{{parts: append(lead, part{hang: true})}}
	case d.has("drop"):
		return []request{{parts: lead, failure: &Failure{Message: "terminated"}}}
	case d.has("err"):
		code, _ := d.get("err")
		return []request{{parts: lead, failure: scriptedFailure(code, "failure", 0)}}
	}
	if reason, ok := d.get("reason"); ok {
		lead = append(lead, part{kind: "reasoning_message", text: reason + " ", words: true})
	}
	pre := lead
	if text, ok := d.get("pre"); ok {
		pre = append(pre[:len(pre):len(pre)], part{kind: "assistant_message", text: text + " ", words: true})
	}
	var plan []request
	if calls := d.calls("par"); len(calls) > 0 {
		plan = append(plan, request{parts: pre, calls: calls})
	}
	for _, c := range d.calls("tool") {
		plan = append(plan, request{parts: pre, calls: []call{c}})
	}
	if d.has("empty") {
		plan = []request{{parts: lead}}
	} else {
		plan = append(plan, d.last(lead, len(plan) > 0, reply))
	}
	if s, ok := d.get("errn"); ok {
		n := numbers(s)
		plan[0].failure = scriptedFailure(strconv.Itoa(n[0]), "transient", n[1])
	}
	return plan
}

func scriptedFailure(code, word string, times int) *Failure {
	status := numbers(code)[0]
	if status == 0 {
		status = 500
	}
	return &Failure{Status: status, Message: fmt.Sprintf("scripted %s %d", word, status), Times: times}
}

func (d directives) lead() []part {
	if s, ok := d.get("delay"); ok {
		return []part{{delay: time.Duration(numbers(s)[0]) * time.Millisecond}}
	}
	return nil
}

// last is the request that ends the turn.
func (d directives) last(lead []part, afterTool bool, reply string) request {
	r := request{parts: lead[:len(lead):len(lead)]}
	say := func(text string) {
		r.parts = append(r.parts, part{kind: "assistant_message", text: text, words: true})
	}
	text, hasText := d.get("say")
	slow, hasSlow := d.get("slow")
	big, hasBig := d.get("big")
	switch {
	case d.has("hangmid"):
		say("partial output before hang ")
		r.parts = append(r.parts, part{hang: true})
	case d.has("dropmid"):
		say("partial output before drop ")
		r.parts = append(r.parts, part{cut: true})
	case hasSlow:
		n := numbers(slow)
		for i := range n[0] {
			r.parts = append(r.parts, part{kind: "assistant_message", text: fmt.Sprintf("w%d ", i), pause: time.Duration(n[1]) * time.Millisecond})
		}
	case d.has("length"):
		say("truncated out")
		r.stop = "max_tokens_exceeded"
	case hasBig:
		for range numbers(big)[0] {
			r.parts = append(r.parts, part{kind: "assistant_message", text: strings.Repeat("x", 1000) + " "})
		}
	case hasText:
		say(text + " ")
	case afterTool:
		r.parts = append(r.parts, part{echoTool: true})
	default:
		say(reply + " ")
	}
	return r
}
