// Package redact takes secrets out of text: values that are known, wherever they
// stand, also in the forms that they take in URLs, in JSON and in base64.
package redact

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// MinLength is how long a secret must be, in bytes: what is shorter stands in too many texts by chance.
const MinLength = 8

// Secret is a value that must not be stored or shown.
type Secret struct {
	// Name is what stands in its place: "[redacted NAME]".
	Name  string
	Value string
}

// Redactor replaces secrets. It is safe for concurrent use; a nil Redactor changes nothing.
type Redactor struct {
	known atomic.Pointer[table]
	// adding guards secrets, from which known is made.
	adding  sync.Mutex
	secrets []Secret
}

// table is what a Redactor looks for. It does not change.
type table struct {
	// patterns are by their first four bytes, the longest first.
	patterns map[uint32][]pattern
	// begins has a bit for every hash of those.
	begins [1 << 10]uint64
}

type pattern struct{ text, name string }

// New makes a Redactor of secrets; those shorter than MinLength are left out. It is nil without any.
func New(secrets ...Secret) *Redactor {
	r := Open(secrets...)
	if len(r.known.Load().patterns) == 0 {
		return nil
	}
	return r
}

// Open makes a Redactor that more secrets may be added to. It is never nil.
func Open(secrets ...Secret) *Redactor {
	r := &Redactor{}
	r.known.Store(&table{})
	r.Add(secrets...)
	return r
}

// Add adds secrets; those that are known, and those shorter than MinLength, are
// left out. What was a secret stays one: it may still stand in texts.
func (r *Redactor) Add(secrets ...Secret) {
	r.adding.Lock()
	defer r.adding.Unlock()
	before := len(r.secrets)
	for _, s := range secrets {
		known := slices.ContainsFunc(r.secrets, func(k Secret) bool { return k.Value == s.Value })
		if !known && len(strings.TrimSpace(s.Value)) >= MinLength {
			r.secrets = append(r.secrets, s)
		}
	}
	if len(r.secrets) > before {
		r.known.Store(newTable(r.secrets))
	}
}

func newTable(secrets []Secret) *table {
	r := &table{patterns: map[uint32][]pattern{}}
	seen := map[string]bool{}
	for _, s := range secrets {
		for _, form := range forms(s.Value) {
			if seen[form] || len(form) < MinLength {
				continue
			}
			seen[form] = true
			r.add(pattern{form, s.Name})
		}
	}
	return r
}

func (r *table) add(p pattern) {
	key := begin(p.text)
	list := append(r.patterns[key], p)
	slices.SortStableFunc(list, func(a, b pattern) int { return cmp.Compare(len(b.text), len(a.text)) })
	r.patterns[key] = list
	h := hash(key)
	r.begins[h>>6] |= 1 << (h & 63)
}

// begin is the first four bytes of a text.
func begin(text string) uint32 {
	return uint32(text[0]) | uint32(text[1])<<8 | uint32(text[2])<<16 | uint32(text[3])<<24
}

// hash has 16 bits.
func hash(key uint32) uint32 { return key * 0x9e3779b1 >> 16 }

// mayBegin says whether a secret may begin with the first four bytes of a text.
func (r *table) mayBegin(text string) bool {
	h := hash(begin(text))
	return r.begins[h>>6]&(1<<(h&63)) != 0
}

// unfinished says whether a text of less than four bytes is the beginning of a secret.
func (r *table) unfinished(text string) bool {
	for _, list := range r.patterns {
		if strings.HasPrefix(list[0].text, text) { // they begin in the same way
			return true
		}
	}
	return false
}

// minLine is how long a line of a secret of several lines must be to be one itself.
const minLine = 16

// forms are how a secret stands in text.
func forms(value string) []string {
	value = strings.TrimSpace(value)
	if len(value) < MinLength {
		return nil
	}
	out := []string{value, url.QueryEscape(value), url.PathEscape(value)}
	if quoted, err := json.Marshal(value); err == nil {
		out = append(out, string(quoted[1:len(quoted)-1]))
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 { // bytes in front of it, as the name of a user is
			out = append(out, within(enc, value, before))
		}
	}
	if strings.Contains(value, "\n") { // as of a key, which may be indented
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= minLine && !strings.HasPrefix(line, "-----") {
				out = append(out, line)
			}
		}
	}
	return out
}

// within is what of the base64 of a longer text depends on value alone, where that
// many bytes more than a multiple of three stand before it.
func within(enc *base64.Encoding, value string, before int) string {
	text := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + value))
	from := (before*8 + 5) / 6
	to := (before + len(value)) * 8 / 6
	return text[from:to]
}

// Empty says whether no secret is known, so far.
func (r *Redactor) Empty() bool { return r == nil || len(r.known.Load().patterns) == 0 }

// String returns the text without secrets.
func (r *Redactor) String(text string) string {
	if r == nil {
		return text
	}
	out, _ := r.known.Load().redact(text, false)
	return out
}

// Value is String for all texts of what encoding/json decodes to. Values that
// hold none are returned as they are; nothing is changed in place.
func (r *Redactor) Value(v any) any {
	if r == nil {
		return v
	}
	switch v := v.(type) {
	case string:
		return r.String(v)
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = r.Value(element)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, element := range v {
			out[r.String(name)] = r.Value(element)
		}
		return out
	}
	return v
}

// redact replaces what is found. With more, text may go on: what may become a
// secret is held, and not part of the result.
func (r *table) redact(text string, more bool) (done, held string) {
	if len(r.patterns) == 0 {
		return text, ""
	}
	var out strings.Builder
	copied := 0
	for i := 0; i+3 < len(text); i++ {
		if !r.mayBegin(text[i:]) {
			continue
		}
		end, name, open := r.match(text, i, more)
		if open {
			out.WriteString(text[copied:i])
			return out.String(), text[i:]
		}
		if end == 0 {
			continue
		}
		out.WriteString(text[copied:i])
		out.WriteString("[redacted " + name + "]")
		copied, i = end, end-1
	}
	for i := max(copied, len(text)-3); more && i < len(text); i++ {
		if r.unfinished(text[i:]) {
			out.WriteString(text[copied:i])
			return out.String(), text[i:]
		}
	}
	if copied == 0 {
		return text, ""
	}
	out.WriteString(text[copied:])
	return out.String(), ""
}

// match finds where the secrets end that begin at i, with those that overlap
// them. It is open where, with more, the text ends within one.
func (r *table) match(text string, i int, more bool) (end int, name string, open bool) {
	for j := i; j < max(end, i+1); j++ {
		rest := text[j:]
		if len(rest) < 4 {
			if more && r.unfinished(rest) {
				return 0, "", true
			}
			continue
		}
		if !r.mayBegin(rest) {
			continue
		}
		for _, p := range r.patterns[begin(rest)] {
			switch {
			case strings.HasPrefix(rest, p.text):
				if name == "" {
					name = p.name
				}
				end = max(end, j+len(p.text))
			case more && len(rest) < len(p.text) && strings.HasPrefix(p.text, rest):
				return 0, "", true
			}
		}
	}
	return end, name, false
}
