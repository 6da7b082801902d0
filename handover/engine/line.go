package engine

import (
	"encoding/json"
	"strings"
	"time"

	"usher/handover"
)

// Line is one line of a thread's history. It holds no words of anybody.
type Line struct {
	At     time.Time `json:"at"` // the store's clock, to the millisecond
	Thread string    `json:"-"`  // whose history it is in
	// What happened: an event's kind, "timer", "command pass", "call", "cancelled", …
	What string `json:"what"`
	ID   string `json:"id,omitempty"` // the event's or the effect's
	// From and To are the phases of a change; Cause is its cause.
	From  handover.Phase `json:"from,omitzero"`
	To    handover.Phase `json:"to,omitzero"`
	Moved bool           `json:"moved,omitempty"`
	Cause handover.Cause `json:"cause,omitempty"`
	// Standby tells that the event came on the standby channel.
	Standby bool     `json:"standby,omitempty"`
	Effects []string `json:"effects,omitempty"` // decided
	Notes   []string `json:"notes,omitempty"`
	Alarm   string   `json:"alarm,omitempty"`
	// Episode is the one that ended; it is stored elsewhere.
	Episode *handover.Episode `json:"-"`
	// Call, Outcome and Error tell how a call went; Attempt counts from 1.
	Call    string `json:"call,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Error   string `json:"error,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// Sent is a digest of what Meta calls the message that it sent; "" for none. By it
	// what is found in the conversation is known for ours.
	Sent string `json:"sent,omitempty"`
}

// storedLine is a line as it is stored. A thread can have many: names are one letter,
// times milliseconds, and an id that begins with what happened does not say so again.
type storedLine struct {
	At      int64          `json:"t"`
	What    string         `json:"w"`
	ID      string         `json:"i,omitempty"`
	From    handover.Phase `json:"f,omitzero"`
	To      handover.Phase `json:"g,omitzero"`
	Moved   bool           `json:"m,omitempty"`
	Cause   handover.Cause `json:"c,omitempty"`
	Standby bool           `json:"s,omitempty"`
	Effects []string       `json:"e,omitempty"`
	Notes   []string       `json:"n,omitempty"`
	Alarm   string         `json:"l,omitempty"`
	Call    string         `json:"k,omitempty"`
	Outcome string         `json:"o,omitempty"`
	Error   string         `json:"x,omitempty"`
	Attempt int            `json:"a,omitempty"`
	Sent    string         `json:"d,omitempty"`
}

// marshal returns the stored form of l, without its thread and episode.
func (l Line) marshal() ([]byte, error) {
	id := l.ID
	if rest, ok := strings.CutPrefix(id, l.What+":"); ok {
		id = ":" + rest
	}
	stored := storedLine{
		At: l.At.UnixMilli(), What: l.What, ID: id, From: l.From, To: l.To, Moved: l.Moved, Cause: l.Cause, Standby: l.Standby,
		Effects: l.Effects, Notes: l.Notes, Alarm: l.Alarm, Call: l.Call, Outcome: l.Outcome, Error: l.Error, Attempt: l.Attempt, Sent: l.Sent,
	}
	return stored.marshal()
}

// UnmarshalLine reads a line of history as it is stored.
func UnmarshalLine(b []byte) (Line, error) {
	var s storedLine
	if err := json.Unmarshal(b, &s); err != nil {
		return Line{}, err
	}
	if strings.HasPrefix(s.ID, ":") {
		s.ID = s.What + s.ID
	}
	return Line{
		At: time.UnixMilli(s.At).UTC(), What: s.What, ID: s.ID, From: s.From, To: s.To, Moved: s.Moved, Cause: s.Cause, Standby: s.Standby,
		Effects: s.Effects, Notes: s.Notes, Alarm: s.Alarm, Call: s.Call, Outcome: s.Outcome, Error: s.Error, Attempt: s.Attempt, Sent: s.Sent,
	}, nil
}
