package webhook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/messenger"
)

// Fields of an event of an unknown kind, beside Meta's own names.
const (
	fieldMalformed = "malformed"       // an entry, item or change that is no object
	fieldEmpty     = "empty"           // an item that tells nothing
	fieldDeleted   = "message_deleted" // the customer took a message back
	fieldAdminText = "admin_text"      // a notice of Meta's, which nobody said
	fieldUserRef   = "user_ref"        // a person whose PSID Meta does not know yet
	fieldNotJSON   = "not_json"        // a delivery that Meta signed and is not JSON
)

// noPage is the Page of what names none: a thread cannot be without.
const noPage messenger.PageID = "0"

const (
	// Bounds of an event's Field and Raw, in bytes.
	maxField = 128
	maxRaw   = 64 << 10
	// maxRoom bounds the room made for events before they are seen, to as many as
	// Meta puts into one delivery.
	maxRoom = 1000
)

// SyntaxError reports a delivery that is not JSON. Its text tells nothing of the
// delivery but one character.
type SyntaxError struct {
	Offset int64 // how many bytes were read, the offending one included
	err    error
}

// Error says where and why.
func (e *SyntaxError) Error() string { return fmt.Sprintf("not JSON at byte %d: %v", e.Offset, e.err) }

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.err }

// Decode returns the events of a delivery in the order in which they stand there.
//
// Nothing that Meta says of a Page or an Instagram account is dropped: what is not
// understood is an event of [messenger.KindUnknown] with Field and Raw, and does
// not touch its neighbours. Of any other object there are no events. The only
// error is a [*SyntaxError].
//
// The texts of the events share one copy of body; body itself is not kept.
func Decode(body []byte) ([]messenger.Event, error) {
	if !json.Valid(body) {
		return nil, syntaxError(body)
	}
	var object, entries value
	value(strings.TrimSpace(string(body))).pick(field{"object", &object}, field{"entry", &entries})
	var d decoder
	switch object.text() {
	case "page", "instagram":
		if entries != "" && !entries.isArray() {
			d.unknown(&item{raw: entries}, fieldMalformed, false)
		}
		for v := range entries.elements() {
			d.entry(v)
		}
	}
	return d.events, nil
}

func syntaxError(body []byte) error {
	var v any
	err := json.Unmarshal(body, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &SyntaxError{Offset: syntax.Offset, err: err}
	}
	return &SyntaxError{Offset: int64(len(body)), err: err}
}

// notJSON is the event that keeps a delivery which Meta signed and is not JSON.
func notJSON(body []byte) messenger.Event {
	return messenger.Event{
		ID: hashID(messenger.KindUnknown, body), Thread: messenger.ThreadKey{Page: noPage}, Kind: messenger.KindUnknown,
		Field: fieldNotJSON, Raw: cutText(string(body[:min(len(body), maxRaw)]), maxRaw),
	}
}

// decoder collects the events of a delivery.
type decoder struct {
	page   string    // of the entry at hand; "" where it does not say
	time   time.Time // of the entry at hand
	events []messenger.Event
	hashed []byte // room for what an id is the hash of
}

func (d *decoder) entry(v value) {
	e := entry{lists: make([]list, 0, 4)}
	readEntry(v, &e)
	d.page, d.time = e.id.id(), e.time.time()
	if !v.isObject() {
		d.unknown(&item{raw: v}, fieldMalformed, false)
		return
	}
	for _, l := range e.lists {
		switch {
		case l.items == "": // null
		case !l.items.isArray():
			d.unknown(&item{raw: l.items}, l.name, false)
		case l.name == "messaging", l.name == "messaging_handovers":
			d.list(l.items, false)
		case l.name == "standby":
			d.list(l.items, true)
		case l.name == "changes":
			for change := range l.items.elements() {
				d.change(change)
			}
		default:
			d.unknown(&item{raw: l.items}, l.name, false)
		}
	}
}

