package handover

import (
	"slices"
	"time"
)

// Decide returns what becomes of a thread and what must happen, when e happens
// at the time at (our clock). It changes none of its arguments.
func Decide(r Rules, s State, e Event, at time.Time) (State, []Effect) {
	s = s.clone()
	switch e := e.(type) {
	case CustomerActed:
		return customerActed(r, s, e, at)
	case Answered:
		return answered(r, s, e, at)
	case AgentSpoke:
		return agentSpoke(r, s, e, at)
	case ControlPassed:
		return controlPassed(r, s, e, at)
	case ControlTaken:
		return controlTaken(r, s, e, at)
	case ControlRequested:
		return controlRequested(r, s, e, at)
	case OwnEcho:
		return s, nil // it settles a call; control stays where it is
	case Tick:
		return tick(s, at)
	case Commanded:
		return commanded(r, s, e, at)
	case CallEnded:
		return callEnded(r, s, e, at)
	}
	return s, nil
}

// customerActed decides a customer's message or tap.
func customerActed(r Rules, s State, e CustomerActed, at time.Time) (State, []Effect) {
	_, isBack := wayBack(r, e)
	switch {
	case stale(e, at):
		return s, note(NoteStale)
	case e.TooLate:
		return customerMissed(r, s, e), note(NoteTooLate)
	case isBack && byCustomer(s.Return): // tapped twice
		return s, note(NoteOnTheWay)
	case s.Awaiting != AwaitingNothing:
		return customerMeanwhile(r, s, e, at)
	case s.Phase == Solved && s.due(at):
		s, closed := becomeBot(s, CauseBufferOver, at)
		s, effects := customerToBot(r, s, e, at)
		return s, append(closed, effects...)
	case s.due(at) && !e.Checked && !isBack: // the time limit is over, the timer a moment late
		s, effects := takeBack(s, CauseTimeLimit, time.Time{})
		return s, append(effects, Defer{})
	}
	switch s.Phase {
	case Bot:
		return customerToBot(r, s, e, at)
	case Waiting, Human:
		return customerToPeople(r, s, e, at)
	case Solved:
		return customerReturns(r, s, e, at)
	}
	return s, nil
}

// customerMeanwhile decides an act while it is not known who answers. What came on
// standby was said to people, whoever has the thread by now.
func customerMeanwhile(r Rules, s State, e CustomerActed, at time.Time) (State, []Effect) {
	if _, isBack := wayBack(r, e); s.Awaiting == AwaitingOwner && e.Standby && !r.ZeroConfig && !isBack {
		return customerToPeople(r, s, e, at)
	}
	return s, []Effect{Defer{}}
}

// stale tells whether e is too old to be answered.
func stale(e CustomerActed, at time.Time) bool { return !e.At.IsZero() && at.Sub(e.At) > StaleAfter }

// customerMissed counts an act that comes too late to be answered.
func customerMissed(r Rules, s State, e CustomerActed) State {
	s.CustomerAt = latest(s.CustomerAt, e.At)
	if s.Episode != nil {
		s.Episode.LastCustomer = latest(s.Episode.LastCustomer, e.At)
	}
	if s.Phase == Human && r.LimitFrom == FromAny && !s.Deadline.IsZero() {
		s.Deadline = latest(s.Deadline, limit(r, e.At))
	}
	return s
}

// customerToBot decides a customer's act on a thread that the bot has.
func customerToBot(r Rules, s State, e CustomerActed, at time.Time) (State, []Effect) {
	back, isBack := wayBack(r, e)
	switch {
	case elsewhere(r, s, e, at):
		return foundElsewhere(r, s, e, at)
	case isBack && byCustomer(s.Cause) && justReturned(s, e, at): // tapped twice
		return s, note(NoteJustBack)
	}
	s = customerSeen(s, at)
	if cause, ok := wayIn(r, e); ok {
		return handOff(r, s, cause, r.Target, e.At, at)
	}
	if isBack && (back != CauseKeyword || e.Checked) { // an old button, or tapped while the bot was on its way
		s.Disclose = false
		return s, []Effect{Say{Text: TextBack}}
	}
	return s, []Effect{Answer{First: !s.Answered, Misses: s.Misses, Disclose: s.Disclose}}
}

// elsewhere tells whether e shows that another app has control of a thread that
// we believe to be ours.
func elsewhere(r Rules, s State, e CustomerActed, at time.Time) bool {
	return e.Standby && !r.ZeroConfig && !justReturned(s, e, at)
}

// justReturned tells whether e may stem from the time before the bot got the
// thread back. When the buffer is over nothing comes back: Done did that before.
func justReturned(s State, e CustomerActed, at time.Time) bool {
	return (s.Cause != CauseBufferOver && at.Sub(s.Since) < Grace) ||
		(!e.At.IsZero() && e.At.Before(s.ControlAt.Add(Grace)))
}

