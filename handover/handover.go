// Package handover decides who answers a thread: the bot or people.
//
//	         handoff (button, keyword, menu, script, misunderstandings, agent, operator)
//	┌─────┐ ───────────────────────────────────────────▶ ┌─────────┐ agent's first message ┌───────┐
//	│ bot │                                               │ waiting │ ────────────────────▶ │ human │
//	└─────┘ ◀─────────────────────────────────────────── └─────────┘                        └───────┘
//	   ▲   way back (button, keyword, menu), time limit, operator, control returned             │ Done
//	   │                                                  ┌────────┐                            │
//	   └───────────────────── buffer over ─────────────── │ solved │ ◀──────────────────────────┘
//	                                                      └────────┘ customer writes → same target
//
// [Decide] is the whole machine. It is pure: values in, values out, no clock, no
// I/O. Its caller has four duties:
//
//  1. Give it a thread's events one at a time, in the order they were accepted.
//  2. Make the state it returns durable before acting on any effect.
//  3. Carry out the effects of one decision as a chain, in order, stamped with
//     the Generation of the returned state; drop the rest of a chain whose head
//     failed for good; cancel what is of an older generation; and tell Decide how
//     each call ended ([CallEnded]), also one that was under way by then.
//  4. Wake it with [Tick] at [State.Wake].
package handover

import (
	"fmt"
	"slices"
	"time"
)

// Payloads of the buttons, quick replies and menu items that move a thread
// between bot and people.
const (
	PayloadHandoff     = "USHER_HANDOFF"
	PayloadHandoffMenu = "USHER_HANDOFF_MENU"
	PayloadBack        = "USHER_BACK"
	PayloadBackMenu    = "USHER_BACK_MENU"
)

// Times that are not settings.
const (
	// Grace is how long after a change of control traffic of the time before it
	// may still arrive.
	Grace = 5 * time.Second
	// StaleAfter is the age from which a customer's act is not answered: Meta's
	// window for answers is closed by then.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages
	StaleAfter = 24 * time.Hour
	// IdleAfter is when Meta lets a thread fall idle that the customer does not
	// write in.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
	IdleAfter = 24 * time.Hour
	// TakeAgainAfter is the wait before a take that Meta refused at the end of
	// the time limit is tried again.
	TakeAgainAfter = 15 * time.Minute
	// HopWindow and MaxHops bound the handoffs that no person asked for, so that
	// two bots cannot pass a thread to and fro.
	HopWindow = 10 * time.Minute
	MaxHops   = 4
)

// Phase is who answers a thread by our rules.
type Phase uint8

// The phases. They are stored by name.
const (
	Bot     Phase = iota // the zero value: a thread that nobody has claimed is the bot's
	Waiting              // handed off, no agent has spoken
	Human                // an agent has
	Solved               // the agent is done; a returning customer reaches the agent again
)

