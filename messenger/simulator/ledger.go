package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"usher/messenger"
)

// Entry is a line of the ledger: exactly one of Call, Delivery and Act.
type Entry struct {
	Seq      int64     `json:"seq"` // counts from 1, without gaps
	At       time.Time `json:"at"`
	Call     *Call     `json:"call,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`
	Act      *Act      `json:"act,omitempty"`
}

// Call is a Graph call that was accepted or refused.
type Call struct {
	App    messenger.AppID `json:"app,omitempty"` // "" where the token is nobody's
	Method string          `json:"method"`
	Edge   string          `json:"edge"`
	PSID   messenger.PSID  `json:"psid,omitempty"`

	// What a send said, and what came beside it.
	Text         string   `json:"text,omitempty"` // also a template's
	QuickReplies []string `json:"quick_replies,omitempty"`
	Buttons      []string `json:"buttons,omitempty"`
	Cards        []string `json:"cards,omitempty"`
	Attachment   string   `json:"attachment,omitempty"`
	Tag          string   `json:"tag,omitempty"`
	// Action is a sender action.
	Action string `json:"action,omitempty"`
	// Control is an inline thread_control: "pass", "pass 263902037430900" or
	// "release".
	Control string `json:"control,omitempty"`

	Metadata string          `json:"metadata,omitempty"`
	Target   messenger.AppID `json:"target,omitempty"` // of a pass

	MID     messenger.MessageID `json:"mid,omitempty"`
	Status  int                 `json:"status"` // 0: the connection was cut before anything was done
	Code    int                 `json:"code,omitempty"`
	Subcode int                 `json:"subcode,omitempty"`
	Error   string              `json:"error,omitempty"`
	// AnswerLost tells that what Status says happened, but the caller was not
	// told so.
	AnswerLost bool `json:"answer_lost,omitempty"`
	// Request and Answer are what was on the wire, without the token and its proof;
	// kept where [Options.KeepBodies] says so.
	Request json.RawMessage `json:"request,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
}

// OK tells whether the call took effect.
func (c Call) OK() bool { return c.Status == http.StatusOK }

// Delivery is one attempt to deliver one webhook body.
type Delivery struct {
	App     messenger.AppID `json:"app"`
	Attempt int             `json:"attempt"` // counts from 1, for the body's first event
	Events  []Told          `json:"events"`
	Status  int             `json:"status"` // 0: no answer within 5 s, or none at all
	Error   string          `json:"error,omitempty"`
	// AnswerLost tells that the app answered with Status, but Meta was not told so:
	// the delivery is repeated.
	AnswerLost bool `json:"answer_lost,omitempty"`
	// Body is what was on the wire; kept where [Options.KeepBodies] says so.
	Body json.RawMessage `json:"body,omitempty"`
}

// Told is one event of a delivery.
type Told struct {
	Kind    messenger.Kind      `json:"kind"`
	PSID    messenger.PSID      `json:"psid"`
	MID     messenger.MessageID `json:"mid,omitempty"`
	Channel Channel             `json:"channel"`
	// Cause is the Seq of the entry that caused it: an act or a call.
	Cause int64 `json:"cause"`
}

// Act is what a person did, or Meta by itself.
type Act struct {
	Who  string              `json:"who"` // customer, agent, meta
	What string              `json:"what"`
	Text string              `json:"text,omitempty"` // what was written, sent or tapped
	PSID messenger.PSID      `json:"psid,omitempty"`
	MID  messenger.MessageID `json:"mid,omitempty"`
}

// ledger keeps the newest size entries.
type ledger struct {
	size    int
	seq     int64
	entries []Entry
	log     func(Entry)
}

// record writes an entry and wakes those who wait. What e points to is never
// changed afterwards. The lock is held.
func (m *Meta) record(e Entry) {
	l := &m.ledger
	l.seq++
	e.Seq, e.At = l.seq, m.now()
	if len(l.entries) >= 2*l.size { // rarely, so that it costs little
		l.entries = slices.Clone(l.entries[len(l.entries)-l.size:])
	}
	l.entries = append(l.entries, e)
	if l.log != nil {
		l.log(e)
	}
	m.happened()
}

// Snapshot returns the ledger, oldest entry first. The caller must not change
// what the entries point to.
func (m *Meta) Snapshot() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ledger.entries[max(0, len(m.ledger.entries)-m.ledger.size):])
}

// Calls returns the Graph calls to the edges given, or all of them.
func (m *Meta) Calls(edges ...string) []Call {
	var calls []Call
	for _, e := range m.Snapshot() {
		if e.Call != nil && (len(edges) == 0 || slices.Contains(edges, e.Call.Edge)) {
			calls = append(calls, *e.Call)
		}
	}
	return calls
}

// Deliveries returns the attempts to deliver to an app.
func (m *Meta) Deliveries(to messenger.AppID) []Delivery {
	var deliveries []Delivery
	for _, e := range m.Snapshot() {
		if e.Delivery != nil && e.Delivery.App == to {
			deliveries = append(deliveries, *e.Delivery)
		}
	}
	return deliveries
}

// maxKept bounds a body that the ledger keeps, in bytes.
const maxKept = 16 << 10

// kept returns what the ledger keeps of a body: a longer one is left out.
func (m *Meta) kept(body []byte) json.RawMessage {
	if !m.opt.KeepBodies || len(body) > maxKept {
		return nil
	}
	return body
}

// keptJSON is kept for what is still to be written.
func (m *Meta) keptJSON(v any) json.RawMessage {
	if !m.opt.KeepBodies {
		return nil
	}
	body, err := json.Marshal(v)
	if err != nil {
		return nil // as its caller will be told
	}
	return m.kept(body)
}

// filter chooses entries; what is empty chooses all.
type filter struct {
	kind     string // call, delivery or act
	app      messenger.AppID
	customer messenger.PSID
	edge     string
}

// Since returns the entries with a greater Seq than since, oldest first, at most
// 1000, and the Seq up to which it has looked.
func (m *Meta) Since(since int64) (entries []Entry, seq int64) {
	return m.entriesAfter(since, filter{})
}

// entriesAfter returns the oldest entries with a greater Seq than since that f
// chooses, at most maxEntries, and the Seq up to which it has looked.
func (m *Meta) entriesAfter(since int64, f filter) (chosen []Entry, seq int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.ledger.entries[max(0, len(m.ledger.entries)-m.ledger.size):]
	chosen, seq = []Entry{}, since
	for _, e := range all[min(max(0, len(all)-int(m.ledger.seq-since)), len(all)):] {
		if len(chosen) == maxEntries {
			break
		}
		if seq = e.Seq; f.chooses(e) {
			chosen = append(chosen, e)
		}
	}
	return chosen, seq
}

func (f filter) chooses(e Entry) bool {
	var kind, edge string
	var app messenger.AppID
	var about []messenger.PSID
	switch {
	case e.Call != nil:
		kind, app, edge, about = "call", e.Call.App, e.Call.Edge, []messenger.PSID{e.Call.PSID}
	case e.Delivery != nil:
		kind, app = "delivery", e.Delivery.App
		for _, told := range e.Delivery.Events {
			about = append(about, told.PSID)
		}
	case e.Act != nil:
		kind, about = "act", []messenger.PSID{e.Act.PSID}
	}
	return (f.kind == "" || f.kind == kind) && (f.app == "" || f.app == app) && (f.edge == "" || f.edge == edge) &&
		(f.customer == "" || slices.Contains(about, f.customer))
}