// foundElsewhere decides an act on a thread that people have: we missed how they
// got it.
func foundElsewhere(r Rules, s State, e CustomerActed, at time.Time) (State, []Effect) {
	s, effects := lose(r, customerSeen(s, at), CauseControlLost, e.At, at)
	if cause, ok := wayBack(r, e); ok {
		return takeBack(s, cause, e.At)
	}
	return s, effects
}

// customerToPeople decides a customer's act on a thread that people have: the
// bot is silent, but for the way back.
func customerToPeople(r Rules, s State, e CustomerActed, at time.Time) (State, []Effect) {
	cause, isBack := wayBack(r, e)
	switch {
	case isBack && Older(e.At, s.ControlAt): // an agent has spoken since, say
		return s, note(NoteLate)
	case isBack:
		return takeBack(customerSeen(s, at), cause, e.At)
	case mayProveReturn(r, s, e):
		// CustomerAt stays: how long the customer was away tells, when the owner
		// is known, a thread that fell idle from one that was given back.
		s.Awaiting, s.AskedAt = AwaitingOwner, e.At
		return s, []Effect{ReadOwner{}, Defer{}}
	}
	wrote := s.CustomerAt
	s = customerSeen(s, at)
	if !e.Standby && !e.writes() {
		s.CustomerAt = wrote // our own button reaches us also from a thread that fell idle
	}
	if s.Phase == Human && r.LimitFrom == FromAny {
		s.Deadline = limit(r, at)
	}
	return s, note(NoteSilent)
}

// mayProveReturn tells whether e hints that control came back without a word.
func mayProveReturn(r Rules, s State, e CustomerActed) bool {
	return !r.ZeroConfig && !e.Standby && !e.Checked && s.Passed && e.writes() &&
		e.At.After(s.ControlAt.Add(Grace))
}

// customerReturns decides a customer's act in the buffer after Done.
func customerReturns(r Rules, s State, e CustomerActed, at time.Time) (State, []Effect) {
	cause, isBack := wayBack(r, e)
	if elsewhere(r, s, e, at) {
		return foundElsewhere(r, s, e, at)
	}
	s = customerSeen(s, at)
	switch {
	case isBack: // Done gave us control: there is nothing to take
		s.ControlAt = latest(s.ControlAt, e.At)
		s, closed := becomeBot(s, cause, at)
		return s, append(closed, Say{Text: TextBack})
	case e.Act == ActReferral:
		return s, note(NoteSaidNothing)
	}
	s, ok := hop(s, at)
	if !ok {
		s, closed := becomeBot(s, CauseReopened, at)
		s, more := customerToBot(r, s, e, at)
		return s, slices.Concat([]Effect{Alarm{AlarmLoop}, Note{NoteLoop}}, closed, more)
	}
	s.Episode.Reopened++
	s = become(s, Waiting, CauseReopened, at)
	s.ControlAt, s.Deadline = latest(s.ControlAt, e.At), limit(r, at)
	return s, []Effect{SayAndPass{Text: TextReopened, Target: target(r, s), Cause: CauseReopened}}
}

// wayBack tells whether e asks for the bot.
func wayBack(r Rules, e CustomerActed) (Cause, bool) {
	switch {
	case e.Payload == PayloadBackMenu:
		return CauseMenu, true
	case e.Payload == PayloadBack && e.Act == ActQuickReply:
		return CauseQuickReply, true
	case e.Payload == PayloadBack:
		return CauseButton, true
	case (e.Act == ActText || e.Act == ActQuickReply) && slices.Contains(r.BackKeywords, e.Text):
		return CauseKeyword, true
	}
	return "", false
}

// wayIn tells whether e asks for a person.
func wayIn(r Rules, e CustomerActed) (Cause, bool) {
	switch {
	case e.Payload == PayloadHandoffMenu:
		return CauseMenu, true
	case e.Payload == PayloadHandoff && e.Act == ActQuickReply:
		return CauseQuickReply, true
	case e.Payload == PayloadHandoff:
		return CauseButton, true
	case e.Act == ActText && slices.Contains(r.HandoffKeywords, e.Text):
		return CauseKeyword, true
	}
	return "", false
}

// answered takes the script's verdict into account.
func answered(r Rules, s State, e Answered, at time.Time) (State, []Effect) {
	if s.Phase != Bot || s.Awaiting != AwaitingNothing {
		return s, note(NoteOutdated)
	}
	if e.Said {
		s.Answered, s.Disclose = true, false
	}
	switch {
	case e.Handoff:
		return handOff(r, s, CauseScript, r.Target, e.At, at)
	case !e.Missed:
		s.Misses = 0
		return s, nil
	}
	s.Misses++
	if r.Misunderstandings > 0 && s.Misses >= r.Misunderstandings {
		return handOff(r, s, CauseMisunderstood, r.Target, e.At, at)
	}
	return s, nil
}

