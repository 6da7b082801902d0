package handover

// Effect is something that must happen because of a decision.
//
//sumtype:decl
type Effect interface{ isEffect() }

// Text names one of the operator's messages.
type Text string

// The texts. Handoff and Reopened carry the way back.
const (
	TextHandoff  Text = "handoff"
	TextReopened Text = "reopened"
	TextBack     Text = "back"
	TextFailed   Text = "failed"
)

// Answer asks the script to answer the event; its verdict comes as [Answered].
type Answer struct {
	First    bool // nothing was ever answered on this thread
	Misses   int  // misunderstandings in a row so far
	Disclose bool // the answer must say that it is automated
}

// Said is one message of the script, as it ends up among the calls.
type Said struct{}

// Say says one of the operator's texts.
type Say struct{ Text Text }

// SayAndPass says a text and passes control, in one call.
type SayAndPass struct {
	Text   Text
	Target string
	Cause  Cause
}

// Pass passes control without a word.
type Pass struct {
	Target string
	Cause  Cause
}

// Take takes control.
type Take struct{ Cause Cause }

// Release gives control back to nobody.
type Release struct{}

// ReadOwner asks Meta who has control.
type ReadOwner struct{}

// Defer keeps the event, and the customer's events after it, until nothing is
// awaited any more; then they are decided again, in order, as Checked.
type Defer struct{}

// Alarm wakes an operator.
type Alarm struct{ Reason AlarmReason }

// AlarmReason says what an operator must look at.
type AlarmReason string

// The alarms.
const (
	AlarmTakeRefused   AlarmReason = "take_refused"
	AlarmTakeFailed    AlarmReason = "take_failed"
	AlarmHandoffFailed AlarmReason = "handoff_failed"
	AlarmLoop          AlarmReason = "handover_loop"
)

// Mend says what to do about the alarm.
func (a AlarmReason) Mend() string {
	switch a {
	case AlarmTakeRefused:
		return "make this app the Page's default app and let it take control: Page settings, Advanced Messaging, Conversation Routing"
	case AlarmTakeFailed:
		return "see the call in the thread's history; usher thread take tries again"
	case AlarmHandoffFailed:
		return "check handover.target and the app's permissions; the customer was told and the bot goes on"
	case AlarmLoop:
		return "another app gives threads back at once: look at what answers behind the target"
	}
	return ""
}

// EndEpisode records an episode that ended.
type EndEpisode struct{ Episode Episode }

// Note goes into the thread's history and says why an event changed nothing.
type Note struct{ Why NoteReason }

// NoteReason says why an event changed nothing.
type NoteReason string

// The notes.
const (
	NoteLate        NoteReason = "older than the last change of control"
	NoteStale       NoteReason = "too old to answer"
	NoteTooLate     NoteReason = "found too late to answer"
	NoteSilent      NoteReason = "people have the thread"
	NoteOnTheWay    NoteReason = "the way back is under way"
	NoteJustBack    NoteReason = "the bot has just come back"
	NoteSaidNothing NoteReason = "the customer came and said nothing"
	NoteOutdated    NoteReason = "the thread has moved on since"
	NoteHandedOver  NoteReason = "people have the thread already"
	NoteNotHonoured NoteReason = "requests are not honoured"
	NoteLoop        NoteReason = "too many handoffs that nobody asked for"
	NoteNotOurs     NoteReason = "only a thread that the bot has can be released"
)

func (Answer) isEffect()     {}
func (Said) isEffect()       {}
func (Say) isEffect()        {}
func (SayAndPass) isEffect() {}
func (Pass) isEffect()       {}
func (Take) isEffect()       {}
func (Release) isEffect()    {}
func (ReadOwner) isEffect()  {}
func (Defer) isEffect()      {}
func (Alarm) isEffect()      {}
func (EndEpisode) isEffect() {}
func (Note) isEffect()       {}
