package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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

// cdn is where media lie. Nothing is there.
const cdn = "https://cdn.invalid/"

// Sends sends a medium: image, audio, video, file or sticker; "like" is the
// thumbs-up sticker.
func (c *Customer) Sends(kind string) (messenger.MessageID, error) {
	payload := map[string]any{"url": cdn + kind}
	switch kind {
	case "image", "audio", "video", "file":
	case "sticker", "like":
		kind = "sticker"
		payload["sticker_id"] = json.RawMessage(messenger.LikeSticker)
	default:
		return "", fmt.Errorf("send a %q: %w: image, audio, video, file, sticker and like are", kind, ErrNotThere)
	}
	raw, err := json.Marshal(map[string]any{"type": kind, "payload": payload})
	if err != nil {
		return "", err
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.writes("sends", Line{Attachment: kind}, message{Attachments: []json.RawMessage{raw}}), nil
}

// TapsQuickReply taps a quick reply of the last message. It fails with
// ErrNotThere when there is none of that title: they vanish with the next
// message of either side.
func (c *Customer) TapsQuickReply(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if n := len(c.t.lines); n > 0 {
		for _, q := range c.t.lines[n-1].QuickReplies {
			if q.Title == title {
				return c.writes("taps quick reply", Line{Text: title}, message{Text: title, QuickReply: &tapped{Payload: q.Payload}}), nil
			}
		}
	}
	return "", fmt.Errorf("tap quick reply %q: %w", title, ErrNotThere)
}

// TapsButton taps the newest button of that title, of any message or card.
func (c *Customer) TapsButton(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for _, l := range slices.Backward(c.t.lines) {
		all := slices.Clone(l.Buttons)
		for _, card := range l.Cards {
			all = append(all, card.Buttons...)
		}
		for _, b := range all {
			if b.Title == title {
				if b.Payload == "" {
					return "", fmt.Errorf("tap button %q: %w", title, ErrLink)
				}
				return c.posts(title, b.Payload, l.App, false), nil
			}
		}
	}
	return "", fmt.Errorf("tap button %q: %w", title, ErrNotThere)
}

// TapsMenu taps an item of the persistent menu, see [Phone].
func (c *Customer) TapsMenu(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	items, by := c.m.menuOf(c.t)
	for _, b := range items {
		if b.Title == title {
			if b.Type == "web_url" {
				return "", fmt.Errorf("tap menu item %q: %w", title, ErrLink)
			}
			return c.posts(title, b.Payload, by, true), nil
		}
	}
	return "", fmt.Errorf("tap menu item %q: %w", title, ErrNotThere)
}

// Starts taps Get Started, which is there before the first message only, and only
// without ice breakers.
func (c *Customer) Starts() (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.m.startable(c.t) {
		return "", fmt.Errorf("tap Get Started: %w", ErrNotThere)
	}
	set := c.m.profile.fields[getStarted]
	var button struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(set.value, &button); err != nil {
		return "", fmt.Errorf("tap Get Started: %w", err)
	}
	return c.posts("Get Started", button.Payload, set.by, false), nil
}

// TapsIceBreaker taps one of the questions that are there before the first message.
func (c *Customer) TapsIceBreaker(text string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if len(c.t.lines) == 0 {
		for _, q := range c.m.questionsTo(c.t) {
			if q.Question == text {
				return c.posts(text, q.Payload, c.m.profile.fields[starters].by, false), nil
			}
		}
	}
	return "", fmt.Errorf("tap ice breaker %q: %w", text, ErrNotThere)
}

// Reacts reacts to the Page's last message: smile, angry, sad, wow, love, like,
// dislike. It opens the messaging window again.
func (c *Customer) Reacts(name string) error {
	emoji := map[string]string{"smile": "😆", "angry": "😠", "sad": "😢", "wow": "😮", "love": "❤", "like": "👍", "dislike": "👎"}[name]
	if emoji == "" {
		return fmt.Errorf("react with %q: %w", name, ErrNotThere)
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for i := range slices.Backward(c.t.lines) {
		l := &c.t.lines[i]
		if l.From != FromPage {
			continue
		}
		l.Reaction = name
		c.m.customerActs(c.t)
		r := reaction{Reaction: name, Emoji: emoji, Action: "react", MID: l.MID}
		c.tellAll("reacts", event{kind: messenger.KindReaction, field: fieldReactions, mid: l.MID, item: item{Reaction: &r}})
		return nil
	}
	return fmt.Errorf("react: %w: the Page has said nothing", ErrNotThere)
}

// Reads has read everything so far.
func (c *Customer) Reads() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.t.see(FromPage)
	c.tellAll("reads", event{
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
	mid := c.shows(&l)
	msg.MID = mid
	c.m.customerActs(c.t)
	kind := messenger.KindMessage
	if msg.QuickReply != nil {
		kind = messenger.KindQuickReply
	}
	c.m.tellAll(c.t, func(_ *app, channel Channel) (event, Channel) {
		told := msg
		if channel == Standby && c.m.opt.Doubts.QuickReplyHidden {
			told.QuickReply = nil
		}
		return event{kind: kind, field: fieldMessages, mid: mid, item: item{Message: &told}}, channel
	})
	c.m.record(Entry{Act: &Act{Who: "customer", What: what, Text: or(l.Text, l.Attachment), PSID: c.t.psid, MID: mid}})
	return mid
}

// posts sends a postback. The app whose button it is gets it with its payload,
// on the messaging channel whoever has control; others get it without.
func (c *Customer) posts(title, payload string, by messenger.AppID, ofMenu bool) messenger.MessageID {
	l := Line{Text: title}
	mid := c.shows(&l)
	c.m.customerActs(c.t)
	c.m.tellAll(c.t, func(a *app, channel Channel) (event, Channel) {
		p := postback{MID: mid, Title: title}
		hidden := ofMenu && c.m.opt.Doubts.MenuHidden && channel == Standby
		if a.id == by && !hidden {
			p.Payload, channel = payload, Messaging
		}
		return event{kind: messenger.KindPostback, field: fieldPostbacks, mid: mid, item: item{Postback: &p}}, channel
	})
	c.m.record(Entry{Act: &Act{Who: "customer", What: "taps", Text: title, PSID: c.t.psid, MID: mid}})
	return mid
}

func (c *Customer) shows(l *Line) messenger.MessageID {
	l.At, l.From, l.MID = c.m.now(), FromCustomer, messenger.MessageID(c.m.next("m_"))
	c.t.add(*l)
	if c.t.filed = false; c.m.inMain(c.t) {
		c.t.unread++
	}
	return l.MID
}

func (c *Customer) tellAll(what string, e event) {
	c.m.tellAll(c.t, func(_ *app, channel Channel) (event, Channel) { return e, channel })
	c.m.record(Entry{Act: &Act{Who: "customer", What: what, PSID: c.t.psid, MID: e.mid}})
}
