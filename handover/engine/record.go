package engine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

// record is what is stored of a thread.
type record struct {
	State handover.State `json:"state"`
	// Parked are events that wait until it is known who answers, oldest first.
	Parked []messenger.Event `json:"parked,omitempty"`
	// Profile is what Meta told of the customer; nil before it was asked.
	Profile *profile `json:"profile,omitempty"`
	// Asking tells that the profile is being read; events are parked meanwhile.
	Asking bool `json:"asking,omitempty"`
}

// maxParked bounds what a thread can park. What comes beyond is buried.
const maxParked = 100

// waits tells whether the customer's events must wait.
func (r record) waits() bool {
	return r.Asking || r.State.Awaiting != handover.AwaitingNothing
}

// profile is what the script needs of a customer.
type profile struct {
	FirstName string `json:"first_name,omitempty"`
	Locale    string `json:"locale,omitempty"`
}

// call says what an effect does. The names are stored.
type call string

const (
	callSaid        call = "answer" // a message of the script
	callSay         call = "say"    // one of the operator's texts
	callSayAndPass  call = "say_and_pass"
	callPass        call = "pass"
	callTake        call = "take"
	callRelease     call = "release"
	callReadOwner   call = "read_owner"
	callReadProfile call = "read_profile"
)

// effect is a call that must be made, as it stands in the outbox.
type effect struct {
	// ID is the same whenever the same event is decided again. It travels in the
	// message's metadata.
	ID     string `json:"id"`
	Thread string `json:"thread"`
	// Chain is the id of the decision's first effect: when one fails for good,
	// those after it in its chain are dropped.
	Chain string `json:"chain"`
	Order int64  `json:"order"` // within the partition
	Gen   uint64 `json:"gen,omitempty"`
	Call  call   `json:"call"`

	Message *graph.Message  `json:"message,omitempty"`
	Text    handover.Text   `json:"text,omitempty"`
	Target  messenger.AppID `json:"target,omitempty"`
	Cause   handover.Cause  `json:"cause,omitempty"`

	At time.Time `json:"at"` // decided
	// Accepted is when the event was stored that this is the first answer to; zero
	// for all else.
	Accepted  time.Time `json:"accepted,omitzero"`
	Attempts  int       `json:"attempts,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Unsure tells that a call may have reached Meta; Echoed that its words have.
	Unsure bool `json:"unsure,omitempty"`
	Echoed bool `json:"echoed,omitempty"`

	// Trace is that of the event which led to it.
	Trace string `json:"trace,omitempty"`

	flying bool // a sender has it, or it waits for its turn
	over   bool // settled while a sender had it
	known  bool // the store knows its echo: it was sent

	refused bool // Meta took no calls of the Page when it was tried
}

// says tells whether the effect puts words into the thread.
func (f *effect) says() bool { return f.Call == callSaid || f.Call == callSay }

// speaks tells whether a customer reads something when it is done.
func (f *effect) speaks() bool { return f.says() || f.Call == callSayAndPass }

// passes tells whether the effect gives control away.
func (f *effect) passes() bool { return f.Call == callSayAndPass || f.Call == callPass }

// decided returns the effect as handover decided it.
func (f *effect) decided() handover.Effect {
	switch f.Call {
	case callSaid:
		return handover.Said{}
	case callSay:
		return handover.Say{Text: f.Text}
	case callSayAndPass:
		return handover.SayAndPass{Text: f.Text, Target: string(f.Target), Cause: f.Cause}
	case callPass:
		return handover.Pass{Target: string(f.Target), Cause: f.Cause}
	case callTake:
		return handover.Take{Cause: f.Cause}
	case callRelease:
		return handover.Release{}
	case callReadOwner, callReadProfile:
		return handover.ReadOwner{}
	}
	return handover.ReadOwner{}
}

// String describes the effect in a line of history.
func (f *effect) String() string {
	s := string(f.Call)
	if f.Text != "" {
		s += " " + string(f.Text)
	}
	if f.Target != "" {
		s += " to " + string(f.Target)
	}
	return s
}

// metadataPrefix marks the metadata of what we send.
const metadataPrefix = "usher:"

// EffectID returns the id of the n-th effect, counted from 0, of the line of history
// whose ID is event. A message, which is words, carries it as its metadata, behind
// "usher:". What is none has another id: where a failover forgot what an event had led
// to, and it now leads to something else, the echo of a message does not settle that.
func EffectID(thread, event string, n int, words bool) string {
	name := thread + "\x00" + event + "\x00" + strconv.Itoa(n)
	if !words {
		name += "\x00"
	}
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// effectOf returns the effect id in metadata, or "".
func effectOf(metadata string) string {
	id, ok := strings.CutPrefix(metadata, metadataPrefix)
	if !ok || len(id) != base64.RawURLEncoding.EncodedLen(16) {
		return ""
	}
	return id
}

func (f *effect) marshal() (handover.Pending, error) {
	b, err := f.encoded()
	if err != nil {
		return handover.Pending{}, fmt.Errorf("encode effect %s: %w", f.ID, err)
	}
	return handover.Pending{ID: f.ID, Body: b}, nil
}

// Snapshot is what is known of a thread.
type Snapshot struct {
	State  handover.State `json:"state"`
	Parked int            `json:"parked,omitempty"` // events that wait until it is known who answers
}

// UnmarshalThread reads a thread as it is stored.
func UnmarshalThread(b []byte) (Snapshot, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return Snapshot{}, fmt.Errorf("thread as stored: %w", err)
	}
	return Snapshot{State: r.State, Parked: len(r.Parked)}, nil
}

// Pending is a call that must be made, without its words.
type Pending struct {
	ID        string    `json:"id"`
	Call      string    `json:"call"`
	Decided   time.Time `json:"decided"`
	Attempts  int       `json:"attempts,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Unsure    bool      `json:"unsure,omitempty"` // it may have reached Meta
}

// UnmarshalPending reads an effect as it is stored.
func UnmarshalPending(b []byte) (Pending, error) {
	var f effect
	if err := json.Unmarshal(b, &f); err != nil {
		return Pending{}, fmt.Errorf("effect as stored: %w", err)
	}
	return Pending{ID: f.ID, Call: f.String(), Decided: f.At, Attempts: f.Attempts, NotBefore: f.NotBefore, Unsure: f.Unsure}, nil
}
