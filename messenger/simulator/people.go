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

// Sends sends a medium: image, audio, video, file or sticker; "like" is the
// thumbs-up sticker.
func (c *Customer) Sends(kind string) (messenger.MessageID, error) {
	payload := map[string]any{"url": "https://cdn.invalid/" + kind}
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

// TapsMenu taps an item of the persistent menu, of her locale or the default one.
func (c *Customer) TapsMenu(title string) (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	set := c.m.profile.fields[menu]
	var menus []menuItem
	if err := json.Unmarshal(set.value, &menus); err != nil {
		return "", fmt.Errorf("tap menu item %q: %w: the Page has no menu", title, ErrNotThere)
	}
	for _, locale := range []string{c.t.locale, "default"} {
		i := slices.IndexFunc(menus, func(i menuItem) bool { return i.Locale == locale })
		if i < 0 {
			continue
		}
		for _, b := range menus[i].Calls {
			if b.Title == title {
				if b.Type == "web_url" {
					return "", fmt.Errorf("tap menu item %q: %w", title, ErrLink)
				}
				return c.posts(title, b.Payload, set.by, true), nil
			}
		}
		break
	}
	return "", fmt.Errorf("tap menu item %q: %w", title, ErrNotThere)
}

// Starts taps Get Started, which is there before the first message only.
func (c *Customer) Starts() (messenger.MessageID, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	set := c.m.profile.fields[getStarted]
	var button struct {
		Payload string `json:"payload"`
	}
	if json.Unmarshal(set.value, &button) != nil || len(c.t.lines) > 0 {
		return "", fmt.Errorf("tap Get Started: %w", ErrNotThere)
	}
	return c.posts("Get Started", button.Payload, set.by, false), nil
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
	return l.MID
}

func (c *Customer) tellAll(what string, e event) {
	c.m.tellAll(c.t, func(_ *app, channel Channel) (event, Channel) { return e, channel })
	c.m.record(Entry{Act: &Act{Who: "customer", What: what, PSID: c.t.psid, MID: e.mid}})
}

// Agent answers customers in the Page Inbox.
type Agent struct{ m *Meta }

// Agent returns somebody who works in the Page Inbox.
func (m *Meta) Agent() *Agent { return &Agent{m: m} }

// Replies writes to a customer. With a default app set, the inbox takes control
// of a thread that it does not control.
func (a *Agent) Replies(psid messenger.PSID, text string) (messenger.MessageID, error) {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	t, err := a.m.known(psid)
	if err != nil {
		return "", err
	}
	if !t.open(a.m.now(), maxExtension) {
		return "", fmt.Errorf("reply to %s: %w", psid, ErrWindow)
	}
	a.takes(t)
	line, _ := a.m.say(t, Line{App: a.m.opt.Inbox, Text: text}, nil)
	a.m.appSent(t, a.m.find(a.m.opt.Inbox))
	a.m.record(Entry{Act: &Act{Who: "agent", What: "replies", Text: text, PSID: psid, MID: line.MID}})
	return line.MID, nil
}

// MovesToMain moves a thread to the Main folder: the inbox takes control.
func (a *Agent) MovesToMain(psid messenger.PSID) error {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	t, err := a.m.known(psid)
	if err != nil {
		return err
	}
	a.takes(t)
	a.m.record(Entry{Act: &Act{Who: "agent", What: "moves to main", PSID: psid}})
	return nil
}

func (a *Agent) takes(t *thread) {
	if inbox := a.m.opt.Inbox; a.m.defaultApp != "" && a.m.owner(t) != inbox {
		a.m.take(t, inbox, "")
	}
}

// Done files a thread as done. If the inbox controls it, Options.Done says what
// becomes of that; otherwise nothing does.
func (a *Agent) Done(psid messenger.PSID) error {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	t, err := a.m.known(psid)
	if err != nil {
		return err
	}
	if inbox := a.m.opt.Inbox; a.m.owner(t) == inbox {
		to := a.m.defaultApp
		switch {
		case a.m.opt.Done == DoneNothing:
		case a.m.opt.Done == DoneRelease, to == "", to == inbox: // nobody to pass to
			a.m.give(t, "")
		default:
			a.m.pass(t, to, doneMetadata)
		}
	}
	a.m.record(Entry{Act: &Act{Who: "agent", What: "done", PSID: psid}})
	return nil
}
