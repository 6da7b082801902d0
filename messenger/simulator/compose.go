package simulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"
)

// The limits of the Send API, in characters where a text is meant.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages
const (
	maxButtonText   = 640
	maxButtons      = 3
	maxQuickReplies = 13
	maxCards        = 10
	maxCardText     = 80
	maxTitle        = 20
	maxPayload      = 1000
	maxMetadata     = 1000
)

// sendMessage is the message of a send.
type sendMessage struct {
	Text         string           `json:"text"`
	Attachment   json.RawMessage  `json:"attachment"`
	QuickReplies []sendQuickReply `json:"quick_replies"`
	Metadata     string           `json:"metadata"`
}

type sendQuickReply struct {
	ContentType string          `json:"content_type"`
	Title       string          `json:"title"`
	Payload     json.RawMessage `json:"payload"` // a string or a number
	ImageURL    string          `json:"image_url"`
}

type sendAttachment struct {
	Type    string `json:"type"`
	Payload struct {
		URL          string          `json:"url"`
		AttachmentID json.RawMessage `json:"attachment_id"`
		Reusable     bool            `json:"is_reusable"`
		TemplateType string          `json:"template_type"`
		Text         string          `json:"text"`
		Buttons      []sendButton    `json:"buttons"`
		Elements     []sendCard      `json:"elements"`
		Title        string          `json:"title"` // of a feedback template
	} `json:"payload"`
}

type sendButton struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
	URL     string `json:"url"`
}

type sendCard struct {
	Title         string       `json:"title"`
	Subtitle      string       `json:"subtitle"`
	ImageURL      string       `json:"image_url"`
	DefaultAction *sendButton  `json:"default_action"`
	Buttons       []sendButton `json:"buttons"`
}

// compose makes the line that the phone will show, or refuses what breaks a
// limit. The line is what could be understood in either case.
func (m *Meta) compose(msg sendMessage) (Line, *sendAttachment, *GraphError) {
	line := Line{Text: msg.Text, Metadata: msg.Metadata}
	var attachment *sendAttachment
	if len(msg.Attachment) > 0 {
		if err := json.Unmarshal(msg.Attachment, &attachment); err != nil {
			return line, nil, bad("Param message[attachment] is not what it should be: %v", err)
		}
	}
	var refused *GraphError
	switch {
	case attachment == nil && msg.Text == "":
		refused = bad("Empty text: a message needs a text or an attachment")
	case attachment != nil && msg.Text != "":
		refused = bad("Message cannot have both text and attachment")
	case attachment == nil:
		refused = longest("message[text]", msg.Text, m.opt.Doubts.TextLimit)
	case attachment.Type == "template":
		line, refused = attachment.template(line)
	default:
		line, refused = m.media(line, attachment)
	}
	if refused == nil {
		refused = longest("message[metadata]", msg.Metadata, maxMetadata)
	}
	if refused == nil && len(msg.QuickReplies) > maxQuickReplies {
		refused = bad("Param message[quick_replies] has more than %d elements", maxQuickReplies)
	}
	for _, q := range msg.QuickReplies {
		shown, why := q.shown()
		line.QuickReplies = append(line.QuickReplies, shown)
		if refused == nil {
			refused = why
		}
	}
	return line, attachment, refused
}

// longest refuses a text of more than limit characters.
func longest(name, text string, limit int) *GraphError {
	if n := utf8.RuneCountInString(text); n > limit {
		return bad("Length of param %s must be less than or equal to %d, it is %d", name, limit, n)
	}
	return nil
}

func (q sendQuickReply) shown() (QuickReply, *GraphError) {
	out := QuickReply{Title: q.Title, Payload: flexible(q.Payload), ImageURL: q.ImageURL}
	if runes := []rune(q.Title); len(runes) > maxTitle {
		out.Title = string(runes[:maxTitle])
	}
	switch q.ContentType {
	case "user_phone_number", "user_email":
		return out, nil
	case "text":
	default:
		return out, bad("Param message[quick_replies][content_type] must be one of {TEXT, USER_PHONE_NUMBER, USER_EMAIL}")
	}
	if (out.Title == "" || out.Payload == "") && out.ImageURL == "" {
		return out, bad("A quick reply without image_url needs a title and a payload")
	}
	return out, longest("message[quick_replies][payload]", out.Payload, maxPayload)
}

