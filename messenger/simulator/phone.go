package simulator

import (
	"encoding/json"
	"strings"
	"time"

	"usher/messenger"
)

// Phone is what a customer's phone shows.
type Phone struct {
	Lines []Line `json:"lines"`
	// Typing tells that the Page is typing: at most 20 s after typing_on, and until
	// the Page's next message.
	Typing bool `json:"typing"`
	// Menu is the persistent menu: her own (custom_user_settings), or the Page's in
	// her locale or the default one. A Page with commands shows these instead.
	Menu []Button `json:"menu,omitempty"`
	// GetStarted tells that the button is there: nothing has been said yet, and there
	// are no ice breakers in its place.
	GetStarted bool `json:"get_started"`
	// IceBreakers are questions to tap before anything has been said.
	IceBreakers []string `json:"ice_breakers,omitempty"`
	// Greeting stands above an empty thread.
	Greeting string `json:"greeting,omitempty"`
}

// typingLasts is how long a phone shows that somebody types.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/sender-actions
const typingLasts = 20 * time.Second

// Phone returns what a customer's phone shows; of somebody who does not exist it
// is empty.
func (m *Meta) Phone(psid messenger.PSID) Phone {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.threads[psid]
	if !ok {
		return Phone{Lines: []Line{}}
	}
	p := Phone{Lines: append([]Line{}, t.lines...), Typing: m.now().Before(t.typing)}
	items, _ := m.menuOf(t)
	for _, b := range items {
		p.Menu = append(p.Menu, Button{Title: b.Title, Payload: b.Payload, URL: b.URL})
	}
	if len(t.lines) > 0 {
		return p
	}
	for _, q := range m.questionsTo(t) {
		p.IceBreakers = append(p.IceBreakers, q.Question)
	}
	p.GetStarted = m.startable(t)
	text := inLocale[struct{ Text string }](m.profile.fields["greeting"].value, t.locale).Text
	p.Greeting = strings.NewReplacer("{{user_first_name}}", t.first, "{{user_last_name}}", t.last,
		"{{user_full_name}}", strings.TrimSpace(t.first+" "+t.last)).Replace(text)
	return p
}

// menuOf returns her persistent menu, and the app that set it.
func (m *Meta) menuOf(t *thread) ([]sendButton, messenger.AppID) {
	set := t.own
	if len(set.value) == 0 {
		set = m.profile.fields[menu]
	}
	if m.has("commands") {
		return nil, ""
	}
	return inLocale[localised](set.value, t.locale).Calls, set.by
}

// question is an ice breaker.
type question struct{ Question, Payload string }

// questionsTo returns her ice breakers.
func (m *Meta) questionsTo(t *thread) []question {
	return inLocale[struct {
		Calls []question `json:"call_to_actions"`
	}](m.profile.fields[starters].value, t.locale).Calls
}

// startable tells whether she sees Get Started.
func (m *Meta) startable(t *thread) bool {
	return m.has(getStarted) && len(t.lines) == 0 && len(m.questionsTo(t)) == 0
}

// inLocale returns the element of a setting in that locale, or else in the default
// one; the zero value if there is neither.
func inLocale[T any](setting json.RawMessage, locale string) (v T) {
	type element struct {
		Locale string `json:"locale"`
	}
	var all []json.RawMessage
	if json.Unmarshal(setting, &all) != nil {
		return v // nothing is set
	}
	for _, want := range []string{locale, "default"} {
		for _, raw := range all {
			var e element
			if json.Unmarshal(raw, &e) == nil && or(e.Locale, "default") == want && json.Unmarshal(raw, &v) == nil {
				return v
			}
		}
	}
	return v
}

// acts carries out a sender action of the app that answers.
func (m *Meta) acts(t *thread, c *call, action string) *GraphError {
	switch action {
	case "typing_on":
		t.typing = m.now().Add(typingLasts)
	case "typing_off":
		t.typing = time.Time{}
	case "mark_seen":
		t.see(FromCustomer)
	case "react", "unreact":
		var on struct {
			MID      messenger.MessageID `json:"message_id"`
			Reaction string              `json:"reaction"`
		}
		if refused := c.params.object("payload", &on); refused != nil {
			return refused
		}
		l, ok := t.find(on.MID)
		switch {
		case !ok || l.From != FromCustomer:
			return bad("Param payload[message_id] must be a message of the person")
		case action == "unreact":
			on.Reaction = ""
		case on.Reaction == "":
			return bad("Param payload[reaction] is required")
		}
		l.Reaction, c.entry.MID = on.Reaction, on.MID
	}
	return nil
}
