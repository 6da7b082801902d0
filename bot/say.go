package bot

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// What Meta takes at once.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
const (
	maxButtons = 3
	maxCards   = 10
	maxChoices = 13
)

const (
	maxMessages = 10 // of one answer
	maxURL      = 2000
	maxLocales  = 100
)

// tap is something to tap whose meaning can be checked when all rules are known.
type tap struct {
	at    node
	kind  tapKind
	value string // an id, a payload or a title
}

type tapKind uint8

const (
	tapGoto tapKind = iota
	tapPayload
	tapTitle
)

// speak reads everything that is said, once for each locale. Faults that are the
// same in all of them are kept once.
func (l *loader) speak(profile node) {
	for i := 0; i < len(l.locales) && i <= maxLocales; i++ { // the first round finds the other locales
		l.locale = l.locales[i]
		for _, e := range l.entries {
			if e.says.Node == nil {
				continue
			}
			l.named = false
			said := l.messages(e.says)
			e.rule.say = append(e.rule.say, said)
			e.rule.named = e.rule.named || l.named
			if e.rule.id == greetingID && len(said) > 1 {
				l.fault(e.says, "%d messages: a greeting is exactly one", len(said))
			}
		}
		if profile.Node != nil {
			l.profile(profile)
		}
		slices.Sort(l.locales[i+1:])
	}
	l.script.locales = newLocales(l.locales)
}

func (l *loader) messages(n node) []Message {
	var said []Message
	items := l.items(n, maxMessages)
	for i, n := range items {
		m := l.message(n)
		if len(m.QuickReplies) > 0 && i < len(items)-1 {
			l.fault(n, "quick replies vanish when the next message comes: offer them with the last")
		}
		said = append(said, m)
	}
	return said
}

// message reads a text, or a mapping that says one thing.
func (l *loader) message(n node) Message {
	var m Message
	n = l.resolve(n)
	if _, ok := n.Node.(*ast.MappingNode); !ok {
		m.Text = l.text(n, maxText)
		return m
	}
	contents := []string{"text", "cards", "image", "audio", "video", "file"}
	f, _ := l.fields(n, append(contents, "buttons", "quick_replies")...)
	var says []string
	for _, key := range contents {
		if _, ok := f[key]; ok {
			says = append(says, key)
		}
	}
	if len(says) != 1 {
		l.fault(n, "has %s, want exactly one of %s", orNothing(says), strings.Join(contents, ", "))
		return m
	}
	if at, ok := f["buttons"]; ok {
		if says[0] != "text" {
			l.fault(at, "buttons go with a text, or on a card")
		}
		m.Buttons = l.buttons(at)
	}
	if at, ok := f["quick_replies"]; ok {
		m.QuickReplies = l.quickReplies(at)
	}
	switch at := f[says[0]]; says[0] {
	case "text":
		m.Text = l.text(at, textLimit(len(m.Buttons)))
	case "cards":
		m.Cards = l.cards(at)
	default:
		m.Media = &File{Type: says[0], URL: l.url(at)}
	}
	return m
}

func orNothing(keys []string) string {
	if len(keys) == 0 {
		return "nothing to say"
	}
	return strings.Join(keys, " and ")
}

func (l *loader) cards(n node) []Card {
	var cards []Card
	for _, n := range l.items(n, maxCards) {
		f, ok := l.fields(n, "title", "subtitle", "image", "url", "buttons")
		if !ok {
			continue
		}
		c := Card{Title: l.title(n, f, maxCardText)}
		if at, ok := f["subtitle"]; ok {
			c.Subtitle = l.text(at, maxCardText)
		}
		if at, ok := f["image"]; ok {
			c.ImageURL = l.url(at)
		}
		if at, ok := f["url"]; ok {
			c.URL = l.url(at)
		}
		if at, ok := f["buttons"]; ok {
			c.Buttons = l.buttons(at)
		}
		if len(f) == 1 {
			l.fault(n, "a card needs more than a title: a subtitle, image, url or buttons")
		}
		cards = append(cards, c)
	}
	return cards
}

