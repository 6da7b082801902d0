package messenger

import "time"

// Kind says what an event is. The names are what `usher decode` prints.
type Kind string

// The kinds of events.
const (
	KindMessage        Kind = "message"     // the customer wrote or sent media
	KindQuickReply     Kind = "quick_reply" // the customer tapped a quick reply
	KindPostback       Kind = "postback"    // a button, the menu, an ice breaker, Get Started
	KindEcho           Kind = "echo"        // the Page sent something; sender and recipient are swapped
	KindPass           Kind = "pass"        // pass_thread_control
	KindTake           Kind = "take"        // take_thread_control
	KindRequest        Kind = "request"     // request_thread_control
	KindAppRoles       Kind = "app_roles"
	KindRead           Kind = "read"
	KindDelivery       Kind = "delivery"
	KindReaction       Kind = "reaction"
	KindOptin          Kind = "optin"
	KindReferral       Kind = "referral"
	KindAccountLinking Kind = "account_linking"
	KindPolicy         Kind = "policy" // policy_enforcement
	KindEdit           Kind = "edit"
	KindFeedback       Kind = "feedback" // messaging_feedback or response_feedback
	KindUnknown        Kind = "unknown"  // Field names what was not understood
)

// Event is one thing that happened on a thread. A webhook item that carries
// several kinds gives several events. The JSON form is what is stored.
type Event struct {
	// ID identifies the event for deduplication: the kind and mid of a message,
	// quick reply, postback or echo; the page, person, kind, owners and second of
	// a control event; a hash of the raw item for all else. A postback told without
	// its payload is another event than the one with it. The channel is never part
	// of it.
	ID     string    `json:"id"`
	Thread ThreadKey `json:"thread"` // PSID is empty for app roles and policy
	Kind   Kind      `json:"kind"`
	// Standby tells that the event came on the standby channel: another app
	// controls the thread.
	Standby bool `json:"standby,omitempty"`
	// At is Meta's time of the event, UTC, milliseconds; the entry's time where
	// the event has none, zero where neither has.
	At  time.Time `json:"at,omitzero"`
	MID MessageID `json:"mid,omitempty"`
	// Text is a message's, echo's or edit's text, or a postback's title.
	Text string `json:"text,omitempty"`
	// Payload is a quick reply's or postback's payload, a referral's or opt-in's ref.
	Payload string `json:"payload,omitempty"`
	// App sent an echo, or asks for control in a request.
	App           AppID `json:"app,omitempty"`
	NewOwner      AppID `json:"new_owner,omitempty"`
	PreviousOwner AppID `json:"previous_owner,omitempty"`
	// Metadata is the opaque text that came with an echo or a control event.
	Metadata string `json:"metadata,omitempty"`
	// Field names what was not understood; only of KindUnknown.
	Field string `json:"field,omitempty"`
	// AIGenerated marks an echo of Meta's own automation.
	AIGenerated bool `json:"ai,omitempty"`
	// Attachments are the types of a message's attachments ("image", "sticker", …).
	Attachments []string `json:"attachments,omitempty"`
	// Sticker is the sticker_id of a message, see LikeSticker.
	Sticker string `json:"sticker,omitempty"`
	// Accepted is when the event was stored, by the store's clock. Who reads it sets
	// it: the store has it beside the event.
	Accepted time.Time `json:"accepted,omitzero"`
	// Backfilled tells that the event was not delivered: it was found in the
	// conversation later, with no more than Text. Answered tells that the Page has
	// spoken after it.
	Backfilled bool `json:"backfilled,omitempty"`
	Answered   bool `json:"answered,omitempty"`
	// Aliases are further ids under which the event may have been stored before, or
	// may come later. They are not stored with it.
	Aliases []string `json:"-"`
	// Trace is the W3C trace context of the delivery that brought the event; empty
	// unless it is traced.
	Trace string `json:"trace,omitempty"`
	// Raw is the item as it came, kept for kinds that are not understood, so that
	// nothing is lost. At most 64 KiB; a longer one is cut and no longer JSON,
	// hence a string.
	Raw string `json:"raw,omitempty"`
}

// MessageIDs returns the ids that an event of what a customer sent can have, that of
// KindMessage first: a message, a tap of a quick reply or of a button, told with its
// payload or without.
func MessageIDs(mid MessageID) []string {
	id := ":" + string(mid)
	return []string{
		string(KindMessage) + id, string(KindQuickReply) + id, string(KindPostback) + id, string(KindPostback) + id + BareSuffix,
	}
}

// BareSuffix ends the id of a postback that was told without its payload.
const BareSuffix = ":bare"