// media checks an image, audio, video or file.
func (m *Meta) media(line Line, a *sendAttachment) (Line, *GraphError) {
	line.Attachment, line.URL = a.Type, a.Payload.URL
	if !slices.Contains([]string{"image", "audio", "video", "file"}, a.Type) {
		return line, bad("Param message[attachment][type] must be one of {AUDIO, FILE, IMAGE, TEMPLATE, VIDEO}")
	}
	if id := flexible(a.Payload.AttachmentID); id != "" {
		if m.uploads.kinds[id] != a.Type {
			return line, refuse(100, 2018074, "(#100) Invalid attachment ID, or you do not own the attachment")
		}
		line.URL = "attachment:" + id
		return line, nil
	}
	return line, fetchable(a.Payload.URL)
}

// fetchable refuses what cannot be fetched, judged by its address.
func fetchable(address string) *GraphError {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return refuse(100, 2018008, "(#100) Failed to fetch the file from the url")
	}
	return nil
}

// template checks a template: button, generic and customer_feedback are known.
func (a *sendAttachment) template(line Line) (Line, *GraphError) {
	p := a.Payload
	switch p.TemplateType {
	case "button":
		line.Text = p.Text
		if p.Text == "" {
			return line, bad("Param message[attachment][payload][text] is required")
		}
		if refused := longest("message[attachment][payload][text]", p.Text, maxButtonText); refused != nil {
			return line, refused
		}
		if len(p.Buttons) == 0 {
			return line, bad("Param message[attachment][payload][buttons] needs 1 to %d elements", maxButtons)
		}
		var refused *GraphError
		line.Buttons, refused = buttons(p.Buttons)
		return line, refused
	case "generic":
		if len(p.Elements) == 0 || len(p.Elements) > maxCards {
			return line, bad("Param message[attachment][payload][elements] needs 1 to %d elements", maxCards)
		}
		for _, e := range p.Elements {
			card, refused := e.shown()
			line.Cards = append(line.Cards, card)
			if refused != nil {
				return line, refused
			}
		}
		return line, nil
	case "customer_feedback":
		line.Text = p.Title
		return line, longest("message[attachment][payload][title]", p.Title, 65)
	}
	return line, bad("Param message[attachment][payload][template_type] %q: the simulator knows button, generic and customer_feedback", p.TemplateType)
}

func (e sendCard) shown() (Card, *GraphError) {
	card := Card{Title: e.Title, Subtitle: e.Subtitle, ImageURL: e.ImageURL}
	if e.DefaultAction != nil {
		card.URL = e.DefaultAction.URL
	}
	if e.Title == "" || e.Subtitle == "" && e.ImageURL == "" && e.DefaultAction == nil && len(e.Buttons) == 0 {
		return card, bad("A generic element needs a title and at least one other field")
	}
	for _, text := range []string{e.Title, e.Subtitle} {
		if refused := longest("elements[title, subtitle]", text, maxCardText); refused != nil {
			return card, refused
		}
	}
	var refused *GraphError
	card.Buttons, refused = buttons(e.Buttons)
	return card, refused
}

func buttons(in []sendButton) (out []Button, _ *GraphError) {
	if len(in) > maxButtons {
		return nil, bad("Param buttons has more than %d elements", maxButtons)
	}
	for _, b := range in {
		if b.Title == "" {
			return out, bad("Param buttons[title] is required")
		}
		if refused := longest("buttons[title]", b.Title, maxTitle); refused != nil {
			return out, refused
		}
		if refused := b.check(); refused != nil {
			return out, refused
		}
		out = append(out, Button{Title: b.Title, Payload: b.Payload, URL: b.URL})
	}
	return out, nil
}

// check wants what the button's type needs. Its title is checked elsewhere.
func (b sendButton) check() *GraphError {
	switch b.Type {
	case "postback", "phone_number":
		if b.Payload == "" {
			return bad("Param payload is required for a %s button", b.Type)
		}
		return longest("buttons[payload]", b.Payload, maxPayload)
	case "web_url":
		return fetchable(b.URL)
	}
	return bad("Param buttons[type] %q: the simulator knows postback, web_url and phone_number", b.Type)
}
