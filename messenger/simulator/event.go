package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf16"

	"usher/messenger"
)

// What webhooks look like on the wire.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events

// envelope is the body of one delivery.
type envelope struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

// entry has either messaging or standby.
type entry struct {
	ID        messenger.PageID `json:"id"`
	Time      int64            `json:"time"` // Unix milliseconds
	Messaging []item           `json:"messaging,omitempty"`
	Standby   []item           `json:"standby,omitempty"`
	Hop       []hopContext     `json:"hop_context,omitempty"`
}

// hopContext stands beside control events.
type hopContext struct {
	AppID    rawID  `json:"app_id"`
	Metadata string `json:"metadata"`
}

// item is one event.
type item struct {
	Sender    party     `json:"sender"`
	Recipient party     `json:"recipient"`
	Timestamp int64     `json:"timestamp"` // Unix milliseconds
	Message   *message  `json:"message,omitempty"`
	Postback  *postback `json:"postback,omitempty"`
	Pass      *control  `json:"pass_thread_control,omitempty"`
	Take      *control  `json:"take_thread_control,omitempty"`
	Request   *control  `json:"request_thread_control,omitempty"`
	Read      *read     `json:"read,omitempty"`
	Reaction  *reaction `json:"reaction,omitempty"`
}

type party struct {
	ID string `json:"id"`
}

type message struct {
	IsEcho      bool                `json:"is_echo,omitempty"`
	AppID       rawID               `json:"app_id,omitempty"`
	Metadata    string              `json:"metadata,omitempty"`
	MID         messenger.MessageID `json:"mid"`
	Text        string              `json:"text,omitempty"`
	QuickReply  *tapped             `json:"quick_reply,omitempty"`
	ReplyTo     *replyTo            `json:"reply_to,omitempty"`
	Attachments []json.RawMessage   `json:"attachments,omitempty"`
}

type tapped struct {
	Payload string `json:"payload"`
}

type replyTo struct {
	MID messenger.MessageID `json:"mid"`
}

type postback struct {
	MID     messenger.MessageID `json:"mid"`
	Title   string              `json:"title"`
	Payload string              `json:"payload,omitempty"`
}

type control struct {
	Previous  *rawID `json:"previous_owner_app_id,omitempty"` // null was idle
	New       rawID  `json:"new_owner_app_id,omitempty"`
	Requested *rawID `json:"requested_owner_app_id,omitempty"`
	Metadata  string `json:"metadata,omitempty"`
}

type read struct {
	Watermark int64 `json:"watermark"` // Unix milliseconds
}

type reaction struct {
	Reaction string              `json:"reaction"`
	Emoji    string              `json:"emoji"`
	Action   string              `json:"action"`
	MID      messenger.MessageID `json:"mid"`
}

// Channel is the array of an entry in which an event stands.
type Channel string

// The channels.
const (
	Messaging Channel = "messaging"
	Standby   Channel = "standby" // the app does not control the thread
)

// event is something that apps are told.
type event struct {
	kind     messenger.Kind
	field    string // the webhook field that an app must be subscribed to
	mid      messenger.MessageID
	control  messenger.AppID // who a control event concerns: it then has a hop_context
	metadata string
	item     item
}

// idOf writes an app id into a field that is null for nobody.
func (m *Meta) idOf(id messenger.AppID) *rawID {
	raw := m.appID(id)
	return &raw
}

// tell sends one app an event on the messaging channel.
func (m *Meta) tell(a *app, t *thread, e event) { m.tellOn(Messaging, a, t, e) }

// tellAll sends an event to each app, on the channel that is its own. of is the
// event as an app sees it.
func (m *Meta) tellAll(t *thread, of func(*app, Channel) (event, Channel)) {
	for _, a := range m.apps {
		channel := Standby
		if m.leads(t, a) {
			channel = Messaging
		}
		e, channel := of(a, channel)
		m.tellOn(channel, a, t, e)
	}
}

func (m *Meta) tellOn(channel Channel, a *app, t *thread, e event) {
	if !a.queue.listens() || !slices.Contains(a.fields, e.field) ||
		channel == Standby && !slices.Contains(a.fields, fieldStandby) {
		return
	}
	now := m.now()
	e.item.Sender, e.item.Recipient, e.item.Timestamp = party{string(t.psid)}, party{string(m.opt.Page)}, now.UnixMilli()
	if e.kind == messenger.KindEcho {
		e.item.Sender, e.item.Recipient = e.item.Recipient, e.item.Sender
	}
	var hop []hopContext
	if e.control != "" {
		hop = []hopContext{{AppID: m.appID(e.control), Metadata: e.metadata}}
		if m.opt.Doubts.ControlInSeconds {
			e.item.Timestamp = now.Unix()
		}
	}
	m.enqueue(a, delivery{told: Told{Kind: e.kind, PSID: t.psid, MID: e.mid, Channel: channel, Cause: m.ledger.seq + 1}, at: now, item: e.item, hop: hop})
}

// echo tells the apps what the Page said. raw are the attachments as they were sent.
func (m *Meta) echo(t *thread, l Line, raw []json.RawMessage) {
	if m.faults.dropsEcho(m.rng, l) {
		return
	}
	m.tellAll(t, func(_ *app, channel Channel) (event, Channel) {
		said := message{
			IsEcho: true, AppID: m.appID(l.App), Metadata: l.Metadata, MID: l.MID, Attachments: raw,
			ReplyTo: quoted(l.ReplyTo),
		}
		if len(raw) == 0 {
			said.Text = l.Text
		}
		return event{kind: messenger.KindEcho, field: fieldEchoes, mid: l.MID, item: item{Message: &said}}, channel
	})
}

func quoted(mid messenger.MessageID) *replyTo {
	if mid == "" {
		return nil
	}
	return &replyTo{MID: mid}
}

// mustMarshal writes a part of a webhook; what is raw in it was read as JSON.
func mustMarshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("simulator: webhook cannot be written: %v", err))
	}
	return b
}

// wire writes JSON as Meta does: beyond ASCII and slashes are escaped, so that a
// receiver which signs anything but the bytes that came fails.
func wire(e envelope) []byte {
	b := mustMarshal(e)
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case r == '/':
			out.WriteString(`\/`)
		case r < 0x80:
			out.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		}
	}
	return out.Bytes()
}
