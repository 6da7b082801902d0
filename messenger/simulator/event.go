package simulator

import (
	"encoding/json"
	"slices"

	"usher/messenger"
)

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

	timeless  bool // it says no time
	inSeconds bool // it says its time in seconds
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

// tellEach sends each app the same event, on the channel that is its own.
func (m *Meta) tellEach(t *thread, e event) {
	m.tellAll(t, func(_ *app, channel Channel) (event, Channel) { return e, channel })
}

func (m *Meta) tellOn(channel Channel, a *app, t *thread, e event) {
	if m.filling(t) {
		return // while the lead app asks, apps hear nothing
	}
	person, page := party{string(t.psid)}, party{string(m.opt.Page)}
	e.item.Sender, e.item.Recipient = &person, page
	if e.kind == messenger.KindEcho {
		e.item.Sender, e.item.Recipient = &page, person
	}
	var hop any
	switch {
	case e.control != "":
		hop = []hopContext{{AppID: m.appID(e.control), Metadata: e.metadata}}
	case m.owner(t) == messenger.BusinessAI:
		hop = aiContext{Owns: true}
	}
	m.put(channel, a, t.psid, e, hop)
}

// tellPage sends each app an event that concerns the Page and no customer.
func (m *Meta) tellPage(e event) {
	e.item.Recipient = party{string(m.opt.Page)}
	for _, a := range m.apps {
		m.put(Messaging, a, "", e, nil)
	}
}

// put queues an event for an app, if that is subscribed to it.
func (m *Meta) put(channel Channel, a *app, psid messenger.PSID, e event, hop any) {
	if !a.queue.listens() || !slices.Contains(a.fields, e.field) ||
		channel == Standby && !slices.Contains(a.fields, fieldStandby) {
		return
	}
	now := m.now()
	switch {
	case e.timeless:
	case e.inSeconds, e.control != "" && m.opt.Doubts.ControlInSeconds:
		e.item.Timestamp = now.Unix()
	default:
		e.item.Timestamp = now.UnixMilli()
	}
	m.enqueue(a, delivery{told: Told{Kind: e.kind, PSID: psid, MID: e.mid, Channel: channel, Cause: m.ledger.seq + 1}, at: now, item: e.item, hop: hop})
}

// echo tells the apps what the Page said, and then that it has reached the phone.
// raw are the attachments as they were sent.
func (m *Meta) echo(t *thread, l Line, raw []json.RawMessage) {
	if !m.faults.dropsEcho(m.rng, l) {
		m.tellAll(t, func(_ *app, channel Channel) (event, Channel) {
			said := message{
				IsEcho: true, AppID: m.appID(l.App), Metadata: l.Metadata, AIGenerated: l.App == messenger.BusinessAI,
				MID: l.MID, Attachments: raw, ReplyTo: t.quote(l),
			}
			if len(raw) == 0 {
				said.Text = l.Text
			}
			if said.AIGenerated && m.opt.Doubts.AIEchoOnMessaging {
				channel = Messaging
			}
			return event{kind: messenger.KindEcho, field: fieldEchoes, mid: l.MID, item: item{Message: &said}}, channel
		})
	}
	arrived := receipt{MIDs: []messenger.MessageID{l.MID}, Watermark: m.now().UnixMilli()}
	m.tellEach(t, event{kind: messenger.KindDelivery, field: fieldDeliveries, timeless: true, item: item{Delivery: &arrived}})
}

// quote writes what l is a reply to, if it is one.
func (t *thread) quote(l Line) *replyTo {
	if l.ReplyTo == "" {
		return nil
	}
	to, ok := t.find(l.ReplyTo)
	return &replyTo{MID: l.ReplyTo, Self: ok && to.From == l.From}
}
