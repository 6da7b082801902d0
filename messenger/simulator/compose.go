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
	maxButtons      = 3
	maxQuickReplies = 13
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

// sendAttachment is a medium or a template.
type sendAttachment struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// sendMedium is the payload of an image, audio, video or file.
type sendMedium struct {
	URL          string          `json:"url"`
	AttachmentID json.RawMessage `json:"attachment_id"`
	Reusable     bool            `json:"is_reusable"`
}

// sendButton is a button, an item of a menu or an ice breaker.
type sendButton struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Payload  string `json:"payload"`
	URL      string `json:"url"`
	Question string `json:"question"`
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
		line, refused = m.template(line, attachment.Payload)
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
	line.Attachment = a.Type
	if !slices.Contains([]string{"image", "audio", "video", "file"}, a.Type) {
		return line, bad("Param message[attachment][type] must be one of {AUDIO, FILE, IMAGE, TEMPLATE, VIDEO}")
	}
	p, refused := a.medium()
	if refused != nil {
		return line, refused
	}
	line.URL = p.URL
	if id := flexible(p.AttachmentID); id != "" {
		line.URL, refused = m.uploaded(id, a.Type)
		return line, refused
	}
	return line, fetchable(p.URL)
}

func (a *sendAttachment) medium() (p sendMedium, _ *GraphError) {
	if len(a.Payload) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(a.Payload, &p); err != nil {
		return p, bad("Param message[attachment][payload] is not what it should be: %v", err)
	}
	return p, nil
}

// uploaded returns the address of an attachment of that id and type.
func (m *Meta) uploaded(id, kind string) (string, *GraphError) {
	if m.uploads.kinds[id] != kind {
		return "", refuse(100, 2018074, "(#100) Invalid attachment ID, or you do not own the attachment")
	}
	return "attachment:" + id, nil
}

// fetchable refuses what cannot be fetched, judged by its address.
func fetchable(address string) *GraphError {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return refuse(100, 2018008, "(#100) Failed to fetch the file from the url")
	}
	return nil
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
