package handover

import "time"

// callEnded decides what the end of a call means.
func callEnded(r Rules, s State, e CallEnded, at time.Time) (State, []Effect) {
	if e.Generation != s.Generation {
		return outdatedEnded(r, s, e)
	}
	switch call := e.Effect.(type) {
	case SayAndPass:
		return passEnded(r, s, call, e.Outcome, at)
	case Pass:
		return passEnded(r, s, SayAndPass{Target: call.Target, Cause: call.Cause}, e.Outcome, at)
	case Say:
		return sayEnded(r, s, call.Text, e.Outcome, at)
	case Said:
		return sayEnded(r, s, "", e.Outcome, at)
	case Take:
		return takeEnded(r, s, e.Outcome, at)
	case ReadOwner:
		return ownerRead(r, s, e, at)
	case Release, Answer, Defer, Alarm, EndEpisode, Note:
	}
	return s, nil
}

// outdatedEnded decides what the end of a call means that was under way when the
// thread moved on. What it did at Meta must not be forgotten.
func outdatedEnded(r Rules, s State, e CallEnded) (State, []Effect) {
	switch e.Effect.(type) {
	case SayAndPass, Pass:
		if e.Outcome == OK && s.withPeople() && s.Awaiting == AwaitingTake {
			s.Passed = true // the take comes after it
		}
	case Take:
		// People have the thread by now: what we took from them goes back.
		if e.Outcome == OK && s.Passed && s.Awaiting != AwaitingTake {
			s = settle(s)
			s.Generation++ // what thread_owner says now is our doing
			s.Passed = false
			return s, []Effect{Note{NoteOutdated}, Pass{Target: target(r, s), Cause: s.Cause}}
		}
	case Answer, Said, Say, Release, ReadOwner, Defer, Alarm, EndEpisode, Note:
	}
	return s, note(NoteOutdated)
}

// passEnded decides what the end of a handoff's pass means. A call with a Text
// was the inline form.
func passEnded(r Rules, s State, call SayAndPass, out Outcome, at time.Time) (State, []Effect) {
	if !s.withPeople() {
		return s, note(NoteOutdated)
	}
	inline := call.Text != ""
	switch {
	case out == OK:
		s.Passed = true
		if s.Episode.Passed.IsZero() {
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
func sayEnded(r Rules, s State, text Text, out Outcome, at time.Time) (State, []Effect) {
	announced := s.Phase == Waiting && (text == TextHandoff || text == TextReopened) // of a say, then pass
	switch {
	case out == NotOwner && (s.Phase == Bot || announced):
		return lose(r, s, CauseControlLost, time.Time{}, at)
	case out != OK && announced: // people without a word are better than none
		return s, []Effect{Pass{Target: target(r, s), Cause: s.Cause}}
	case out != OK && text != "": // the text would have said so
		s.Disclose = true
	}
	return s, nil
}

// takeEnded decides what the end of a take means.
func takeEnded(r Rules, s State, out Outcome, at time.Time) (State, []Effect) {
	if s.Awaiting != AwaitingTake {
		return s, note(NoteOutdated)
	}
	alarm := Alarm{AlarmTakeFailed}
	if out == Refused {
		alarm = Alarm{AlarmTakeRefused}
	}
	cause := s.Return
	switch {
	case out == NotOwner && !s.withPeople(): // nor has the bot
		s, _ = lose(r, s, CauseControlLost, time.Time{}, at)
		return s, []Effect{alarm}
	case out == NotOwner, out != OK && s.Passed:
		if cause == CauseTimeLimit {
			s.Deadline = at.Add(TakeAgainAfter)
		}
		s.Passed = true
		return settle(s), []Effect{alarm}
	}
	s.ControlAt = latest(s.ControlAt, s.AskedAt)
	s, effects := becomeBot(s, cause, at)
	if out != OK { // control never left us; should it have, Meta refuses what we say
		effects = append(effects, alarm)
		if byCustomer(cause) { // what was to follow the take is dropped with it
			effects = append(effects, Say{Text: TextBack})
		}
	}
	return s, effects
}

// ownerRead decides whether control came back without a word.
func ownerRead(r Rules, s State, e CallEnded, at time.Time) (State, []Effect) {
	if s.Awaiting != AwaitingOwner {
		return s, note(NoteOutdated)
	}
	asked := s.AskedAt
	s = settle(s)
	if e.Outcome != OK || e.Holder == HeldByOther {
		return s, nil
	}
	s.ControlAt = latest(s.ControlAt, asked)
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
