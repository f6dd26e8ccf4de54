package runner

import (
	"path"
	"slices"
	"strings"
)

// simpleCommands splits a command line into its simple commands, each with its
// words separated by single spaces and quotes taken off. ok is false for
// everything that is not certainly understood: substitutions, subshells,
// groups, redirections other than to /dev/null or between descriptors, quotes
// that do not end. Callers must take that for "not allowed".
func simpleCommands(line string) (commands []string, ok bool) {
	s := shellScanner{rest: line}
	if !s.scan() {
		return nil, false
	}
	return s.commands, true
}

type shellScanner struct {
	rest     string
	commands []string
	words    []string
	word     strings.Builder
	inWord   bool
	literal  bool // the word had quotes or escapes
}

// scan reads the line to its end, and returns false when it does not understand it.
func (s *shellScanner) scan() bool {
	for s.rest != "" {
		c := s.rest[0]
		switch {
		case strings.HasPrefix(s.rest, "\\\n"):
			s.rest = s.rest[2:]
		case c == '\\':
			if len(s.rest) < 2 {
				return false
			}
			s.put(s.rest[1:2], true)
			s.rest = s.rest[2:]
		case c == '\'' || c == '"':
			if !s.quoted(c) {
				return false
			}
		case c == ' ' || c == '\t':
			s.endWord()
			s.rest = s.rest[1:]
		case c == '>' || c == '<' || strings.HasPrefix(s.rest, "&>"):
			if !s.redirection() {
				return false
			}
		case c == '\n' || c == ';' || c == '&' || c == '|':
			s.endCommand()
			s.rest = s.rest[1:]
		case c == '#' && !s.inWord:
			_, after, found := strings.Cut(s.rest, "\n")
			s.rest = after
			if found {
				s.endCommand()
			}
		case c == '`' || c == '(' || c == ')' || c == '\r' || c == 0,
			c == '$' && strings.ContainsAny(s.rest[1:min(2, len(s.rest))], "('\"{["):
			return false
		default:
			s.put(s.rest[:1], false)
			s.rest = s.rest[1:]
		}
	}
	s.endCommand()
	return true
}

func (s *shellScanner) put(text string, literal bool) {
	s.word.WriteString(text)
	s.inWord = true
	s.literal = s.literal || literal
}

// quoted reads a string in quotes, which s.rest begins with.
func (s *shellScanner) quoted(quote byte) bool {
	s.rest = s.rest[1:]
	s.put("", true)
	for s.rest != "" {
		c := s.rest[0]
		switch {
		case c == quote:
			s.rest = s.rest[1:]
			return true
		case quote == '"' && (c == '`' || c == '$' && strings.ContainsAny(s.rest[1:min(2, len(s.rest))], "({[")):
			return false
		case quote == '"' && c == '\\' && len(s.rest) > 1:
			if strings.ContainsRune("$`\"\\\n", rune(s.rest[1])) {
				s.rest = s.rest[1:]
			}
			s.put(s.rest[:1], true)
			s.rest = s.rest[1:]
		default:
			s.put(s.rest[:1], true)
			s.rest = s.rest[1:]
		}
	}
	return false
}

// redirection skips a redirection that writes nothing: to /dev/null, from it,
// or from one descriptor to another.
func (s *shellScanner) redirection() bool {
	if s.inWord {
		// A number right before it names the descriptor and is no word of the command.
		if s.literal || strings.Trim(s.word.String(), "0123456789") != "" {
			s.endWord()
		} else {
			s.word.Reset()
			s.inWord = false
		}
	}
	for _, harmless := range []string{"&>/dev/null", "&> /dev/null", ">&1", ">&2", ">/dev/null", "> /dev/null", "</dev/null", "< /dev/null"} {
		after, ok := strings.CutPrefix(s.rest, harmless)
		if ok && (after == "" || strings.ContainsRune(" \t\n;&|", rune(after[0]))) {
			s.rest = after
			return true
		}
	}
	return false
}

func (s *shellScanner) endWord() {
	if !s.inWord {
		return
	}
	word := s.word.String()
	if word == "" || strings.ContainsAny(word, " \t\n;&|<>()`") {
		// Such a word is one word, and must not look like several.
		word = `"` + word + `"`
	}
	s.words = append(s.words, word)
	s.word.Reset()
	s.inWord, s.literal = false, false
}

func (s *shellScanner) endCommand() {
	s.endWord()
	if len(s.words) > 0 {
		s.commands = append(s.commands, strings.Join(s.words, " "))
		s.words = nil
	}
}

// suspects lists everything in a command line that might be a command that is
// run, for deny patterns: the simple commands, and the pieces between all
// characters that could begin one, quotes included; each also without
// assignments, without commands that run another one, and without the
// directory of its name. It lists too much rather than too little.
func suspects(line string) []string {
	commands, _ := simpleCommands(line)
	joined := strings.ReplaceAll(line, "\\\n", " ")
	for _, separators := range []string{";&|\n(){}`$<>", ";&|\n(){}`$<>\"'", ";&|\n(){}`$<>\"',[]"} {
		commands = append(commands, strings.FieldsFunc(joined, func(c rune) bool { return strings.ContainsRune(separators, c) })...)
	}
	var out []string
	add := func(words []string) {
		if command := strings.Join(words, " "); command != "" && !slices.Contains(out, command) {
			out = append(out, command)
		}
	}
	for _, command := range commands {
		words := strings.Fields(strings.Map(dropQuotes, command))
		add(words)
		for words = inner(words); len(words) > 0; words = inner(words[1:]) {
			add(words)
			add(append([]string{path.Base(words[0])}, words[1:]...))
			if !runsAnother(words[0]) {
				break
			}
		}
	}
	return out
}

func dropQuotes(c rune) rune {
	if c == '"' || c == '\'' || c == '\\' {
		return -1
	}
	return c
}

// inner drops assignments and options from the beginning of a command.
func inner(words []string) []string {
	for len(words) > 0 && (strings.HasPrefix(words[0], "-") || strings.Contains(words[0], "=") || strings.Trim(words[0], "0123456789.") == "") {
		words = words[1:]
	}
	return words
}

// runsAnother says whether a command runs the one that follows it.
func runsAnother(word string) bool {
	switch path.Base(word) {
	case "sudo", "doas", "env", "command", "builtin", "exec", "eval", "nohup", "nice", "ionice", "time", "timeout", "xargs", "stdbuf", "setsid",
		"bash", "sh", "dash", "zsh", "if", "then", "else", "elif", "while", "until", "do", "!", "busybox", "watch":
		return true
	}
	return false
}
