package engine

import (
	"strings"
	"unicode/utf8"

	"usher/bot"
	"usher/handover"
	"usher/messenger/graph"
)

// Texts are the operator's words.
type Texts struct {
	Messages map[handover.Text]Localized
	// Disclosure goes before the bot's first answer after people had the thread.
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages
	Disclosure Localized
	// BackButton is on what is said at a handoff; at most 20 characters.
	BackButton string
	// HandoffButton is on what is said when a handoff failed.
	HandoffButton string
}

// Localized is a text by locale ("de_DE" or "de"); "" is for all others.
type Localized map[string]string

// in returns the text for a locale, or its language, or all others.
func (l Localized) in(locale string) string {
	if s, ok := l[locale]; ok {
		return s
	}
	language, _, _ := strings.Cut(locale, "_")
	if s, ok := l[language]; ok {
		return s
	}
	return l[""]
}

// maxText is how long a text may be, in characters.
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
const maxText = 2000

// text renders one of the operator's texts. What is said at a handoff carries
// the way back as a template button: that works on standby.
func (s *step) text(name handover.Text) *graph.Message {
	m := &graph.Message{Text: s.pg.Texts.Messages[name].in(s.locale())}
	switch name {
	case handover.TextHandoff, handover.TextReopened:
		if title := s.pg.Texts.BackButton; title != "" {
			m.Buttons = []graph.Button{{Title: title, Payload: handover.PayloadBack}}
		}
	case handover.TextFailed:
		if title := s.pg.Texts.HandoffButton; title != "" {
			m.QuickReplies = []graph.QuickReply{{Title: title, Payload: handover.PayloadHandoff}}
		}
	case handover.TextBack:
	}
	return m
}

func (s *step) locale() string {
	if s.th.rec.Profile == nil {
		return ""
	}
	return s.th.rec.Profile.Locale
}

// messages renders what the script says. Where the answer must disclose that it
// is automated, its first text says so, or a text before it.
func (s *step) messages(said []bot.Message, disclose bool) []*effect {
	effects := make([]*effect, 0, len(said)+1)
	for _, m := range said {
		effects = append(effects, &effect{Call: callSaid, Message: message(m)})
	}
	disclosure := s.pg.Texts.Disclosure.in(s.locale())
	if !disclose || disclosure == "" || len(effects) == 0 {
		return effects
	}
	first := effects[0].Message
	limit := maxText
	if len(first.Buttons) > 0 {
		limit = 640
	}
	joined := disclosure + "\n\n" + first.Text
	if first.Text != "" && utf8.RuneCountInString(joined) <= limit {
		first.Text = joined
		return effects
	}
	return append([]*effect{{Call: callSaid, Message: &graph.Message{Text: disclosure}}}, effects...)
}

// message turns what the script says into what Graph is sent.
func message(m bot.Message) *graph.Message {
	out := &graph.Message{Text: m.Text, Buttons: buttons(m.Buttons)}
	for _, q := range m.QuickReplies {
		out.QuickReplies = append(out.QuickReplies, graph.QuickReply{Title: q.Title, Payload: q.Payload, ImageURL: q.ImageURL})
	}
	for _, c := range m.Cards {
		out.Cards = append(out.Cards, graph.Card{
			Title: c.Title, Subtitle: c.Subtitle, ImageURL: c.ImageURL, URL: c.URL, Buttons: buttons(c.Buttons),
		})
	}
	if m.Media != nil {
		out.Media = &graph.Media{Type: graph.MediaType(m.Media.Type), URL: m.Media.URL}
	}
	return out
}

func buttons(bs []bot.Button) []graph.Button {
	var out []graph.Button
	for _, b := range bs {
		out = append(out, graph.Button{Title: b.Title, Payload: b.Payload, URL: b.URL})
	}
	return out
}