func (l *loader) buttons(n node) []Button {
	var buttons []Button
	for _, n := range l.items(n, maxButtons) {
		f, ok := l.fields(n, "title", "url", "payload", "goto", "handoff", "back_to_bot")
		if !ok {
			continue
		}
		buttons = append(buttons, l.button(n, f, l.title(n, f, maxTitle)))
	}
	return buttons
}

func (l *loader) button(n node, f map[string]node, title string) Button {
	b := Button{Title: title}
	if at, ok := f["url"]; ok {
		b.URL = l.url(at)
		if len(f) > 2 {
			l.fault(n, "a button with a url does nothing else")
		}
	} else {
		b.Payload = l.payload(n, f, title)
	}
	return b
}

func (l *loader) quickReplies(n node) []Choice {
	var choices []Choice
	for _, n := range l.items(n, maxChoices) {
		f, ok := l.fields(n, "title", "image", "payload", "goto", "handoff", "back_to_bot")
		if !ok {
			continue
		}
		c := Choice{Title: l.title(n, f, maxTitle)}
		if at, ok := f["image"]; ok {
			c.ImageURL = l.url(at)
		}
		c.Payload = l.payload(n, f, c.Title)
		choices = append(choices, c)
	}
	return choices
}

func (l *loader) title(n node, f map[string]node, limit int) string {
	at, ok := f["title"]
	if !ok {
		l.fault(n, "title is missing")
		return ""
	}
	s := l.text(at, limit)
	if limit == maxTitle && strings.Contains(s, "{{") {
		l.fault(at, "names do not fit into %d characters: mention them in the text", limit)
	}
	return s
}

// payload reads what a tap does. One that does nothing else says its title.
func (l *loader) payload(n node, f map[string]node, title string) string {
	var payloads []string
	if at, ok := f["payload"]; ok {
		if s, ok := l.scalar(at, maxPayload); ok {
			payloads = append(payloads, s)
			l.taps = append(l.taps, tap{at, tapPayload, s})
		}
	}
	if at, ok := f["goto"]; ok {
		if id, ok := l.scalar(at, maxID); ok {
			payloads = append(payloads, PayloadRule+id)
			l.taps = append(l.taps, tap{at, tapGoto, id})
		}
	}
	if l.flag(f["handoff"]) {
		payloads = append(payloads, payloadHandoff)
	}
	if l.flag(f["back_to_bot"]) {
		payloads = append(payloads, payloadBack)
	}
	switch len(payloads) {
	case 0:
		l.taps = append(l.taps, tap{n, tapTitle, title})
		return title
	case 1:
	default:
		l.fault(n, "payload, goto, handoff and back_to_bot exclude each other")
	}
	return payloads[0]
}

func (l *loader) url(n node) string {
	s, ok := l.scalar(n, maxURL)
	if !ok {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		l.fault(n, "not an address: %v", err)
	case u.Scheme != "https":
		l.fault(n, "%q: Meta takes addresses that begin with https:// only", fit(s, 60))
	case u.Hostname() == "":
		l.fault(n, "%q names no host", fit(s, 60))
	}
	return s
}

// text reads a text in the locale that is being read: a text for all, or a
// mapping of locales to texts.
func (l *loader) text(n node, limit int) string {
	n = l.resolve(n)
	if _, ok := n.Node.(*ast.MappingNode); ok {
		if n, ok = l.inLocale(n); !ok {
			return ""
		}
	}
	s, ok := l.scalar(n, maxBytes)
	if !ok || !l.mentions(n, s) {
		return ""
	}
	nameless := expand(s, Names{})
	if size := utf8.RuneCountInString(nameless); size > limit {
		l.fault(n, "%d characters, at most %d", size, limit)
	}
	if strings.TrimSpace(nameless) == "" {
		l.fault(n, "says nothing where the name is unknown: write {{%s|there}}", firstName)
	}
	return s
}

