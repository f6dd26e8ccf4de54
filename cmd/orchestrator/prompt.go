package main

import (
	"slices"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// asksMsg replaces what a person is asked.
type asksMsg []ask

// typed is what a person has answered to an ask.
type typed struct {
	ask    ask
	answer answer
}

// prompt is the line in which a person answers what is asked first.
type prompt struct {
	asks []ask
	text string
	hint string // what was wrong with the last answer
	// answers gets what was answered. The prompt never waits for its reader: an
	// answer that is not taken stays on the line.
	answers chan<- typed
	// interrupt is called for Ctrl-C, which is no signal while keys are read.
	interrupt func()
	// leave is called for Ctrl-D on an empty line: the answers are left for later.
	leave func()
}

// with replaces what is asked. The text is kept while the first ask stays the same.
func (p prompt) with(asks []ask) prompt {
	if len(asks) == 0 || len(p.asks) == 0 || !asks[0].same(p.asks[0]) {
		// Somebody who is typing goes on with what they are typing about.
		if i := slices.IndexFunc(asks, func(a ask) bool { return len(p.asks) > 0 && a.same(p.asks[0]) }); i > 0 && p.text != "" {
			asks = slices.Clone(asks)
			asks[0], asks[i] = asks[i], asks[0]
		} else {
			p.text, p.hint = "", ""
		}
	}
	p.asks = asks
	return p
}

func (p prompt) key(k tea.KeyPressMsg) prompt {
	switch k.String() {
	case "ctrl+c":
		if p.interrupt != nil {
			p.interrupt()
		}
	case "ctrl+d":
		if p.text == "" && p.leave != nil {
			p.leave()
		}
	case "enter":
		return p.enter()
	case "backspace":
		if _, size := utf8.DecodeLastRuneInString(p.text); size > 0 {
			p.text = p.text[:len(p.text)-size]
		}
	case "ctrl+u", "esc":
		p.text, p.hint = "", ""
	default:
		return p.typing(k.Text)
	}
	return p
}

// typing adds text to the answer.
func (p prompt) typing(text string) prompt {
	if len(p.asks) > 0 {
		p.text += oneLineKept(text)
	}
	return p
}

// oneLineKept takes out what commands a terminal, and keeps spaces as they are.
func oneLineKept(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range printable(text) {
		if r == '\n' || r == '\t' {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}

func (p prompt) enter() prompt {
	if len(p.asks) == 0 {
		return p
	}
	a, err := p.asks[0].read(p.text)
	if err != nil {
		p.hint = err.Error()
		return p
	}
	select {
	case p.answers <- typed{p.asks[0], a}:
		p.text, p.hint, p.asks = "", "", p.asks[1:]
	default:
		p.hint = "the last answer is still being recorded"
	}
	return p
}

// lines are the question and the line to type in; none when nothing is asked.
func (p prompt) lines(style lineStyle, width int) []string {
	if len(p.asks) == 0 {
		return nil
	}
	first := p.asks[0]
	title := "  ? " + style.name(first.name()) + ": " + first.question()
	if more := len(p.asks) - 1; more > 0 {
		title = "  ? " + style.name(first.name()) + " (and " + plural(more, "more question") + " after it): " + first.question()
	}
	how := first.how()
	if p.hint != "" {
		how = p.hint
	}
	typing := "    " + style.dim(how) + " > "
	// The end of a long answer is where somebody types.
	text := p.text
	for width > 0 && utf8.RuneCountInString(how)+utf8.RuneCountInString(text)+len("    ")+len(" > ")+2 > width && text != "" {
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
	}
	return []string{narrow(title, width), narrow(typing+text+"_", width)}
}
