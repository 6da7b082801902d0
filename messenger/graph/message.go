package graph

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"usher/messenger"
)

// Message is one message to a customer: exactly one of Text (with Buttons, if
// any), Cards and Media. The JSON form is ours, to be stored; it is not Meta's.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
type Message struct {
	// Text is 1 to 2000 characters, 1 to 640 with Buttons.
	Text string `json:"text,omitempty"`
	// QuickReplies are at most 13. They vanish with the next message, so they
	// belong on the last one of an answer.
	QuickReplies []QuickReply `json:"quick_replies,omitempty"`
	// Buttons stand under Text and stay; at most 3.
	Buttons []Button `json:"buttons,omitempty"`
	// Cards are shown side by side; at most 10.
	Cards []Card `json:"cards,omitempty"`
	Media *Media `json:"media,omitempty"`
	// Metadata comes back in the message's echo; at most 1000 characters.
	Metadata string `json:"metadata,omitempty"`
	// Type defaults to TypeResponse.
	Type MessagingType `json:"type,omitempty"`
	// Tag goes with TypeTag only.
	Tag Tag `json:"tag,omitempty"`
	// Persona is the id of a persona to speak as.
	Persona string `json:"persona,omitempty"`
	// ReplyTo is the message that this one answers.
	ReplyTo      messenger.MessageID `json:"reply_to,omitempty"`
	Notification Notification        `json:"notification,omitempty"`
	// Control moves thread control after the message is sent, in the same call.
	Control *Control `json:"control,omitempty"`
}

// MessagingType says why a message is sent.
type MessagingType string

// The messaging types.
const (
	TypeResponse MessagingType = "RESPONSE"    // to what the customer did within 24 h
	TypeUpdate   MessagingType = "UPDATE"      // of our own accord, within 24 h
	TypeTag      MessagingType = "MESSAGE_TAG" // later, with a Tag
	TypeUtility  MessagingType = "UTILITY"
)

// Tag allows a message outside the 24 h window. Meta withdrew all others on 27
// April 2026; they fail with code 100.
type Tag string

// The tags.
const (
	TagHumanAgent       Tag = "HUMAN_AGENT"       // 7 days; for words that a person wrote, never a bot's
	TagCustomerFeedback Tag = "CUSTOMER_FEEDBACK" // 7 days; for the feedback template
)

// Notification is how loudly a message arrives.
type Notification string

// The notifications; "" is Regular.
const (
	Regular    Notification = "REGULAR"
	SilentPush Notification = "SILENT_PUSH"
	NoPush     Notification = "NO_PUSH"
)

// QuickReply is a choice under a message. Title is at most 20 characters (Meta
// cuts longer ones), Payload at most 1000; either is empty only with ImageURL.
type QuickReply struct {
	Title    string `json:"title,omitempty"`
	Payload  string `json:"payload,omitempty"`
	ImageURL string `json:"image_url,omitempty"`
}

// Button gives a postback with Payload (1 to 1000 characters), or opens URL:
// exactly one of them. Title is 1 to 20 characters, 30 in a menu. Its JSON form
// is Meta's and ours.
type Button struct {
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
}

// MarshalJSON adds the type that Meta wants to read.
func (b Button) MarshalJSON() ([]byte, error) {
	type plain Button
	typed := struct {
		plain

		Type string `json:"type"`
	}{plain(b), "postback"}
	if b.URL != "" {
		typed.Type = "web_url"
	}
	return json.Marshal(typed)
}

// Card has a Title (1 to 80 characters) and at least one other field: a Subtitle
// of at most 80 characters, an image, a URL that a tap opens, at most 3 Buttons.
type Card struct {
	Title    string   `json:"title"`
	Subtitle string   `json:"subtitle,omitempty"`
	ImageURL string   `json:"image_url,omitempty"`
	URL      string   `json:"url,omitempty"`
	Buttons  []Button `json:"buttons,omitempty"`
}

// Media is a file: exactly one of URL, from which Meta fetches it (10 s, 75 s for
// video), and AttachmentID, which [Client.Upload] returns. Images are at most
// 8 MB, all else 25 MB.
type Media struct {
	Type         MediaType `json:"type"`
	URL          string    `json:"url,omitempty"`
	AttachmentID string    `json:"attachment_id,omitempty"`
}

// MediaType is the type of a file.
type MediaType string

// The media types.
const (
	Image MediaType = "image"
	Audio MediaType = "audio"
	Video MediaType = "video"
	File  MediaType = "file"
)

// Control passes control to the app Pass ("" = the Page's default app), or
// releases it to nobody. It needs a Page that has a default app.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
type Control struct {
	Pass    messenger.AppID `json:"pass,omitempty"`
	Release bool            `json:"release,omitempty"`
}

