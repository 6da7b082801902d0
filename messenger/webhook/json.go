package webhook

import (
	"encoding/json"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/messenger"
)

// value is one JSON value as it stands in a text that [json.Valid] accepted, with
// no space around it. "" is a value that is absent.
//
// encoding/json is not used to take a delivery apart: it matches names whatever
// their case, so that "Text" overrides "text", and one member of an unexpected
// type would spoil its neighbours. Here names are exact, and nothing is copied.
type value string

func (v value) isObject() bool { return v != "" && v[0] == '{' }
func (v value) isArray() bool  { return v != "" && v[0] == '[' }
func (v value) isTrue() bool   { return v == "true" }

// members yields the names and values of an object in the order of the text, and
// nothing of any other value. A null is absent.
func (v value) members() iter.Seq2[string, value] {
	return func(yield func(string, value) bool) {
		if !v.isObject() {
			return
		}
		for rest := next(v[1:]); rest[0] != '}'; rest = next(rest) {
			name, after := cut(rest)
			member, after := cut(next(after))
			if member == "null" {
				member = ""
			}
			if !yield(name.text(), member) {
				return
			}
			rest = after
		}
	}
}

// elements yields the values of an array, and nothing of any other value.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if !v.isArray() {
			return
		}
		for rest := next(v[1:]); rest[0] != ']'; rest = next(rest) {
			element, after := cut(rest)
			if !yield(element) {
				return
			}
			rest = after
		}
	}
}

// next skips what stands between values.
func next(v value) value {
	for v[0] == ' ' || v[0] == ',' || v[0] == ':' || v[0] == '\n' || v[0] == '\t' || v[0] == '\r' {
		v = v[1:]
	}
	return v
}

// cut parts the value at the start of v from what follows it. It does not recurse:
// a text may nest as deep as json.Valid allows.
func cut(v value) (first, rest value) {
	for i, depth := 0, 0; ; i++ {
		switch v[i] {
		case '"':
			i += quoted(v[i:]) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth == 0 {
				i += plain(v[i:]) - 1
			}
		}
		if depth == 0 {
			return v[:i+1], v[i+1:]
		}
	}
}

// quoted returns the length of the string at the start of v.
func quoted(v value) int {
	for i := 1; ; i++ {
		i += strings.IndexByte(string(v[i:]), '"')
		slashes := 0
		for v[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// plain returns the length of the number or word at the start of v, which stands
// in an object or an array.
func plain(v value) int { return strings.IndexAny(string(v), ",]} \t\r\n") }

// field is a member that [value.pick] is to look for.
type field struct {
	name string
	to   *value
}

// pick sets what it finds of the members of an object; of two of one name, the last.
func (v value) pick(fields ...field) {
	for name, member := range v.members() {
		for _, f := range fields {
			if f.name == name {
				*f.to = member
			}
		}
	}
}

// get returns one member of an object.
func (v value) get(name string) (member value) {
	v.pick(field{name, &member})
	return member
}

// text returns what a string says, and any other value as it stands: Meta sends
// the payload of a quick reply as a number if that is how it was sent. It is
// valid UTF-8; what is not comes as U+FFFD, also half of a surrogate pair.
func (v value) text() string {
	if v == "" || v[0] != '"' {
		return strings.ToValidUTF8(string(v), "\uFFFD")
	}
	inner := string(v[1 : len(v)-1])
	if strings.IndexByte(inner, '\\') < 0 && utf8.ValidString(inner) {
		return inner
	}
	var s string
	if err := json.Unmarshal([]byte(v), &s); err != nil {
		return "" // cannot be: v is a valid string
	}
	return s
}

// id returns an id given as a string or as an integer, "" if v is neither. A colon
// makes it none, as it parts a Page from a person in a [messenger.ThreadKey].
func (v value) id() string {
	if v == "" || v[0] != '"' {
		id, _ := v.app()
		return string(id)
	}
	id := strings.TrimSpace(v.text())
	if strings.IndexByte(id, ':') >= 0 {
		return ""
	}
	return id
}

// app returns an app's id, and whether v is one; null and absent are nobody's.
func (v value) app() (id messenger.AppID, ok bool) {
	if v == "" {
		return "", true
	}
	err := id.UnmarshalJSON([]byte(v))
	return id, err == nil
}

// Meta's clocks: milliseconds as a rule, seconds where they are fewer than
// minMilliseconds.
const (
	minMilliseconds = 1e11              // as milliseconds March 1973, as seconds the year 5138
	maxMilliseconds = 253_402_300_799e3 // the last second of 9999: what RFC 3339 can say
)

// time reads a time as milliseconds or seconds, whole or not, bare or quoted, or
// as ISO 8601. It returns UTC in milliseconds; the zero time for what is none, or
// is not between 1970 and 9999.
func (v value) time() time.Time {
	s := strings.TrimSpace(v.text())
	if n, err := strconv.ParseFloat(s, 64); err == nil { // exact: fewer than 2^53
		if n < minMilliseconds {
			n *= 1000
		}
		return atMilliseconds(n)
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return atMilliseconds(float64(t.UnixMilli()))
		}
	}
	return time.Time{}
}

func atMilliseconds(n float64) time.Time {
	if n = math.Round(n); n >= 1 && n <= maxMilliseconds { // which NaN is not
		return time.UnixMilli(int64(n)).UTC()
	}
	return time.Time{}
}

// appendCompact appends v without the space between its parts.
func (v value) appendCompact(b []byte) []byte {
	for v != "" {
		n := 1
		switch v[0] {
		case ' ', '\t', '\r', '\n':
			v = v[1:]
			continue
		case '"':
			n = quoted(v)
		}
		b = append(b, v[:n]...)
		v = v[n:]
	}
	return b
}
