package handover

import "time"

// callEnded decides what the end of a call means.
func callEnded(r Rules, s State, e CallEnded, at time.Time) (State, []Effect) {
	if e.Generation != s.Generation {
		return s, note(NoteOutdated)
	}
	switch call := e.Effect.(type) {
	case SayAndPass:
		return passEnded(r, s, call, e.Outcome, at)
	case Pass:
		return passEnded(r, s, SayAndPass{Target: call.Target, Cause: call.Cause}, e.Outcome, at)
	case Say:
		if s.Phase == Waiting && call.Text != TextBack && e.Outcome != OK { // the say of a say-then-pass
			return passEnded(r, s, SayAndPass{Cause: s.Cause}, e.Outcome, at)
		}
		return sayEnded(r, s, e.Outcome, at)
	case Said:
		return sayEnded(r, s, e.Outcome, at)
	case Take:
		return takeEnded(s, e.Outcome, at)
	case ReadOwner:
		return ownerRead(r, s, e, at)
	case Release, Answer, Defer, Alarm, EndEpisode, Note:
	}
	return s, nil
}

// passEnded decides what the end of a handoff's pass means. A call with a Text
// was the inline form.
func passEnded(r Rules, s State, call SayAndPass, out Outcome, at time.Time) (State, []Effect) {
	if s.Phase != Waiting {
		if out == OK {
			s.Passed = true // a thread that fell idle went to people again
		}
		return s, nil
	}
	inline := call.Text != ""
	switch {
	case out == OK:
		s.Passed = true
		if s.Episode != nil && s.Episode.Passed.IsZero() {
			s.Episode.Passed = at
		}
		return s, nil
	case out == NotOwner: // people have it already
		return lose(r, s, CauseControlLost, time.Time{}, at)
	case out == BadParameter && inline: // Meta does not take the inline form here
		return s, []Effect{Say{Text: call.Text}, Pass{Target: call.Target, Cause: call.Cause}}
	case out == OutsideWindow && inline: // nothing may be said, but people may have the thread
		return s, []Effect{Pass{Target: call.Target, Cause: call.Cause}}
	}
	asked := s.Cause != CauseOperator && s.Cause != CauseAgentAsked
	s, effects := becomeBot(s, CauseHandoffFailed, at)
	effects = append(effects, Alarm{AlarmHandoffFailed})
	if asked || !inline { // who asked, or was told, must know
		s.Disclose = false
		effects = append(effects, Say{Text: TextFailed})
	}
	return s, effects
}

// sayEnded decides what the end of something said means.
func sayEnded(r Rules, s State, out Outcome, at time.Time) (State, []Effect) {
	if out == NotOwner && s.Phase == Bot && s.Awaiting == AwaitingNothing {
		return lose(r, s, CauseControlLost, time.Time{}, at)
	}
	return s, nil
}

// takeEnded decides what the end of a take means.
func takeEnded(s State, out Outcome, at time.Time) (State, []Effect) {
	if s.Awaiting != AwaitingTake {
		return s, note(NoteOutdated)
	}
	if out == OK {
		s.ControlAt = latest(s.ControlAt, s.AskedAt)
		return becomeBot(s, s.Return, at)
	}
	s.Awaiting = AwaitingNothing
	if s.Return == CauseTimeLimit {
		s.Deadline = at.Add(TakeAgainAfter)
	}
	if out == Refused {
		return s, []Effect{Alarm{AlarmTakeRefused}}
	}
	return s, []Effect{Alarm{AlarmTakeFailed}}
}

// ownerRead decides whether control came back without a word.
func ownerRead(r Rules, s State, e CallEnded, at time.Time) (State, []Effect) {
	if s.Awaiting != AwaitingOwner {
		return s, note(NoteOutdated)
	}
	s.Awaiting = AwaitingNothing
	if e.Outcome != OK || e.Holder == HeldByOther {
		return s, nil
	}
	s.ControlAt = latest(s.ControlAt, s.AskedAt)
	if !away(s, at) {
		return becomeBot(s, CauseControlReturned, at)
	}
	// Meta let the thread fall idle inside our limit: people have it still.
	s, ok := hop(s, at)
	if !ok {
		s, effects := becomeBot(s, CauseControlReturned, at)
		return s, append(effects, Alarm{AlarmLoop}, Note{NoteLoop})
	}
	s.Passed = false
	return s, []Effect{Pass{Target: target(r, s), Cause: s.Cause}}
}

// away tells whether the customer was silent for so long that Meta let the
// thread fall idle.
func away(s State, at time.Time) bool {
	last := s.CustomerAt
	if last.IsZero() {
		last = s.Since
	}
	return at.Sub(last) >= IdleAfter
}