// Limits of Meta, in characters. We count Unicode code points; where Meta counts
// otherwise (UTF-16, say), it may refuse a text at the very limit.
const (
	maxText         = 2000
	maxButtonText   = 640
	maxQuickReplies = 13
	maxButtons      = 3
	maxCards        = 10
	maxTitle        = 20 // of buttons and quick replies
	maxCardTitle    = 80
	maxSubtitle     = 80
	maxPayload      = 1000
	maxMetadata     = 1000
)

// faults collects what is wrong.
type faults []string

// Validate returns every fault that Meta would refuse m for, as an error that is
// ErrBadParameter and quotes nothing of m's words; nil if there is none.
func (m Message) Validate() error {
	var f faults
	f.content(m)
	f.most(len(m.QuickReplies), maxQuickReplies, "quick replies")
	for i, q := range m.QuickReplies {
		var of faults
		of.length("title", q.Title, 0, maxTitle)
		of.length("payload", q.Payload, 0, maxPayload)
		of.link("image URL", q.ImageURL)
		of.when(q.ImageURL == "" && (q.Title == "" || q.Payload == ""), "title and payload may be empty only with an image")
		f.within("quick reply", i+1, of)
	}
	f.length("metadata", m.Metadata, 0, maxMetadata)
	f.when(!oneOf(m.Type, "", TypeResponse, TypeUpdate, TypeTag, TypeUtility), "type is unknown")
	f.when(!oneOf(m.Tag, "", TagHumanAgent, TagCustomerFeedback), "tag is unknown or was withdrawn")
	f.when((m.Tag != "") != (m.Type == TypeTag), "a tag and type MESSAGE_TAG need each other")
	f.when(!oneOf(m.Notification, "", Regular, SilentPush, NoPush), "notification is unknown")
	f.when(m.Control != nil && m.Control.Release && m.Control.Pass != "", "control is either passed or released")
	return f.err("message")
}

// content checks the one thing that a message says.
func (f *faults) content(m Message) {
	said := 0
	for _, has := range [...]bool{m.Text != "", len(m.Cards) > 0, m.Media != nil} {
		if has {
			said++
		}
	}
	f.when(said != 1, "wants exactly one of text, cards and media")
	limit := maxText
	if len(m.Buttons) > 0 {
		limit = maxButtonText
		f.when(m.Text == "", "buttons need a text")
	}
	f.length("text", m.Text, 0, limit)
	f.buttons(m.Buttons)
	f.most(len(m.Cards), maxCards, "cards")
	for i, c := range m.Cards {
		var of faults
		of.length("title", c.Title, 1, maxCardTitle)
		of.length("subtitle", c.Subtitle, 0, maxSubtitle)
		of.link("image URL", c.ImageURL)
		of.link("URL", c.URL)
		of.buttons(c.Buttons)
		of.when(c.Subtitle == "" && c.ImageURL == "" && c.URL == "" && len(c.Buttons) == 0, "wants more than a title")
		f.within("card", i+1, of)
	}
	if m.Media != nil {
		f.media(*m.Media)
	}
}

func (f *faults) buttons(buttons []Button) {
	f.most(len(buttons), maxButtons, "buttons")
	for i, b := range buttons {
		f.within("button", i+1, b.faults(maxTitle))
	}
}

func (b Button) faults(title int) (f faults) {
	f.length("title", b.Title, 1, title)
	f.length("payload", b.Payload, 0, maxPayload)
	f.link("URL", b.URL)
	f.when((b.Payload == "") == (b.URL == ""), "wants either a payload or a URL")
	return f
}

func (f *faults) media(m Media) {
	f.when(!oneOf(m.Type, Image, Audio, Video, File), "media: type is unknown")
	f.when((m.URL == "") == (m.AttachmentID == ""), "media: wants either a URL or an attachment id")
	f.link("media: URL", m.URL)
}

func oneOf[T comparable](v T, of ...T) bool { return slices.Contains(of, v) }

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// within adds the faults of the n-th of some parts. What is fine, as nearly all is,
// costs no words.
func (f *faults) within(part string, n int, of faults) {
	for _, fault := range of {
		f.add("%s %d: %s", part, n, fault)
	}
}

func (f *faults) when(wrong bool, what string) {
	if wrong {
		*f = append(*f, what)
	}
}

func (f *faults) length(what, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	switch {
	case n < least:
		f.add("%s is missing", what)
	case n > most:
		f.add("%s has %d characters, at most %d are allowed", what, n, most)
	}
	if !utf8.ValidString(s) {
		f.add("%s is not UTF-8", what)
	}
}

func (f *faults) most(n, most int, what string) {
	if n > most {
		f.add("%d %s, at most %d are allowed", n, what, most)
	}
}

func (f *faults) link(what, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	f.when(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http", what+" does not begin with https://")
}

func (f *faults) err(what string) error {
	if len(*f) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", what, ErrBadParameter, strings.Join(*f, "; "))
}
