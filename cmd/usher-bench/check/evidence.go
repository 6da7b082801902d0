// Package check judges a run of Usher under faults. It compares what Meta's side
// saw (the simulator's ledger), what Usher acknowledged, and what Usher stored,
// and says of each guarantee how often it held and where it was broken. It is
// pure: values in, verdict out.
package check

import (
	"time"

	"usher/handover"
	"usher/handover/engine"
)

// Evidence is all that is known of a run after its last fault was healed and all
// work was done.
type Evidence struct {
	Threads []Thread
	// Buried are the causes of what was set aside, and BadEvents the events that
	// were offered so that they would be: both by name, such as "Page is not …".
	Buried    map[string]int
	BadEvents map[string]int
	// Entries and Effects are what was left in the streams and outboxes.
	Entries, Effects int64

	Answers Answers
	Fence   Fence
	Stops   []Stop
	Starts  []Start
	// LogLines is how many lines of log were searched; Leaks are those that held a
	// secret or somebody's words, and Panics those that told of a panic or a race.
	LogLines int
	Leaks    []string
	Panics   []string

	// Excused are the times in which nobody could be expected to act on a timer: a
	// fault, and what the lease needs to get over it. In order of their beginning.
	Excused []Span
	// Away are the times in which Redis was hit, until it was whole again. In order of
	// their beginning. Who is told to stop then can record nothing, and must say so.
	Away []Span
	// Failovers are the times in which another Redis became the primary. What an
	// owner had committed is not waited for, and may be forgotten then: it is decided
	// again, but what was sent meanwhile was sent.
	Failovers []Span
	// Ended is when the replicas were told to stop; zero where that is not known.
	Ended time.Time
	Times Times
}

// Times are the settings of the run.
type Times struct {
	Limit       time.Duration `json:"limit"`        // of a handover, from the agent's last message
	Lease       time.Duration `json:"lease"`        // of a partition
	CallTimeout time.Duration `json:"call_timeout"` // of a call to Graph
	StopTimeout time.Duration `json:"stop_timeout"` // after SIGTERM
}

// Span is a time from From to To.
type Span struct{ From, To time.Time }

// Answers are the answers to webhooks by replicas that were there to answer.
type Answers struct {
	OK      int
	Refused int // with 503 or the like
	// Slowest is the longest that a refusal took, and Late are those over [AckBudget].
	Slowest time.Duration
	Late    int
}

// AckBudget is how long a refusal may take: the 4 s that Usher allows itself, and
// what a busy machine adds to them. Meta hangs up after 5 s.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
const AckBudget = 4500 * time.Millisecond

// Fence is what is known of replicas that lost a partition.
type Fence struct {
	Lost     int // partitions that a replica noticed to be another's
	Reloaded int // partitions whose store was at another step than their owner
	Probes   int // commits with a token that is not the owner's
	Accepted int // and those that changed something
}

// Stop is the end of a replica that got SIGTERM.
type Stop struct {
	Replica string
	At      time.Time // of the signal
	Took    time.Duration
	Code    int
}

// Start is a start with a wrong configuration.
type Start struct {
	Code  int
	Place bool // it named the file and line of the fault
}

// Thread is a conversation, as its three witnesses have it.
type Thread struct {
	Stored

	Name  string // page:psid
	Told  []Told
	Calls []Call
	// Passes are when Usher passed the thread on without a word.
	Passes []time.Time
}

// Place is where an event stands among all that was delivered; the zero value is
// nowhere.
type Place struct {
	Seq   int64 // of the delivery, when it began
	Index int   // within its body
}

// Before tells whether p is an earlier place.
func (p Place) Before(q Place) bool { return p.Seq < q.Seq || p.Seq == q.Seq && p.Index < q.Index }

// Told is an event of which Meta told Usher.
type Told struct {
	ID       string // as Usher names it: "message:m_…"
	By       By
	At       time.Time // Meta's time
	First    Place     // where it was first offered
	Accepted Place     // where it was first acknowledged; zero = never
	Acked    time.Time // when it was first acknowledged
	Copies   int       // how often it was acknowledged
	Want     Want      // what must come of it
	Text     string    // what each message must contain, where Want is Answer
	Effect   string    // of an echo of ours: the effect's id
}

// By says whose act an event tells of.
type By uint8

// Who acts.
const (
	Customer By = iota
	Agent
	Meta // a change of control
	Us   // an echo of what Usher said
)

// Want is what must come of an event. It is known only where nothing raced with it.
type Want uint8

// What can be wanted.
const (
	Anything Want = iota
	Answer        // the bot answers it
	Silence       // people have the thread: the bot does not
)

// Call is a message that Usher asked Meta to send, and that Meta sent, or refused
// because another app had control.
type Call struct {
	Effect string // from its metadata; "" where it had none
	Text   string
	At     time.Time
	Seq    int64 // orders calls and deliveries
	Sent   bool  // else it was refused
	// EchoID is the event that tells of it, see [Told.ID].
	EchoID string
}

// Stored is what Usher keeps of a thread.
type Stored struct {
	State   handover.State
	History []engine.Line
	// Cut tells that the history is as long as it can be, so that its beginning is
	// missing: such a thread proves nothing.
	Cut     bool
	Pending []string        // ids of effects in the outbox
	Timer   time.Time       // zero for none
	Echoed  map[string]bool // effects whose echo is remembered
}