// agentSpoke gives the thread to the agent who wrote in it.
func agentSpoke(r Rules, s State, e AgentSpoke, at time.Time) (State, []Effect) {
	if late(s, e.At) {
		return s, note(NoteLate)
	}
	before := s
	s, _ = lose(r, s, CauseAgentSpoke, e.At, at)
	if counts := limit(r, at); e.Found && !e.At.IsZero() && !counts.IsZero() && s.Deadline.Equal(counts) {
		s.Deadline = limit(r, e.At) // which may be over
		if before.withPeople() {
			s.Deadline = latest(s.Deadline, before.Deadline)
		}
	}
	if s.Episode.FirstReply.IsZero() {
		s.Episode.FirstReply = at
	}
	s.Episode.LastAgent = at
	return s, nil
}

// controlPassed decides a pass that Meta tells of: Done, mostly.
func controlPassed(r Rules, s State, e ControlPassed, at time.Time) (State, []Effect) {
	if late(s, e.At) {
		return s, note(NoteLate)
	}
	if !e.ToUs {
		return controlGone(r, s, CauseControlPassed, e.At, at)
	}
	s.ControlAt = latest(s.ControlAt, e.At)
	switch {
	case s.Awaiting == AwaitingTake:
		s.Passed = false // the take will find that control is ours
		return s, note(NoteOnTheWay)
	case !s.withPeople():
		return s, nil
	}
	s = settle(s)
	s.Generation++
	s.Episode.Solved = at
	if r.Reopen <= 0 {
		return becomeBot(s, CauseDone, at)
	}
	s = become(s, Solved, CauseDone, at)
	s.Passed, s.Deadline = false, at.Add(r.Reopen)
	return s, nil
}

// controlTaken decides a take that Meta tells of.
func controlTaken(r Rules, s State, e ControlTaken, at time.Time) (State, []Effect) {
	switch {
	case e.ByUs:
		return s, nil
	case late(s, e.At):
		return s, note(NoteLate)
	}
	return controlGone(r, s, CauseControlTaken, e.At, at)
}

// controlGone decides that another app has control, by its own act or somebody's.
func controlGone(r Rules, s State, cause Cause, metaAt, at time.Time) (State, []Effect) {
	switch s.Phase {
	case Bot, Solved:
		return lose(r, s, cause, metaAt, at)
	case Waiting, Human:
	}
	if s.Awaiting != AwaitingNothing && !Older(metaAt, s.AskedAt) { // it outdates what we ask for
		s = settle(s)
		s.Generation++
	}
	s.Passed, s.ControlAt = true, latest(s.ControlAt, metaAt)
	return s, nil
}

// controlRequested lets another app have the thread that it asks for.
func controlRequested(r Rules, s State, e ControlRequested, at time.Time) (State, []Effect) {
	switch {
	case late(s, e.At):
		return s, note(NoteLate)
	case !r.HonourRequests:
		return s, note(NoteNotHonoured)
	case s.withPeople():
		return s, note(NoteHandedOver)
	}
	s, ok := hop(s, at)
	if !ok {
		return s, []Effect{Alarm{AlarmLoop}, Note{NoteLoop}}
	}
	return handOff(r, s, CauseAgentAsked, e.By, e.At, at)
}

// tick ends the time limit or the buffer.
func tick(s State, at time.Time) (State, []Effect) {
	if s.Awaiting != AwaitingNothing || !s.due(at) {
		return s, nil
	}
	switch s.Phase {
	case Waiting, Human:
		return takeBack(s, CauseTimeLimit, time.Time{})
	case Solved:
		return becomeBot(s, CauseBufferOver, at)
	case Bot:
	}
	return s, nil
}

// commanded obeys an operator.
func commanded(r Rules, s State, e Commanded, at time.Time) (State, []Effect) {
	switch e.Command {
	case CommandPass:
		if s.withPeople() && s.Awaiting == AwaitingNothing {
			return s, note(NoteHandedOver)
		}
		to := e.Target
		if to == "" {
			to = r.Target
		}
		return handOff(r, s, CauseOperator, to, time.Time{}, at)
	case CommandTake:
		if s.Awaiting == AwaitingTake {
			return s, note(NoteOnTheWay)
		}
		return takeBack(s, CauseOperator, time.Time{})
	case CommandRelease:
		if s.Phase != Bot {
			return s, note(NoteNotOurs)
		}
		return s, []Effect{Release{}}
	}
	return s, nil
}

// late tells whether a control event of Meta's time t is older than the last
// change of control, or than the way back under way. Times are compared at the
// coarser of their resolutions: some come in whole seconds.
func late(s State, t time.Time) bool {
	return Older(t, s.ControlAt) || (s.Awaiting == AwaitingTake && Older(t, s.AskedAt))
}

// Older tells whether Meta's time t is before the other. Times are compared at
// the coarser of their resolutions, since some come in whole seconds; a time
// that is not known is not older.
func Older(t, than time.Time) bool {
	if t.Nanosecond() == 0 { // anywhere in its second
		than = than.Truncate(time.Second)
	}
	return !t.IsZero() && t.Before(than)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// note is the effect list of an event that changes nothing.
func note(why NoteReason) []Effect { return []Effect{Note{why}} }