// inLocale chooses among the locales of one text.
func (l *loader) inLocale(n node) (node, bool) {
	f, _ := l.fields(n)
	if len(f) > maxLocales {
		l.fault(n, "%d locales, at most %d", len(f), maxLocales)
		return node{}, false
	}
	texts := map[string]node{}
	for _, key := range slices.Sorted(maps.Keys(f)) {
		name, ok := l.localeName(f[key], key)
		if !ok {
			continue
		}
		texts[name] = f[key]
		if name != l.locales[0] && !slices.Contains(l.locales, name) {
			l.locales = append(l.locales, name)
			if len(l.locales) == maxLocales+1 {
				l.fault(f[key], "more than %d locales in all", maxLocales)
			}
		}
	}
	if _, ok := texts[l.locales[0]]; !ok {
		l.fault(n, "no text in %q, which is for all that understand no other (default_locale)", l.locales[0])
		return node{}, false
	}
	names := slices.Sorted(maps.Keys(texts))
	own := slices.Index(names, l.locales[0])
	names[0], names[own] = names[own], names[0]
	id := strings.Join(names, " ")
	if _, ok := l.choices[id]; !ok {
		l.choices[id] = newLocales(names)
	}
	return texts[names[l.choices[id].index(l.locale)]], true
}

// mentions checks what a text mentions.
func (l *loader) mentions(n node, text string) bool {
	for {
		_, rest, found := strings.Cut(text, "{{")
		if !found {
			return true
		}
		mention, rest, closed := strings.Cut(rest, "}}")
		if !closed {
			l.fault(n, "{{ without }}")
			return false
		}
		name, _ := parseMention(mention)
		if known := []string{firstName, pageName}; !slices.Contains(known, name) {
			l.fault(n, "unknown name %q: %s", name, didYouMean(name, known))
			return false
		}
		l.named = true
		l.script.usesNames = l.script.usesNames || name == firstName
		text = rest
	}
}

// check follows what leads somewhere, when all that can be led to is known.
func (l *loader) check() {
	for _, e := range l.entries {
		if e.leads.Node != nil {
			l.checkGoto(e)
		}
	}
	for _, t := range l.taps {
		l.checkTap(t)
	}
	for _, e := range l.entries {
		if !e.reached {
			l.fault(e.at, "nothing leads here: give it keywords, payloads, refs or media, or a goto to it")
		}
	}
}

func (l *loader) checkGoto(e *entry) {
	id, ok := l.scalar(e.leads, maxID)
	if !ok {
		return
	}
	target := l.follow(e.leads, id)
	if target == nil {
		return
	}
	if target.leads.Node != nil {
		l.fault(e.leads, "%q leads on to another itself: name that one", id)
	}
	e.rule.as = target.rule
}

func (l *loader) checkTap(t tap) {
	x := &l.script.index
	switch t.kind {
	case tapGoto:
		l.follow(t.at, t.value)
	case tapTitle:
		if t.value != "" && x.heard(t.value) == nil {
			l.fault(t.at, "a tap says %q, which no rule answers: add goto, payload, handoff or back_to_bot", t.value)
		}
	case tapPayload:
		if id, isRule := strings.CutPrefix(t.value, PayloadRule); isRule {
			l.follow(t.at, id)
		} else if x.payloads[t.value] == nil && !slices.Contains(handoverPayloads(), t.value) {
			l.fault(t.at, "no rule answers %q: add it to the payloads of one, or write goto", t.value)
		}
	}
}

// follow returns the entry that a goto names.
func (l *loader) follow(n node, id string) *entry {
	e := l.ids[id]
	if e == nil || l.script.index.payloads[PayloadRule+id] == nil {
		var known []string
		for payload := range l.script.index.payloads {
			if id, isRule := strings.CutPrefix(payload, PayloadRule); isRule {
				known = append(known, id)
			}
		}
		slices.Sort(known)
		l.fault(n, "no rule has the id %q: %s", id, didYouMean(id, known))
		return nil
	}
	e.reached = true
	return e
}
