package bot

import (
	"strings"
)

// What Meta takes beside a conversation. The menu has 20 items, of which two are
// kept for the ways between the bot and people.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/messenger-profile-api
const (
	maxGreeting    = 160
	maxIceBreakers = 4
	maxQuestion    = 80
	maxMenu        = 18
	maxMenuTitle   = 30
)

// Profile is what the Page shows before and beside a conversation, in one locale.
// Lengths are in characters and within Meta's limits.
type Profile struct {
	// Locale is as the script writes it: "de", "pt_BR".
	Locale string
	// Greeting stands above an empty conversation; at most 160, "" for none.
	Greeting string
	// IceBreakers are questions to begin with; at most 4 of at most 80.
	IceBreakers []Choice
	// Menu is the persistent menu; at most 18 items with titles of at most 30.
	Menu []Button
}

// Profiles returns what the script has under profile, once for each of
// [Script.Locales]; nil where it has nothing. page is {{page_name}}.
func (s *Script) Profiles(page string) []Profile {
	var all []Profile
	for _, p := range s.profiles {
		p.Greeting = fit(expand(p.Greeting, Names{PageName: page}), maxGreeting)
		all = append(all, p)
	}
	return all
}

// profile reads the section in the locale that is being read.
func (l *loader) profile(n node) {
	f, ok := l.fields(n, "greeting", "ice_breakers", "menu")
	if !ok {
		return
	}
	p := Profile{Locale: l.locale}
	if at, ok := f["greeting"]; ok {
		p.Greeting = l.impersonal(at, l.text(at, maxGreeting))
	}
	if at, ok := f["ice_breakers"]; ok {
		for _, n := range l.items(at, maxIceBreakers) {
			if f, ok := l.fields(n, "title", "payload", "goto", "handoff"); ok {
				title := l.label(n, f, maxQuestion)
				p.IceBreakers = append(p.IceBreakers, Choice{Title: title, Payload: l.payload(n, f, title)})
			}
		}
	}
	if at, ok := f["menu"]; ok {
		for _, n := range l.items(at, maxMenu) {
			if f, ok := l.fields(n, "title", "url", "payload", "goto", "handoff", "back_to_bot"); ok {
				p.Menu = append(p.Menu, l.button(n, f, l.label(n, f, maxMenuTitle)))
			}
		}
	}
	l.script.profiles = append(l.script.profiles, p)
}

// label reads a title that mentions nobody.
func (l *loader) label(n node, f map[string]node, limit int) string {
	s := l.title(n, f, limit)
	if strings.Contains(s, "{{") {
		l.fault(f["title"], "a title mentions no names")
	}
	return s
}

// impersonal refuses the customer's name: the Page shows the same to everybody.
func (l *loader) impersonal(n node, s string) string {
	if expand(s, Names{FirstName: "a"}) != expand(s, Names{FirstName: "b"}) {
		l.fault(n, "the same for all customers: it can mention {{%s}} only", pageName)
	}
	return s
}