func (d *decoder) list(items value, standby bool) {
	room := make([]part, 0, 4)
	for v := range items.elements() {
		if cap(d.events) == 0 { // items are of a length, more or less
			d.events = make([]messenger.Event, 0, min(len(items)/(len(v)+1), maxRoom))
		}
		it := item{parts: room}
		readItem(v, &it)
		switch {
		case !v.isObject():
			d.unknown(&it, fieldMalformed, standby)
		case len(it.parts) > 0:
			d.item(&it, standby)
		case it.stray != "":
			d.unknown(&it, it.stray, standby)
		default:
			d.unknown(&it, fieldEmpty, standby)
		}
	}
}

// change reads one of an entry's changes. The dashboard's Test button sends what
// would be an item of messaging as the value of a change; all other changes are of
// a Page's feed and the like.
func (d *decoder) change(v value) {
	if !v.isObject() {
		d.unknown(&item{raw: v}, fieldMalformed, false)
		return
	}
	var name, body value
	v.pick(field{"field", &name}, field{"value", &body})
	it := item{parts: make([]part, 0, 4)}
	readItem(body, &it)
	standby := name.text() == "standby"
	if len(it.parts) > 0 && (it.sender != "" || it.recipient != "") {
		d.item(&it, standby)
		return
	}
	it.raw = v
	if name == "" {
		name = `"changes"`
	}
	d.unknown(&it, name.text(), standby)
}

// item adds an event for each part of an item.
func (d *decoder) item(it *item, standby bool) {
	for _, p := range it.parts {
		e := messenger.Event{Kind: p.kind, Standby: standby, At: d.at(it), MID: messenger.MessageID(p.body.get("mid").text())}
		fault := d.part(&e, it, p)
		if fault != "" {
			e = messenger.Event{
				Kind: messenger.KindUnknown, Thread: e.Thread, Standby: standby, At: e.At, MID: e.MID, Field: fault,
			}
		}
		d.add(e, p.name, it.raw)
	}
}

// unknown adds an event that was not understood because of what field names.
func (d *decoder) unknown(it *item, name string, standby bool) {
	thread, _ := d.thread(it, false)
	d.add(messenger.Event{
		Kind: messenger.KindUnknown, Thread: thread, Standby: standby, At: d.at(it), Field: name,
	}, name, it.raw)
}

// part reads one part of an item into e. fault names what makes no sense in it.
func (d *decoder) part(e *messenger.Event, it *item, p part) (fault string) {
	if p.name == "message" && p.body.isObject() {
		return d.message(e, it, p.body)
	}
	e.Thread, fault = d.thread(it, false)
	if !p.body.isObject() {
		return p.name
	}
	switch p.name {
	case "app_roles", "policy_enforcement", "policy-enforcement": // they concern the Page
		e.Thread.PSID, fault = "", ""
	case "order", "template":
		fault = p.name
	case "postback":
		e.Text, e.Payload = p.body.get("title").text(), p.body.get("payload").text()
	case "message_edit":
		e.Text = p.body.get("text").text()
	case "referral":
		e.Payload = p.body.get("ref").text()
	case "optin":
		e.Payload = cmp.Or(p.body.get("ref").text(), p.body.get("payload").text())
	case "pass_thread_control", "take_thread_control", "request_thread_control":
		if !readOwners(e, p.body) {
			fault = p.name
		}
	}
	return fault
}

// message reads a message or an echo into e. fault names what makes it neither.
func (d *decoder) message(e *messenger.Event, it *item, body value) (fault string) {
	m := readMessage(body)
	// On Instagram the sender alone may tell an echo.
	fromPage := d.page != "" && it.sender.get("id").id() == d.page
	echo := m.isEcho.isTrue() || fromPage
	e.Thread, fault = d.thread(it, echo)
	switch {
	case m.isDeleted.isTrue():
		return fieldDeleted
	case m.adminText != "":
		return fieldAdminText
	case echo:
		e.Kind = messenger.KindEcho
		// What is no app's id is nobody's: such an echo counts as an agent's.
		e.App, _ = m.appID.app()
		e.Metadata, e.AIGenerated = m.metadata.text(), m.aiGenerated.isTrue()
	case m.quickReply.isObject():
		e.Kind, e.Payload = messenger.KindQuickReply, m.quickReply.get("payload").text()
	}
	e.Text = m.text.text()
	for a := range m.attachments.elements() {
		e.Attachments = append(e.Attachments, a.get("type").text())
		if sticker := a.get("payload").get("sticker_id"); sticker != "" {
			e.Sticker = sticker.text()
		}
	}
	return fault
}