// String returns the phase's name.
func (p Phase) String() string {
	switch p {
	case Bot:
		return "bot"
	case Waiting:
		return "waiting"
	case Human:
		return "human"
	case Solved:
		return "solved"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// MarshalText returns the phase's name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a phase's name.
func (p *Phase) UnmarshalText(b []byte) error {
	for _, known := range []Phase{Bot, Waiting, Human, Solved} {
		if known.String() == string(b) {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("phase %q: want bot, waiting, human or solved", b)
}

// Cause says why a thread changed hands.
type Cause string

// The causes.
const (
	CauseButton          Cause = "button"
	CauseQuickReply      Cause = "quick_reply"
	CauseKeyword         Cause = "keyword"
	CauseMenu            Cause = "menu"
	CauseScript          Cause = "script"           // a rule of the script asked for a person
	CauseMisunderstood   Cause = "misunderstood"    // N misunderstandings in a row
	CauseAgentSpoke      Cause = "agent_spoke"      // an agent wrote
	CauseAgentAsked      Cause = "agent_asked"      // another app requested control
	CauseOperator        Cause = "operator"         // usher thread pass, take
	CauseControlLost     Cause = "control_lost"     // traffic on standby, or a send refused
	CauseControlTaken    Cause = "control_taken"    // another app took control
	CauseControlPassed   Cause = "control_passed"   // somebody passed control to another app
	CauseControlReturned Cause = "control_returned" // traffic came back, and thread_owner agrees
	CauseDone            Cause = "done"             // control was passed back to us
	CauseTimeLimit       Cause = "time_limit"
	CauseReopened        Cause = "reopened"       // the customer wrote in the buffer
	CauseBufferOver      Cause = "buffer_over"    // quiet until the buffer's end
	CauseHandoffFailed   Cause = "handoff_failed" // Meta refused the pass for good
)

// LimitFrom says from when a time limit counts.
type LimitFrom string

// Where a time limit counts from. Until an agent has spoken it always counts
// from the handoff.
const (
	FromAgent   LimitFrom = "agent"   // the agent's last message; the default
	FromHandoff LimitFrom = "handoff" // the handoff
	FromAny     LimitFrom = "any"     // anyone's last message
)

// Rules are an operator's choices for a Page.
type Rules struct {
	// Target is the app that gets a thread at a handoff. Required.
	Target string
	// TimeLimit is how long people keep a thread; 0 = until somebody gives it back.
	TimeLimit time.Duration
	LimitFrom LimitFrom
	// Reopen is how long after Done a returning customer reaches the agent again;
	// 0 = not at all.
	Reopen time.Duration
	// HandoffKeywords and BackKeywords are normalised. They match only a whole
	// message: "I hate this bot" takes nothing from an agent.
	HandoffKeywords []string
	BackKeywords    []string
	// Misunderstandings in a row hand the thread over; 0 = never.
	Misunderstandings int
	// HonourRequests lets another app have a thread that it requests.
	HonourRequests bool
	// ZeroConfig tells that the Page has no default app. There the channel of a
	// message proves nothing about control.
	ZeroConfig bool
}

// Awaiting names the call whose outcome decides who answers. Until it is known
// the customer's messages are deferred.
type Awaiting string

// What a thread can await.
const (
	AwaitingNothing Awaiting = ""
	AwaitingTake    Awaiting = "take"  // a way back is under way
	AwaitingOwner   Awaiting = "owner" // thread_owner is being read
)

// State is what is remembered of a thread. The zero value is a thread never
// seen. Times are ours unless they say otherwise.
type State struct {
	Phase Phase     `json:"phase,omitzero"`
	Cause Cause     `json:"cause,omitempty"` // of the last change of Phase
	Since time.Time `json:"since,omitzero"`  // of the last change of Phase
	// Generation is raised by others' acts and by a way back: what was decided
	// under an older one is not said any more.
	Generation uint64 `json:"gen,omitempty"`
	// ControlAt is Meta's time of the event that caused the last change of control.
	ControlAt time.Time `json:"control_at,omitzero"`
	// Passed tells that Meta is known to have given control to another app. It is
	// never so while the bot has the thread, or the buffer runs.
	Passed bool `json:"passed,omitempty"`
	// Awaiting, with Return the cause of the way back under way, and AskedAt Meta's
	// time of the event that began it.
	Awaiting Awaiting  `json:"awaiting,omitempty"`
	Return   Cause     `json:"return,omitempty"`
	AskedAt  time.Time `json:"asked_at,omitzero"`
	// Deadline is when the time limit or, when solved, the buffer ends.
	Deadline   time.Time `json:"deadline,omitzero"`
	CustomerAt time.Time `json:"customer_at,omitzero"` // the customer's last act that keeps a thread from falling idle
	Misses     int       `json:"misses,omitempty"`     // misunderstandings in a row
	// Answered tells that the script has said something; Disclose that its next
	// answer must say that it is automated.
	Answered bool        `json:"answered,omitempty"`
	Disclose bool        `json:"disclose,omitempty"`
	Hops     []time.Time `json:"hops,omitempty"`
	Episodes int         `json:"episodes,omitempty"` // begun so far
	Episode  *Episode    `json:"episode,omitempty"`  // the one that runs: unless the bot has the thread
}

// Episode is one trip from handoff to handback. Reports are made from episodes.
type Episode struct {
	Number       int       `json:"n"` // counts within the thread, from 1
	Cause        Cause     `json:"cause"`
	Target       string    `json:"target,omitempty"`
	Asked        time.Time `json:"asked"`
	Passed       time.Time `json:"passed,omitzero"`
	FirstReply   time.Time `json:"first_reply,omitzero"` // by an agent
	LastAgent    time.Time `json:"last_agent,omitzero"`
	LastCustomer time.Time `json:"last_customer,omitzero"`
	Solved       time.Time `json:"solved,omitzero"`
	Reopened     int       `json:"reopened,omitempty"`
	Closed       time.Time `json:"closed,omitzero"`
	Ended        Cause     `json:"ended,omitempty"`
}

// Wake returns when the thread wants a [Tick]; zero for never.
func (s State) Wake() time.Time {
	if s.Awaiting != AwaitingNothing {
		return time.Time{} // the outcome that is awaited comes by itself
	}
	return s.Deadline
}

// withPeople tells whether people have the thread.
func (s State) withPeople() bool { return s.Phase == Waiting || s.Phase == Human }

// due tells whether the time limit or the buffer is over.
func (s State) due(at time.Time) bool { return !s.Deadline.IsZero() && !at.Before(s.Deadline) }

// clone returns s with an Episode and Hops of its own.
func (s State) clone() State {
	if s.Episode != nil {
		ep := *s.Episode
		s.Episode = &ep
	}
	s.Hops = slices.Clone(s.Hops)
	return s
}
