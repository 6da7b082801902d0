package simulator

import (
	"time"

	"usher/messenger"
)

// Done is what the Page Inbox does when an agent clicks "Move to done" in a
// thread that it controls. Meta documents it for the old Handover Protocol only.
type Done uint8

// The three possibilities.
const (
	// DonePass passes control to the default app, with the metadata "Pass thread
	// control from Page Inbox". The default.
	DonePass Done = iota
	// DoneRelease lets the thread fall idle without a word.
	DoneRelease
	// DoneNothing leaves control with the inbox.
	DoneNothing
)

// AppIDs is how app ids are written in JSON. Production mixes both.
type AppIDs uint8

// The forms.
const (
	AppIDsMixed   AppIDs = iota // strings and numbers in turn; the default
	AppIDsStrings               // "263902037430900"
	AppIDsNumbers               // 263902037430900
)

// IdleOwner is when the default app comes to control an idle thread by itself.
type IdleOwner uint8

// The possibilities.
const (
	IdleStays         IdleOwner = iota // never: it may answer, the thread stays idle; the default
	IdleToDefault                      // as soon as a customer acts
	IdleToDefaultSend                  // as soon as the default app sends
)

// TakeTold is who gets a take_thread_control webhook.
type TakeTold uint8

// The possibilities.
const (
	// TakeToldPrevious tells the previous controller; a thread taken from idle
	// tells nobody. As Instagram's page has it, and the default.
	TakeToldPrevious TakeTold = iota
	// TakeToldAll tells every subscriber, always. As Messenger's page has it.
	TakeToldAll
)

// Doubts are switches for what Meta's documents leave open or contradict. The
// zero value is what they say, or what the stricter one says.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
type Doubts struct {
	TakeTold  TakeTold  `json:"take_told"`
	IdleOwner IdleOwner `json:"idle_owner"`
	// RetakeSucceeds makes a take by the controller a success, as in the Handover
	// Protocol. Otherwise it is refused with code 100.
	RetakeSucceeds bool `json:"retake_succeeds"`
	// DefaultTakesFreely lets the default app take without the toggle.
	DefaultTakesFreely bool `json:"default_takes_freely"`
	// MenuHidden sends taps of the persistent menu to an app that does not
	// control the thread as standby without payload. Otherwise they are treated
	// like its buttons: messaging, with payload.
	MenuHidden bool `json:"menu_hidden"`
	// QuickReplyHidden strips quick_reply from messages on standby.
	QuickReplyHidden bool `json:"quick_reply_hidden"`
	// ActionsFree accepts sender actions of an app that does not control the
	// thread. Otherwise they are refused like messages.
	ActionsFree bool `json:"actions_free"`
	// FeedbackFromIdle lets the default app send the feedback template in an idle
	// thread. Otherwise it must control the thread.
	FeedbackFromIdle bool `json:"feedback_from_idle"`
	// OnlyCustomersRenew lets control lapse 24 h after the customer's last act
	// ("no user to business message within last 24 hours"). Otherwise the
	// controller's messages count as well ("24 hours of inactivity").
	OnlyCustomersRenew bool `json:"only_customers_renew"`
	// ControlInSeconds writes the timestamps of control events in seconds, as
	// observed in production.
	ControlInSeconds bool `json:"control_in_seconds"`
	// EntryNeedsIdle lets a link or an ad give a thread to its app only where nobody
	// has control, as social routing does. Otherwise it does in any case.
	EntryNeedsIdle bool `json:"entry_needs_idle"`
	// AdDays is how long at most an ad may give control, in days: 7 by the page on
	// lead ads, 30 by the changelog. Defaults to 7.
	AdDays int `json:"ad_days"`
	// AITakeTold is how often the previous controller is told that Meta's AI took
	// control. Production showed 0 as well as 4. Defaults to 0.
	AITakeTold int `json:"ai_take_told"`
	// AIEchoOnMessaging sends the echoes of Meta's AI on the messaging channel, as
	// observed in production. Otherwise they come on standby like any other's.
	AIEchoOnMessaging bool `json:"ai_echo_on_messaging"`
	// TakeRefusal is the error code of a take that is not allowed. Defaults to 27.
	TakeRefusal int `json:"take_refusal"`
	// TextLimit is the length of the longest text, in characters. Defaults to 2000.
	TextLimit int `json:"text_limit"`
	// TagLimit is how many tagged messages a customer may be sent in 24 h before they
	// are refused with code 613, subcode 2018338, where Options.EnforceRate holds.
	// Meta publishes no number. Defaults to 20.
	TagLimit int `json:"tag_limit"`
}

func (d Doubts) withDefaults() Doubts {
	d.AdDays = or(d.AdDays, 7)
	d.TakeRefusal = or(d.TakeRefusal, 27)
	d.TextLimit = or(d.TextLimit, 2000)
	d.TagLimit = or(d.TagLimit, 20)
	return d
}

// What Meta fixes.
const (
	// Control lapses after a day of inactivity, and the messaging window is open for
	// a day after the customer's last act.
	day = 24 * time.Hour
	// maxExtension is also how long a person may answer by the human agent tag.
	maxExtension = 7 * day
	// doneMetadata comes with control that an agent gives back by Done.
	doneMetadata = "Pass thread control from Page Inbox"
)

// DefaultFields returns the webhook fields that an app with handover needs.
func DefaultFields() []string {
	return []string{
		fieldMessages, fieldPostbacks, fieldHandovers, fieldStandby, fieldEchoes, fieldReads, fieldReactions,
		fieldReferrals, fieldOptIns, fieldPolicy, fieldFeedback,
	}
}

// The webhook fields that the simulator sends.
const (
	fieldMessages   = "messages"
	fieldPostbacks  = "messaging_postbacks"
	fieldHandovers  = "messaging_handovers"
	fieldStandby    = "standby"
	fieldEchoes     = "message_echoes"
	fieldReads      = "message_reads"
	fieldReactions  = "message_reactions"
	fieldReferrals  = "messaging_referrals"
	fieldOptIns     = "messaging_optins"
	fieldPolicy     = "messaging_policy_enforcement"
	fieldFeedback   = "messaging_feedback"
	fieldDeliveries = "message_deliveries"
	fieldEdits      = "message_edits"
	fieldJudgments  = "response_feedback"
	fieldLinking    = "messaging_account_linking"
)

// otherFields can be subscribed to beside those that every app needs. Nothing here
// causes most of them.
func otherFields() []string {
	return []string{
		fieldDeliveries, fieldEdits, fieldJudgments, fieldLinking, "messaging_integrity", "business_integrity", "messaging_optouts",
		"message_template_status_update", "message_context", "messaging_game_plays", "messaging_payments",
		"messaging_pre_checkouts", "messaging_checkout_updates", "messaging_customer_information", "messaging_in_thread_lead_form_submit",
		"inbox_labels", "send_cart", "calls", "feed",
	}
}

// appID writes an app id as the options say; null for nobody. The lock is held.
func (m *Meta) appID(id messenger.AppID) rawID {
	if id == "" {
		return "null"
	}
	form := m.opt.AppIDs
	if form == AppIDsMixed {
		m.serial++
		form = AppIDsStrings + AppIDs(m.serial%2)
	}
	if form == AppIDsNumbers {
		return rawID(id)
	}
	return rawID(`"` + id + `"`)
}

// rawID is an app id as it stands in JSON.
type rawID string

// MarshalJSON returns r itself.
func (r rawID) MarshalJSON() ([]byte, error) { return []byte(r), nil }
