package graph

import (
	"cmp"
	"context"
	"net/http"

	"usher/messenger"
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
	var answer struct {
		MessageID messenger.MessageID `json:"message_id"`
	}
	err = c.do(ctx, call{
		method: http.MethodPost, edge: edgeMessages, path: c.page + "/" + edgeMessages,
		person: psid, body: m.wire(r), words: m.words(),
	}, &answer)
	return answer.MessageID, err
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

// words are the parts of m that belong to the conversation.
func (m Message) words() []string {
	words := []string{m.Text}
	for _, q := range m.QuickReplies {
		words = append(words, q.Title, q.Payload)
	}
	cards := append([]Card{{Buttons: m.Buttons}}, m.Cards...)
	for _, card := range cards {
		words = append(words, card.Title, card.Subtitle)
		for _, b := range card.Buttons {
			words = append(words, b.Title, b.Payload, b.URL)
		}
	}
	return words
}

// What POST /{PAGE}/messages reads:
//
//	{"recipient":{"id":"…"},"messaging_type":"RESPONSE","message":{"text":"…"},
//	 "thread_control":{"control_type":"pass","app_id":"…"}}
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
type (
	wireSend struct {
		Recipient     recipient     `json:"recipient"`
		MessagingType MessagingType `json:"messaging_type"`
		Tag           Tag           `json:"tag,omitempty"`
		Message       wireMessage   `json:"message"`
		Notification  Notification  `json:"notification_type,omitempty"`
		Persona       string        `json:"persona_id,omitempty"`
		ReplyTo       *wireReplyTo  `json:"reply_to,omitempty"`
		Control       *wireControl  `json:"thread_control,omitempty"`
	}
	wireAction struct {
		Recipient recipient `json:"recipient"`
		Action    Action    `json:"sender_action"`
	}
	wireMessage struct {
		Text         string           `json:"text,omitempty"`
		Attachment   *wireAttachment  `json:"attachment,omitempty"`
		QuickReplies []wireQuickReply `json:"quick_replies,omitempty"`
		Metadata     string           `json:"metadata,omitempty"`
	}
	wireQuickReply struct {
		ContentType string `json:"content_type"`
		Title       string `json:"title"` // both are there even when empty
		Payload     string `json:"payload"`
		ImageURL    string `json:"image_url,omitempty"`
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
	wireReplyTo struct {
		MID messenger.MessageID `json:"mid"`
	}
	wireControl struct {
		Type string          `json:"control_type"`
		App  messenger.AppID `json:"app_id,omitempty"`
	}
)

func (m Message) wire(r recipient) wireSend {
	w := wireSend{
		Recipient: r, MessagingType: m.Type, Tag: m.Tag, Notification: m.Notification, Persona: m.Persona,
		Message: wireMessage{Metadata: m.Metadata},
	}
	w.MessagingType = cmp.Or(w.MessagingType, TypeResponse)
	switch {
	case len(m.Buttons) > 0:
		w.Message.Attachment = &wireAttachment{"template", wirePayload{Template: "button", Text: m.Text, Buttons: m.Buttons}}
	case len(m.Cards) > 0:
		w.Message.Attachment = &wireAttachment{"template", wirePayload{Template: "generic", Elements: elements(m.Cards)}}
	case m.Media != nil:
		w.Message.Attachment = &wireAttachment{string(m.Media.Type), wirePayload{URL: m.Media.URL, AttachmentID: m.Media.AttachmentID}}
	default:
		w.Message.Text = m.Text
	}
	for _, q := range m.QuickReplies {
		w.Message.QuickReplies = append(w.Message.QuickReplies, wireQuickReply{"text", q.Title, q.Payload, q.ImageURL})
	}
	if m.ReplyTo != "" {
		w.ReplyTo = &wireReplyTo{m.ReplyTo}
	}
	if m.Control != nil {
		w.Control = &wireControl{Type: "pass", App: m.Control.Pass}
		if m.Control.Release {
			w.Control.Type = "release"
		}
	}
	return w
}

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
