package graph

import (
	"cmp"
	"context"
	"net/http"

	"usher/messenger"
	"usher/messenger/flatjson"
)

const edgeMessages = "messages"

// Send sends m and returns its mid, which is empty where the answer tells none. An
// invalid m is not sent, see [Message.Validate].
//
// A message with a Media.URL can outlast the timeout while Meta fetches the
// file; send what [Client.Upload] returned instead.
func (c *Client) Send(ctx context.Context, psid messenger.PSID, m Message) (messenger.MessageID, error) {
	r, err := to(edgeMessages, psid)
	if err != nil {
		return "", err
	}
	if err := m.Validate(); err != nil {
		return "", err
	}
	var answer sent
	err = c.do(ctx, call{
		method: http.MethodPost, edge: edgeMessages, path: c.page + "/" + edgeMessages,
		person: psid, body: &said{m, r},
	}, &answer)
	return answer.MessageID, err
}

// sent is the answer to a message.
type sent struct {
	MessageID messenger.MessageID `json:"message_id"`
}

func (s *sent) readFlat(text string) bool {
	r := flatjson.NewReader(text)
	r.String("recipient_id")
	mid := r.String("message_id")
	if !r.Done() {
		return false
	}
	s.MessageID = messenger.MessageID(mid)
	return true
}

// Action is something that the customer sees without a message.
type Action string

// The actions.
const (
	TypingOn  Action = "typing_on" // ends by itself after 20 s, or with the next message
	TypingOff Action = "typing_off"
	MarkSeen  Action = "mark_seen"
)

// Action shows a. It is a courtesy: callers go on when it fails.
func (c *Client) Action(ctx context.Context, psid messenger.PSID, a Action) error {
	r, err := to(edgeMessages, psid)
	if err != nil {
		return err
	}
	if !oneOf(a, TypingOn, TypingOff, MarkSeen) {
		return bad(edgeMessages, "unknown action %q", a)
	}
	var answer struct{} // the recipient once more
	return c.do(ctx, call{
		method: http.MethodPost, edge: edgeMessages, path: c.page + "/" + edgeMessages,
		person: psid, body: wireAction{r, a},
	}, &answer)
}

// said is a message as POST /{PAGE}/messages reads it:
//
//	{"recipient":{"id":"…"},"messaging_type":"RESPONSE","message":{"text":"…"},
//	 "thread_control":{"control_type":"pass","app_id":"…"}}
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
type said struct {
	Message

	to recipient
}

// words are the parts of a message that belong to the conversation.
func (s *said) words() []string {
	words := []string{s.Text}
	for _, q := range s.QuickReplies {
		words = append(words, q.Title, q.Payload)
	}
	cards := append([]Card{{Buttons: s.Buttons}}, s.Cards...)
	for _, card := range cards {
		words = append(words, card.Title, card.Subtitle)
		for _, b := range card.Buttons {
			words = append(words, b.Title, b.Payload, b.URL)
		}
	}
	return words
}

func (s *said) writeFlat(w *flatjson.Writer) {
	w.Begin("recipient", '{')
	w.String("id", string(s.to.ID))
	w.End('}')
	w.String("messaging_type", string(cmp.Or(s.Type, TypeResponse)))
	w.OptString("tag", string(s.Tag))
	w.Begin("message", '{')
	if a := s.attachment(); a != nil {
		w.Any("attachment", a)
	} else {
		w.OptString("text", s.Text)
	}
	s.writeQuickReplies(w)
	w.OptString("metadata", s.Metadata)
	w.End('}')
	w.OptString("notification_type", string(s.Notification))
	w.OptString("persona_id", s.Persona)
	if s.ReplyTo != "" {
		w.Begin("reply_to", '{')
		w.String("mid", string(s.ReplyTo))
		w.End('}')
	}
	if s.Control != nil {
		kind := "pass"
		if s.Control.Release {
			kind = "release"
		}
		w.Begin("thread_control", '{')
		w.String("control_type", kind)
		w.OptString("app_id", string(s.Control.Pass))
		w.End('}')
	}
}

func (s *said) writeQuickReplies(w *flatjson.Writer) {
	if len(s.QuickReplies) == 0 {
		return
	}
	w.Begin("quick_replies", '[')
	for _, q := range s.QuickReplies {
		w.Begin("", '{')
		w.String("content_type", "text")
		w.String("title", q.Title) // both are there even when empty
		w.String("payload", q.Payload)
		w.OptString("image_url", q.ImageURL)
		w.End('}')
	}
	w.End(']')
}

// attachment is what a message carries in the place of a text; nil for a text.
func (s *said) attachment() *wireAttachment {
	switch {
	case len(s.Buttons) > 0:
		return &wireAttachment{"template", wirePayload{Template: "button", Text: s.Text, Buttons: s.Buttons}}
	case len(s.Cards) > 0:
		return &wireAttachment{"template", wirePayload{Template: "generic", Elements: elements(s.Cards)}}
	case s.Media != nil:
		return &wireAttachment{string(s.Media.Type), wirePayload{URL: s.Media.URL, AttachmentID: s.Media.AttachmentID}}
	}
	return nil
}

// The parts of what is sent that are rare.
type (
	wireAction struct {
		Recipient recipient `json:"recipient"`
		Action    Action    `json:"sender_action"`
	}
	wireAttachment struct {
		Type    string      `json:"type"` // a MediaType, or "template"
		Payload wirePayload `json:"payload"`
	}
	wirePayload struct { // of media, then of templates
		URL          string        `json:"url,omitempty"`
		AttachmentID string        `json:"attachment_id,omitempty"`
		Reusable     bool          `json:"is_reusable,omitempty"`
		Template     string        `json:"template_type,omitempty"`
		Text         string        `json:"text,omitempty"`
		Buttons      []Button      `json:"buttons,omitempty"`
		Elements     []wireElement `json:"elements,omitempty"`
	}
	wireElement struct {
		Title    string       `json:"title"`
		Subtitle string       `json:"subtitle,omitempty"`
		ImageURL string       `json:"image_url,omitempty"`
		Tap      *wireOpenURL `json:"default_action,omitempty"`
		Buttons  []Button     `json:"buttons,omitempty"`
	}
	wireOpenURL struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	}
)

func elements(cards []Card) []wireElement {
	es := make([]wireElement, 0, len(cards))
	for _, c := range cards {
		e := wireElement{Title: c.Title, Subtitle: c.Subtitle, ImageURL: c.ImageURL, Buttons: c.Buttons}
		if c.URL != "" {
			e.Tap = &wireOpenURL{"web_url", c.URL}
		}
		es = append(es, e)
	}
	return es
}
