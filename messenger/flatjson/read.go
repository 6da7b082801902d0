package flatjson

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Reader reads an object as a [Writer] writes it: no space, members in the order in
// which they are asked for, none of them empty. A member that is absent is the zero
// value. Anything else makes it give up: what it has read is worth nothing then, and
// encoding/json must say what the text means, if anything.
type Reader struct {
	rest   string
	before byte // what must stand before the next member
	lost   bool
}

// NewReader returns a Reader of an object. What it reads are parts of text.
func NewReader(text string) Reader { return Reader{rest: text, before: '{'} }

// Done tells whether the object was read, whole, and nothing follows it.
func (r *Reader) Done() bool {
	r.End()
	return !r.lost && r.rest == ""
}

// Begin enters an object. Where there is none, it gives up.
func (r *Reader) Begin(name string) {
	if r.member(name) {
		r.before = '{'
	} else {
		r.lost = true
	}
}

// End leaves an object.
func (r *Reader) End() {
	if r.before == '{' || !r.take("}") { // before its first member there is no end
		r.lost = true
	}
}

// member steps over a name, if it is the next.
func (r *Reader) member(name string) bool {
	n := len(name)
	if len(r.rest) < n+4 || r.rest[0] != r.before || r.rest[1] != '"' || r.rest[2:n+2] != name || r.rest[n+2:n+4] != `":` {
		return false
	}
	r.rest, r.before = r.rest[n+4:], ','
	return true
}

// take steps over a part, if it is the next.
func (r *Reader) take(part string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, part)
	return ok
}

// String reads a string.
func (r *Reader) String(name string) string {
	if !r.member(name) {
		return ""
	}
	return r.text()
}

// Strings reads an array of strings.
func (r *Reader) Strings(name string) []string {
	if !r.member(name) {
		return nil
	}
	if !r.take("[") {
		r.lost = true
		return nil
	}
	s := []string{r.text()}
	for r.take(",") {
		s = append(s, r.text())
	}
	if !r.take("]") {
		r.lost = true
	}
	return s
}

// True tells whether there is a member that says true.
func (r *Reader) True(name string) bool {
	if !r.member(name) {
		return false
	}
	if !r.take("true") {
		r.lost = true
	}
	return true
}

// Time reads a time.
func (r *Reader) Time(name string) (t time.Time) {
	if !r.member(name) {
		return t
	}
	// An escape is no part of a time for encoding/json either.
	end := strings.IndexByte(r.rest[min(1, len(r.rest)):], '"') + 1
	if end == 0 || r.rest[0] != '"' || t.UnmarshalText([]byte(r.rest[1:end])) != nil {
		r.lost = true
		return t
	}
	r.rest = r.rest[end+1:]
	return t
}

// text reads the string at the start of the rest.
func (r *Reader) text() string {
	s := r.rest
	if s == "" || s[0] != '"' {
		r.lost = true
		return ""
	}
	ascii, escapes := true, false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			text := s[1:i]
			r.rest = s[i+1:]
			if !ascii && !utf8.ValidString(text) {
				r.lost = true
			}
			if escapes {
				return r.unescaped(text)
			}
			return text
		case c == '\\':
			escapes = true
			i++ // a quote here does not end it
		case c < ' ':
			r.lost = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.lost = true
	return ""
}

// unescaped returns what s says, which holds a backslash and ends none with it.
func (r *Reader) unescaped(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		c, n := unescape(after)
		if n == 0 {
			r.lost = true
			return ""
		}
		b.WriteRune(c)
		s = after[n:]
	}
}

// unescape returns the character that an escape means, and the length of the escape
// without its backslash; 0 for one that a Writer does not write.
func unescape(s string) (c rune, n int) {
	switch s[0] {
	case '"', '\\':
		return rune(s[0]), 1
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u':
		if len(s) < 5 {
			return 0, 0
		}
		code, err := strconv.ParseUint(s[1:5], 16, 16)
		if err != nil || !utf8.ValidRune(rune(code)) {
			return 0, 0
		}
		return rune(code), 5
	}
	return 0, 0
}
