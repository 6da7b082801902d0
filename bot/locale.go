package bot

import "golang.org/x/text/language"

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
		l.tags = append(l.tags, language.Make(name))
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
	tag, _ := language.Parse(locale) // what it cannot read of a locale it leaves out
	base, sure := tag.Base()
	if sure != language.Exact {
		return 0 // no language that is known
	}
	_, i, confidence := l.matcher.Match(tag)
	theirs, _ := l.tags[i].Base()
	if confidence == language.Exact || confidence == language.High && theirs == base {
		return i
	}
	return 0
}
