package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usher/messenger"
)

// Why a person cannot do what a test wants.
var (
	// ErrNobody reports a PSID that no [Meta.Customer] has made.
	ErrNobody = errors.New("no such customer")
	// ErrNotThere reports something to tap that the phone does not show.
	ErrNotThere = errors.New("not on the phone")
	// ErrLink reports a button that opens a page, so that no app is told.
	ErrLink = errors.New("it opens a link")
	// ErrWindow reports an agent who answers after 7 days or before the customer
	// has ever written.
	ErrWindow = errors.New("outside the 7 days in which an agent may answer")

	errCut       = errors.New("the connection was cut")
	errNoWebhook = errors.New("no webhook to verify")
	errChallenge = errors.New("the challenge was not returned")
)

// Customer is a person with the Page's thread on her phone.
type Customer struct {
	m *Meta
	t *thread
}

// Customer returns the customer of that id, who may be new.
func (m *Meta) Customer(psid messenger.PSID) *Customer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Customer{m: m, t: m.thread(psid)}
}

// Named gives her a name, which the profile edge tells once she has written. A
// customer without one has no profile there.
func (c *Customer) Named(first, last string) *Customer {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.t.first, c.t.last = first, last
	return c
}

// Speaks sets her locale: en_US.
func (c *Customer) Speaks(locale string) *Customer {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.t.locale = locale
	return c
}

// PSID returns her id on this Page.
func (c *Customer) PSID() messenger.PSID { return c.t.psid }

// Says writes a text.
func (c *Customer) Says(text string) (messenger.MessageID, error) {
	if text == "" {
		return "", fmt.Errorf("say nothing: %w", ErrNotThere)
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.writes("says", Line{Text: text}, message{Text: text}), nil
}

// RepliesTo writes a text that quotes a message of either side.
func (c *Customer) RepliesTo(mid messenger.MessageID, text string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if _, ok := c.t.find(mid); !ok || text == "" {
		return "", fmt.Errorf("reply %q to %s: %w", text, mid, ErrNotThere)
	}
	return c.writes("replies", Line{Text: text, ReplyTo: mid}, message{Text: text}), nil
}

// maxEdits is how often a message can be changed.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/message-edits
const maxEdits = 5

// Edits changes a text that she has written, at most five times. (She can unsend
// one as well, but Meta documents no webhook for that on Messenger: no app would
// learn of it.)
func (c *Customer) Edits(mid messenger.MessageID, text string) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	l, ok := c.t.find(mid)
	if !ok || l.From != FromCustomer || l.Text == "" || text == "" || l.Edited >= maxEdits {
		return fmt.Errorf("edit %s: %w: it must be a text of hers, changed fewer than %d times", mid, ErrNotThere, maxEdits)
	}
	l.Text = text
	l.Edited++
	c.tellEach("edits", text, event{
		kind: messenger.KindEdit, field: fieldEdits, mid: mid, item: item{Edit: &messageEdit{MID: mid, Text: text, Count: l.Edited}},
	})
	return nil
}

