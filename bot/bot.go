package bot

import "slices"

// TurnKind is what a customer did.
type TurnKind uint8

// The kinds of turns. The zero value is a written text.
const (
	Text       TurnKind = iota // the customer wrote; Text
	QuickReply                 // tapped a quick reply; Payload, and its title as Text
	Postback                   // tapped a button, a menu item or Get Started; Payload, and its title as Text
	Media                      // sent something without words; Payload is the attachment's type
	Referral                   // came through a link or an opt-in; Payload is its ref
)

// Payloads that the script gives a meaning to.
const (
	// PayloadGetStarted is the payload of the Get Started button; what the
	// section get_started says answers it, or the greeting.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/messenger-profile-api/get-started-button
	PayloadGetStarted = "GET_STARTED"
	// PayloadRule goes before the id of a rule: whoever taps it gets that rule's
	// answer. It is what goto writes.
	PayloadRule = "RULE:"
)

// LikeMedia is the Payload of a [Media] turn that is a bare thumbs-up. Where no
// rule is for it, it is a sticker.
const LikeMedia = "like"

// Turn is one thing that a customer did.
type Turn struct {
	Kind    TurnKind
	Text    string // as written; only the first 2,000 characters are looked at
	Payload string
	Locale  string // of the customer, as Meta writes it ("en_US"); "" where unknown
	// First tells that nothing was ever answered on this thread: what matches
	// nothing is greeted.
	First bool
	Names Names
	// Misses counts the misunderstandings in a row before this turn.
	Misses int
	// Returned tells that people had the thread until now.
	Returned bool
}

// Names are what texts may mention; "" where unknown.
type Names struct {
	FirstName string // of the customer: {{first_name}}
	PageName  string // {{page_name}}
}

// Answer is what the bot makes of a turn. Without messages it says nothing.
type Answer struct {
	// Rule is the id of the rule that matched, or "greeting", "get_started",
	// "returned", "media_fallback", "fallback"; "" where nothing did.
	Rule string
	// Messages are to be sent in this order. They are shared between answers: do
	// not change them.
	Messages []Message
	Handoff  bool // a person is asked for
	Missed   bool // not understood: counts as a misunderstanding
}

// Message is a Text with optional Buttons, or Cards, or Media. Lengths are in
// characters and within Meta's limits.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
type Message struct {
	Text         string   // at most 2,000, 640 with buttons
	Buttons      []Button // at most 3
	Cards        []Card   // at most 10
	Media        *File    // nil for none
	QuickReplies []Choice // at most 13, and only on an answer's last message
}

// Choice is a quick reply that is offered.
type Choice struct {
	Title    string // at most 20
	Payload  string // at most 1,000
	ImageURL string // "" for none
}

// Button opens a URL or sends a Payload back, whichever is set.
type Button struct {
	Title   string // at most 20
	Payload string // at most 1,000
	URL     string // https
}

// Card is one element of a carousel. It has a Title and at least one thing more.
type Card struct {
	Title    string // at most 80
	Subtitle string // at most 80
	ImageURL string
	URL      string   // opened by a tap on the card
	Buttons  []Button // at most 3
}

// File is media at a public address.
type File struct {
	Type string // image, audio, video or file
	URL  string // https
}

// Script is what the bot says. [Load] makes one. It does not change and is safe
// for concurrent use.
type Script struct {
	index         index
	greeting      *rule
	returned      *rule // nil: as if nothing had been between
	mediaFallback *rule // nil: the first fallback
	fallback      []*rule
	locales       locales
	usesNames     bool
	profiles      []Profile // by locale, in the order of locales; nil for none
}

// rule is one answer of the script.
type rule struct {
	id      string
	order   int         // in the file
	say     [][]Message // by locale, in the order of Script.locales
	named   bool        // a text mentions a name
	handoff bool
	as      *rule // says what this other rule says; nil for none
}

// Reply returns what to make of t. For equal scripts and turns it is the same.
//
// What matches nothing is greeted if it is the first turn, answered by the section
// returned if people had the thread until now, and else by the fallback for its
// number of misunderstandings. Media that nothing is for is not a
// misunderstanding, and a referral that nothing is for is not answered at all.
func (s *Script) Reply(t Turn) Answer {
	if r := s.index.find(t); r != nil {
		return s.answer(r, t)
	}
	switch {
	case t.Kind == Referral:
		return Answer{}
	case t.Kind == Media && s.mediaFallback != nil:
		return s.answer(s.mediaFallback, t)
	case t.First:
		return s.answer(s.greeting, t)
	case t.Kind == Media:
		return s.answer(s.fallback[0], t)
	case t.Returned && s.returned != nil:
		return s.answer(s.returned, t)
	}
	a := s.answer(s.fallback[min(max(t.Misses, 0), len(s.fallback)-1)], t)
	a.Missed = true
	return a
}

func (s *Script) answer(r *rule, t Turn) Answer {
	a := Answer{Rule: r.id, Handoff: r.handoff}
	if r.as != nil {
		r = r.as
		a.Handoff = a.Handoff || r.handoff
	}
	if len(r.say) == 0 {
		return a
	}
	a.Messages = r.say[s.locales.index(t.Locale)]
	if r.named {
		a.Messages = withNames(a.Messages, t.Names)
	}
	return a
}

// UsesNames tells whether a text mentions {{first_name}}: the customer's profile
// is then worth reading before the first answer.
func (s *Script) UsesNames() bool { return s.usesNames }

// Locales returns the locales that texts are written in, the default one first.
func (s *Script) Locales() []string { return slices.Clone(s.locales.names) }
