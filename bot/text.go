package bot

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What Meta takes, in characters.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
const (
	maxText       = 2000
	maxButtonText = 640 // a text that carries buttons
	maxTitle      = 20  // of a button or quick reply
	maxCardText   = 80  // a card's title or subtitle
	maxPayload    = 1000
)

// withNames returns said with the names put into its texts. said stays as it is.
func withNames(said []Message, n Names) []Message {
	said = slices.Clone(said)
	for i := range said {
		m := &said[i]
		m.Text = fit(expand(m.Text, n), textLimit(len(m.Buttons)))
		m.Cards = slices.Clone(m.Cards)
		for j := range m.Cards {
			c := &m.Cards[j]
			c.Title = fit(expand(c.Title, n), maxCardText)
			c.Subtitle = fit(expand(c.Subtitle, n), maxCardText)
		}
	}
	return said
}

func textLimit(buttons int) int {
	if buttons > 0 {
		return maxButtonText
	}
	return maxText
}

// Names that texts may mention.
const (
	firstName = "first_name"
	pageName  = "page_name"
)

// expand puts names into text. {{first_name|there}} is "there" where the name is
// unknown; without such a word the mention goes, and with it the space and comma
// that led to it: "Hello, {{first_name}}!" is "Hello!".
func expand(text string, n Names) string {
	before, rest, found := strings.Cut(text, "{{")
	if !found {
		return text
	}
	out := make([]byte, 0, len(text)+32)
	for {
		out = append(out, before...)
		if !found {
			return string(out)
		}
		var mention string
		mention, rest, _ = strings.Cut(rest, "}}")
		name, otherwise := parseMention(mention)
		value := n.FirstName
		if name == pageName {
			value = n.PageName
		}
		if value = strings.TrimSpace(value); value == "" {
			value = otherwise
		}
		out = append(out, value...)
		if value == "" {
			for len(out) > 0 && strings.ContainsRune(" ,", rune(out[len(out)-1])) {
				out = out[:len(out)-1]
			}
			if len(out) == 0 || out[len(out)-1] == '\n' {
				rest = strings.TrimLeft(rest, " ,")
			}
		}
		before, rest, found = strings.Cut(rest, "{{")
	}
}

// parseMention reads what stands between the braces: a name, and what to say
// where it is unknown.
func parseMention(s string) (name, otherwise string) {
	name, otherwise, _ = strings.Cut(s, "|")
	return strings.TrimSpace(name), strings.TrimSpace(otherwise)
}

// fit returns s, or as much of it as fits into limit characters with "…" at its
// end.
func fit(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	kept := head(s, limit-1)
	whole := len(kept)
	for whole > 0 && joined(s[:whole], s[whole:]) {
		_, size := utf8.DecodeLastRuneInString(s[:whole])
		whole -= size
	}
	if whole > 0 { // else it is all one character to the eye
		kept = kept[:whole]
	}
	return strings.TrimRightFunc(kept, unicode.IsSpace) + "…"
}

// head returns the first n characters of s.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

const joiner = '\u200D' // makes one emoji of two

// joined tells whether the eye sees one character where a ends and b begins:
// letters with their marks, emoji with their variants, flags.
func joined(a, b string) bool {
	last, _ := utf8.DecodeLastRuneInString(a)
	next, _ := utf8.DecodeRuneInString(b)
	switch {
	case unicode.IsMark(next), next == joiner, last == joiner,
		'\U0001F3FB' <= next && next <= '\U0001F3FF', // skin tones
		'\U000E0020' <= next && next <= '\U000E007F', // the tags of regional flags
		last == '\r' && next == '\n':
		return true
	case isFlagHalf(last) && isFlagHalf(next):
		halves := 0
		for a != "" {
			r, size := utf8.DecodeLastRuneInString(a)
			if !isFlagHalf(r) {
				break
			}
			a = a[:len(a)-size]
			halves++
		}
		return halves%2 == 1
	}
	return false
}

func isFlagHalf(r rune) bool { return '\U0001F1E6' <= r && r <= '\U0001F1FF' }
