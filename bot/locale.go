package bot

import (
	"strings"

	"golang.org/x/text/language"
)

// locales chooses among the locales that a script or a text is written in; the
// first is for all customers that understand none of the others.
type locales struct {
	names   []string // as the file writes them
	tags    []language.Tag
	matcher language.Matcher
}

func newLocales(names []string) locales {
	l := locales{names: names}
	for _, name := range names {
		tag, ok := parseLocale(name)
		if !ok {
			tag = language.Make("x-meta") // is found by its name alone
		}
		l.tags = append(l.tags, tag)
	}
	l.matcher = language.NewMatcher(l.tags)
	return l
}

// index returns which of the locales a customer gets: their own, or one of the
// same language and script, or the first. A language that is merely related
// (Ukrainian, Russian) is not chosen.
func (l locales) index(locale string) int {
	if len(l.names) < 2 || locale == "" {
		return 0
	}
	for i, name := range l.names {
		if name == locale {
			return i
		}
	}
	tag, ok := parseLocale(locale)
	if !ok {
		return 0
	}
	base, _ := tag.Base()
	_, i, confidence := l.matcher.Match(tag)
	theirs, _ := l.tags[i].Base()
	if confidence == language.Exact || confidence == language.High && theirs == base {
		return i
	}
	return 0
}

// parseLocale reads a locale, without what is not known of it; ok is false where
// the language is not.
func parseLocale(s string) (tag language.Tag, ok bool) {
	tag, _ = language.Parse(s)
	_, sure := tag.Base()
	return tag, sure == language.Exact
}

// metaLocale tells whether s has the shape of Meta's locales, some of which only
// Meta knows: cx_PH is its Cebuano.
//
// https://developers.facebook.com/docs/messenger-platform/messenger-profile/supported-locales
func metaLocale(s string) bool {
	return len(s) == 5 && s[2] == '_' &&
		strings.Trim(s[:2], "abcdefghijklmnopqrstuvwxyz") == "" && strings.Trim(s[3:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
