package simulator

import (
	"fmt"
	"slices"
	"time"

	"usher/messenger"
)

// From says which side of a thread a line stands on.
type From string

// The sides.
const (
	FromCustomer From = "customer"
	FromPage     From = "page"
)

// Line is one message as the customer's phone shows it.
type Line struct {
	At   time.Time           `json:"at"`
	MID  messenger.MessageID `json:"mid"`
	From From                `json:"from"`
	// App sent a line of the Page: the bot, the inbox, another one.
	App  messenger.AppID `json:"app,omitempty"`
	Text string          `json:"text,omitempty"`
	// Persona is the name with which it is signed.
	Persona string `json:"persona,omitempty"`
	// ReplyTo is the message that this one quotes.
	ReplyTo      messenger.MessageID `json:"reply_to,omitempty"`
	QuickReplies []QuickReply        `json:"quick_replies,omitempty"`
	// Tappable tells that the quick replies are still there: they vanish with the
	// next message of either side.
	Tappable bool     `json:"tappable,omitempty"`
	Buttons  []Button `json:"buttons,omitempty"`
	Cards    []Card   `json:"cards,omitempty"`
	// Template is a template's type: button, generic, media, image_grid, receipt,
	// coupon or customer_feedback.
	Template string `json:"template,omitempty"`
	// Feedback is the form of a customer_feedback template.
	Feedback *Feedback `json:"feedback,omitempty"`
	// Attachment is a medium's type: image, audio, video, file or sticker. More are
	// those of the further media, where several were sent at once.
	Attachment string   `json:"attachment,omitempty"`
	More       []string `json:"more,omitempty"`
	URL        string   `json:"url,omitempty"`
	// Reaction is what the other side thinks of it.
	Reaction string `json:"reaction,omitempty"`
	// Seen tells that the other side has seen it: the customer, or whoever answers
	// for the Page.
	Seen bool `json:"seen,omitempty"`
	// Edited counts how often the customer has changed the text.
	Edited int `json:"edited,omitempty"`
	// Metadata came with the send. No phone shows it.
	Metadata string `json:"metadata,omitempty"`
}

// QuickReply is a chip under the last message. A title over 20 characters is cut.
type QuickReply struct {
	Title    string `json:"title"`
	Payload  string `json:"payload,omitempty"`
	ImageURL string `json:"image_url,omitempty"`
}

// Button is part of a message and stays. It has a payload or opens a URL.
type Button struct {
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
}

// Card is an element of a generic template, an image of a grid, an item of a
// receipt or a coupon.
type Card struct {
	Title    string   `json:"title"`
	Subtitle string   `json:"subtitle,omitempty"`
	ImageURL string   `json:"image_url,omitempty"`
	URL      string   `json:"url,omitempty"`
	Buttons  []Button `json:"buttons,omitempty"`
}

// thread is one customer and her conversation with the Page.
type thread struct {
	psid        messenger.PSID
	first, last string
	locale      string
	blocked     bool // she blocked the Page

	acted time.Time // her last act: it opens the messaging window
	owner messenger.AppID
	until time.Time     // when the owner's control lapses
	span  time.Duration // how long it lasts after an act of hers
	came  *arrival      // by a link or an ad, until she acts
	lead  *leadForm     // that the lead app fills in with her
	lines []Line        // the newest, at most as many as room
	room  int

	typing   time.Time // until when the Page types
	own      setting   // the persistent menu that is hers alone: the value of persistent_menu
	filed    bool      // an agent clicked Done, and she has not written since
	unread   int       // what she wrote in Main that no agent has opened
	notified bool      // it was passed to the inbox, and no agent has opened it

	settingCalls window // to her settings
	tagged       window // messages with a tag
}

// add appends a line. The quick replies of the one before vanish, and the Page no
// longer types what it has said.
func (t *thread) add(l Line) {
	if n := len(t.lines); n > 0 {
		t.lines[n-1].Tappable = false
	}
	if l.From == FromPage {
		t.typing = time.Time{}
	}
	l.Tappable = len(l.QuickReplies) > 0
	t.lines = append(t.lines, l)
	if over := len(t.lines) - t.room; over > 0 {
		t.lines = slices.Delete(t.lines, 0, over+t.room/8) // some more, so that it is rare
	}
}

// see marks the lines of one side as seen by the other.
func (t *thread) see(of From) {
	for i := range t.lines {
		if t.lines[i].From == of {
			t.lines[i].Seen = true
		}
	}
}

// newest returns the last line; there must be one.
func (t *thread) newest() *Line { return &t.lines[len(t.lines)-1] }

// find returns the line of a message.
func (t *thread) find(mid messenger.MessageID) (*Line, bool) {
	i := slices.IndexFunc(t.lines, func(l Line) bool { return l.MID == mid })
	if i < 0 {
		return nil, false
	}
	return &t.lines[i], true
}

// open tells whether the customer acted less than d ago.
func (t *thread) open(now time.Time, d time.Duration) bool {
	return !t.acted.IsZero() && now.Sub(t.acted) < d
}

// thread returns the thread of a customer who may be new. The lock is held.
func (m *Meta) thread(psid messenger.PSID) *thread {
	t, ok := m.threads[psid]
	if !ok {
		t = &thread{psid: psid, room: m.opt.ThreadLines}
		m.threads[psid] = t
	}
	return t
}

// known returns the thread of a customer who exists. The lock is held.
func (m *Meta) known(psid messenger.PSID) (*thread, error) {
	t, ok := m.threads[psid]
	if !ok {
		return nil, fmt.Errorf("customer %s: %w", psid, ErrNobody)
	}
	return t, nil
}

// Transcript returns what a customer's phone shows, oldest first.
func (m *Meta) Transcript(psid messenger.PSID) []Line {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.threads[psid]; ok {
		return slices.Clone(t.lines)
	}
	return nil
}

// Owner returns the app that controls a thread and until when, or "" and the
// zero time for an idle one.
func (m *Meta) Owner(psid messenger.PSID) (messenger.AppID, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.threads[psid]
	if !ok || m.owner(t) == "" {
		return "", time.Time{}
	}
	return t.owner, t.until
}

// Window returns until when an app may write to a customer: 24 h after her last
// act; the zero time before her first.
func (m *Meta) Window(psid messenger.PSID) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.threads[psid]; ok && !t.acted.IsZero() {
		return t.acted.Add(day)
	}
	return time.Time{}
}

// Customers returns the ids of all customers, sorted.
func (m *Meta) Customers() []messenger.PSID {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := make([]messenger.PSID, 0, len(m.threads))
	for id := range m.threads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