// readOwners reads a change of control into e and tells whether its apps are apps.
func readOwners(e *messenger.Event, body value) (ok bool) {
	c := readControl(body)
	var known [3]bool
	e.NewOwner, known[0] = c.newOwner.app()
	e.PreviousOwner, known[1] = c.previousOwner.app()
	e.App, known[2] = c.requestedOwner.app()
	e.Metadata = c.metadata.text()
	return known == [3]bool{true, true, true}
}

// at is the time of an item: the entry's where it has none of its own.
func (d *decoder) at(it *item) time.Time {
	if it.timestamp.text() == "" {
		return d.time
	}
	return it.timestamp.time()
}

// thread finds whose thread an item belongs to. The person is the sender, of an
// echo the recipient; the other side if that turns out to be the Page. fault names
// the side that should be a person and is none: no thread is guessed.
func (d *decoder) thread(it *item, echo bool) (k messenger.ThreadKey, fault string) {
	person, page := it.sender, it.recipient
	fault, other := "sender", "recipient"
	if echo {
		person, page, fault, other = page, person, other, fault
	}
	if d.page != "" && person.get("id").id() == d.page {
		person, fault = page, other
	}
	k.Page = messenger.PageID(cmp.Or(d.page, page.get("id").id(), string(noPage)))
	psid := person.get("id").id()
	switch {
	case psid != "" && psid != d.page:
		k.PSID, fault = messenger.PSID(psid), ""
	case person.get("user_ref") != "":
		fault = fieldUserRef
	}
	return k, fault
}

// add gives e its id and appends it. name and raw are what e was read from.
func (d *decoder) add(e messenger.Event, name string, raw value) {
	switch {
	case e.MID != "" && isMessage(e.Kind):
		e.ID = string(e.Kind) + ":" + string(e.MID)
		if e.Kind == messenger.KindPostback && e.Payload == "" {
			// Standby strips the payload. Should that telling come first, it must not
			// stand in the way of the one that has it: it may be the way back.
			e.ID += messenger.BareSuffix
		}
	case isControl(e.Kind):
		e.ID = controlID(&e)
	default:
		// With the name, two parts of one item differ.
		d.hashed = append(append(d.hashed[:0], e.Thread.Page...), 0)
		d.hashed = append(append(d.hashed, name...), 0)
		d.hashed = raw.appendCompact(d.hashed)
		e.ID = hashID(e.Kind, d.hashed)
	}
	if e.Kind == messenger.KindUnknown {
		e.Field, e.Raw = cutText(e.Field, maxField), cutText(string(raw), maxRaw)
	}
	d.events = append(d.events, e)
}

// isMessage tells whether Meta repeats the mid of an event only with the event.
func isMessage(k messenger.Kind) bool {
	return k == messenger.KindMessage || k == messenger.KindQuickReply || k == messenger.KindPostback || k == messenger.KindEcho
}

func isControl(k messenger.Kind) bool {
	return k == messenger.KindPass || k == messenger.KindTake || k == messenger.KindRequest
}

// controlID tells changes of control apart, which have no mid. Meta was seen to
// send one four times, and says its time in seconds.
func controlID(e *messenger.Event) string {
	var second int64
	if !e.At.IsZero() {
		second = e.At.Unix()
	}
	return strings.Join([]string{
		string(e.Kind), string(e.Thread.Page), string(e.Thread.PSID),
		string(cmp.Or(e.NewOwner, e.App)), string(e.PreviousOwner), strconv.FormatInt(second, 10),
	}, ":")
}

// hashID identifies an event by half a SHA-256 of what it was read from.
func hashID(k messenger.Kind, b []byte) string {
	sum := sha256.Sum256(b)
	return string(k) + ":" + hex.EncodeToString(sum[:len(sum)/2])
}

// cutText returns the first n bytes of s at most, as valid UTF-8.
func cutText(s string, n int) string {
	s = strings.ToValidUTF8(s[:min(len(s), n)], "\uFFFD")
	for len(s) > n {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
