// Package flatjson writes and reads the JSON that is stored of every event,
// without reflection: objects whose members are known and come in one order. What
// it writes is byte for byte what encoding/json writes.
package flatjson

import (
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// Writer writes one JSON value, from its first bracket to its last. Each method adds
// a member, or, where name is "", an element of an array or the value itself. A name
// stands as it is given: it holds nothing that JSON escapes. What begins with Opt
// leaves out an empty value, as omitempty and omitzero do.
type Writer struct {
	text []byte
	err  error // the first
}

// maxKept bounds what a Writer that waits to be used again keeps, in bytes.
const maxKept = 16 << 10

var writers = sync.Pool{New: func() any { return new(Writer) }} //nolint:gochecknoglobals // what is written outlives no Writer

// NewWriter returns a Writer of nothing yet.
func NewWriter() *Writer {
	w, _ := writers.Get().(*Writer)
	w.text, w.err = w.text[:0], nil
	return w
}

// Bytes returns what was written, or the first error. The Writer must not be used
// any more.
func (w *Writer) Bytes() ([]byte, error) {
	var text []byte
	if w.err == nil {
		text = slices.Clone(w.text)
	}
	err := w.err
	if cap(w.text) <= maxKept {
		writers.Put(w)
	}
	return text, err
}

// Begin opens an object '{' or an array '['.
func (w *Writer) Begin(name string, bracket byte) {
	w.name(name)
	w.text = append(w.text, bracket)
}

// End closes with '}' or ']' what Begin opened.
func (w *Writer) End(bracket byte) { w.text = append(w.text, bracket) }

// name writes what stands before a value. No value ends with an opening bracket, so
// the last byte tells whether it is the first.
func (w *Writer) name(name string) {
	if n := len(w.text); n > 0 && w.text[n-1] != '{' && w.text[n-1] != '[' {
		w.text = append(w.text, ',')
	}
	if name != "" {
		w.text = append(w.text, '"')
		w.text = append(w.text, name...)
		w.text = append(w.text, '"', ':')
	}
}

// String writes a string.
func (w *Writer) String(name, s string) {
	w.name(name)
	w.text = appendString(w.text, s)
}

// OptString writes a string.
func (w *Writer) OptString(name, s string) {
	if s != "" {
		w.String(name, s)
	}
}

// OptStrings writes an array of strings.
func (w *Writer) OptStrings(name string, s []string) {
	if len(s) == 0 {
		return
	}
	w.Begin(name, '[')
	for _, one := range s {
		w.String("", one)
	}
	w.End(']')
}

// Int writes an integer.
func (w *Writer) Int(name string, n int64) {
	w.name(name)
	w.text = strconv.AppendInt(w.text, n, 10)
}

// OptInt writes an integer.
func (w *Writer) OptInt(name string, n int64) {
	if n != 0 {
		w.Int(name, n)
	}
}

// OptUint writes an integer.
func (w *Writer) OptUint(name string, n uint64) {
	if n != 0 {
		w.name(name)
		w.text = strconv.AppendUint(w.text, n, 10)
	}
}

// OptTrue writes true, if yes.
func (w *Writer) OptTrue(name string, yes bool) {
	if yes {
		w.name(name)
		w.text = append(w.text, "true"...)
	}
}

// Time writes a time as RFC 3339 with the fractions that it has. It fails for a time
// that cannot be said so: a year beyond 0 to 9999, a zone beyond 23 hours.
func (w *Writer) Time(name string, t time.Time) {
	w.name(name)
	w.text = append(w.text, '"')
	text, err := t.AppendText(w.text)
	if err != nil {
		w.fail(err)
		return
	}
	w.text = text
	w.text = append(w.text, '"')
}

// OptTime writes a time.
func (w *Writer) OptTime(name string, t time.Time) {
	if !t.IsZero() {
		w.Time(name, t)
	}
}

// Any writes what encoding/json makes of v, for what is rare.
func (w *Writer) Any(name string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.fail(err)
		return
	}
	w.name(name)
	w.text = append(w.text, text...)
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// appendString appends s as encoding/json does: what HTML or JavaScript would take
// for its own is escaped, what is no UTF-8 is U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0 // s is appended so far
	for i := 0; i < len(s); {
		c := s[i]
		if plain(c) {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(s[i:]); (r != utf8.RuneError || n > 1) && r != '\u2028' && r != '\u2029' {
				i += n
				continue
			}
		}
		b = appendEscaped(append(b, s[from:i]...), r)
		i += n
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// plain tells whether a byte stands for itself and is a character of its own.
func plain(c byte) bool {
	return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

func appendEscaped(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