// Sends sends media, several at once in one message: image, audio, video, file or
// sticker; "like" is the thumbs-up sticker. A caption is a message of its own.
func (c *Customer) Sends(kinds ...string) (messenger.MessageID, error) {
	if len(kinds) == 0 {
		return "", fmt.Errorf("send nothing: %w", ErrNotThere)
	}
	var msg message
	types := make([]string, len(kinds))
	for i, kind := range kinds {
		payload := map[string]any{"url": cdn + kind}
		switch kind {
		case "image", "audio", "video", "file":
		case "sticker", "like":
			kind = "sticker"
			payload["sticker_id"] = json.RawMessage(messenger.LikeSticker)
		default:
			return "", fmt.Errorf("send a %q: %w: image, audio, video, file, sticker and like are", kind, ErrNotThere)
		}
		types[i] = kind
		msg.Attachments = append(msg.Attachments, mustMarshal(map[string]any{"type": kind, "payload": payload}))
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.writes("sends", Line{Attachment: types[0], More: types[1:]}, msg), nil
}

// cdn is where media lie. Nothing is there.
const cdn = "https://cdn.invalid/"

// Reacts reacts to the Page's last message: smile, angry, sad, wow, love, like,
// dislike, or any other emoji as it stands. It opens the messaging window again.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/message-reactions
func (c *Customer) Reacts(with string) error {
	r := reaction{Reaction: with, Action: "react"}
	r.Emoji = map[string]string{"smile": "😆", "angry": "😠", "sad": "😢", "wow": "😮", "love": "❤", "like": "👍", "dislike": "👎"}[with]
	if r.Emoji == "" {
		if strings.ContainsFunc(with, func(r rune) bool { return r < 0x2000 }) || with == "" { // words are no emoji
			return fmt.Errorf("react with %q: %w", with, ErrNotThere)
		}
		r.Reaction, r.Emoji = "other", with
	}
	return c.reacts(r, func(l *Line) bool {
		l.Reaction = with
		return true
	})
}

// Unreacts takes back her newest reaction. That is no act which opens the window.
func (c *Customer) Unreacts() error {
	return c.reacts(reaction{Action: "unreact"}, func(l *Line) bool {
		had := l.Reaction != ""
		l.Reaction = ""
		return had
	})
}

// reacts tells r of the Page's newest message on which change does something.
func (c *Customer) reacts(r reaction, change func(*Line) bool) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for i := range slices.Backward(c.t.lines) {
		l := &c.t.lines[i]
		if l.From != FromPage || !change(l) {
			continue
		}
		r.MID = l.MID
		if r.Action == "react" {
			c.m.customerActs(c.t)
		}
		c.tellEach(r.Action+"s", l.Reaction, event{kind: messenger.KindReaction, field: fieldReactions, mid: l.MID, item: item{Reaction: &r}})
		return nil
	}
	return fmt.Errorf("%s: %w: there is no message of the Page for that", r.Action, ErrNotThere)
}

// Reads has read everything so far.
func (c *Customer) Reads() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.t.see(FromPage)
	c.tellEach("reads", "", event{
		kind: messenger.KindRead, field: fieldReads, item: item{Read: &read{Watermark: c.m.now().UnixMilli()}},
	})
	return nil
}

// Blocks blocks the Page, or lets it write again: sends are refused with code
// 551, subcode 1545041.
func (c *Customer) Blocks(blocked bool) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.t.blocked = blocked
}

// writes sends a message, as a line on the phone and as an event.
func (c *Customer) writes(what string, l Line, msg message) messenger.MessageID {
	quote := c.t.quote(Line{From: FromCustomer, ReplyTo: l.ReplyTo})
	mid := c.shows(&l)
	msg.MID, msg.ReplyTo = mid, quote
	c.m.customerActs(c.t)
	if c.m.filling(c.t) {
		c.m.asks(c.t, or(l.Text, l.Attachment))
	} else {
		c.tellMessage(mid, msg)
	}
	c.m.record(Entry{Act: &Act{Who: "customer", What: what, Text: or(l.Text, l.Attachment), PSID: c.t.psid, MID: mid}})
	return mid
}

// tellMessage tells the apps what she wrote, and how she came.
func (c *Customer) tellMessage(mid messenger.MessageID, msg message) {
	kind := messenger.KindMessage
	if msg.QuickReply != nil {
		kind = messenger.KindQuickReply
	}
	came := c.t.arrived()
	if came != nil && came.Source != sourceAd {
		c.m.tellReferral(c.t, *came, nil)
		came = nil
	}
	c.m.tellAll(c.t, func(a *app, channel Channel) (event, Channel) {
		told := msg
		if slices.Contains(a.fields, fieldReferrals) {
			told.Referral = came
		}
		if channel == Standby && c.m.opt.Doubts.QuickReplyHidden {
			told.QuickReply = nil
		}
		return event{kind: kind, field: fieldMessages, mid: mid, item: item{Message: &told}}, channel
	})
}

func (c *Customer) shows(l *Line) messenger.MessageID {
	l.At, l.From, l.MID = c.m.now(), FromCustomer, messenger.MessageID(c.m.next("m_"))
	c.t.add(*l)
	if c.t.filed = false; c.m.inMain(c.t) {
		c.t.unread++
	}
	return l.MID
}

// tellEach tells the apps an act of hers.
func (c *Customer) tellEach(what, text string, e event) {
	c.m.tellEach(c.t, e)
	c.m.record(Entry{Act: &Act{Who: "customer", What: what, Text: text, PSID: c.t.psid, MID: e.mid}})
}
