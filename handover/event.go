package handover

import "time"

// Event is something that happened on a thread. Fields named At hold Meta's
// time: only those are compared with each other. Zero means unknown.
//
//sumtype:decl
type Event interface{ isEvent() }

// Act is how a customer acts.
type Act uint8

// The acts.
const (
	ActText       Act = iota // wrote
	ActQuickReply            // tapped a quick reply
	ActPostback              // tapped a button or a menu item
	ActMedia                 // sent a picture, a sticker, …
	ActReferral              // came by a link or an ad, opted in; says nothing
)

// CustomerActed is a customer's message or tap.
type CustomerActed struct {
	Act     Act
	Text    string // normalised
	Payload string
	Standby bool // came on the standby channel: another app has control
	At      time.Time
	// Checked tells that the event was deferred and that what it waited for is
	// known now: it does not ask again.
	Checked bool
	// TooLate tells that the event was not delivered, and was found too late to be
	// answered: that the customer acted counts, what they asked for does not.
	TooLate bool
}

// writes tells whether the customer sent a message, which a tap of a button is not.
func (e CustomerActed) writes() bool {
	return e.Act == ActText || e.Act == ActQuickReply || e.Act == ActMedia
}

// Answered is the script's verdict on the customer's act that an [Answer] was
// asked for. Where the answer to it is a [Note], it came too late: what the
// script had to say must not be said.
type Answered struct {
	Said    bool // it has something to say
	Missed  bool // it did not understand
	Handoff bool // it asks for a person
	At      time.Time
}

// AgentSpoke is an echo of something the Page said that neither we nor an
// ignored app sent.
type AgentSpoke struct {
	At time.Time
	// Found tells that the echo did not come: what was said was found later. The time
	// limit counts from when it was said.
	Found bool
}

// ControlPassed is a pass_thread_control event.
type ControlPassed struct {
	ToUs bool
	To   string // the app, if not us
	At   time.Time
}

// ControlTaken is a take_thread_control event.
type ControlTaken struct {
	ByUs bool
	At   time.Time
}

// ControlRequested is a request_thread_control event.
type ControlRequested struct {
	By string
	At time.Time
}

// OwnEcho is an echo of something that we said.
type OwnEcho struct{}

// Tick says that [State.Wake] has come. It is a hint: Decide looks for itself.
type Tick struct{}

// Command is what an operator can ask for.
type Command string

// The commands.
const (
	CommandPass    Command = "pass"
	CommandTake    Command = "take"
	CommandRelease Command = "release"
)

// Commanded is an operator's order.
type Commanded struct {
	Command Command
	Target  string // of a pass; "" for the rules'
}

// Outcome is how a call ended, for good.
type Outcome uint8

// The outcomes.
const (
	OK            Outcome = iota
	NotOwner              // another app has control
	Refused               // taking control is not allowed (#27)
	OutsideWindow         // the 24 hours for answers are over
	Unreachable           // the customer blocked us or left
	BadParameter          // Meta does not accept the call as it is
	Failed                // all else, after the last attempt
)

// Holder is who has control of a thread, as thread_owner tells.
type Holder uint8

// The holders.
const (
	HeldByOther Holder = iota // the zero value: when in doubt, stay silent
	HeldByUs
	HeldByNobody
)

// CallEnded tells how an effect's call ended.
type CallEnded struct {
	Effect     Effect // the effect as it was decided
	Generation uint64 // of the effect
	Outcome    Outcome
	Holder     Holder // of a ReadOwner that is OK
}

func (CustomerActed) isEvent()    {}
func (Answered) isEvent()         {}
func (AgentSpoke) isEvent()       {}
func (ControlPassed) isEvent()    {}
func (ControlTaken) isEvent()     {}
func (ControlRequested) isEvent() {}
func (OwnEcho) isEvent()          {}
func (Tick) isEvent()             {}
func (Commanded) isEvent()        {}
func (CallEnded) isEvent()        {}
