package handover

import (
	"slices"
	"time"
)

// The changes that a thread goes through: each is made in one place.

// handOff gives the thread to target and says so, in one call. The answers
// queued before it are still said, hence the generation stays.
func handOff(r Rules, s State, cause Cause, to string, metaAt, at time.Time) (State, []Effect) {
	var effects []Effect
	if s.Episode != nil { // solved, and handed off anew
		s, effects = endEpisode(s, cause, at)
	}
	if s.Awaiting != AwaitingNothing { // an operator decides over what was awaited
		s = settle(s)
		s.Generation++
	}
	s = become(s, Waiting, cause, at)
	s.Passed, s.ControlAt, s.Deadline = false, latest(s.ControlAt, metaAt), limit(r, at)
	s = begin(s, cause, to, at)
	return s, append(effects, SayAndPass{Text: TextHandoff, Target: to, Cause: cause})
}

// takeBack begins the way back. The phase changes when the take succeeds: a bot
// that has no control must not say that it is back.
func takeBack(s State, cause Cause, metaAt time.Time) (State, []Effect) {
	s.Generation++
	s.Awaiting, s.Return, s.AskedAt = AwaitingTake, cause, metaAt
	effects := []Effect{Take{Cause: cause}}
	if byCustomer(cause) {
		effects = append(effects, Say{Text: TextBack})
	}
	return s, effects
}

// lose gives the thread to people who have control already.
func lose(r Rules, s State, cause Cause, metaAt, at time.Time) (State, []Effect) {
	if r.LimitFrom != FromHandoff || !s.withPeople() || s.Deadline.IsZero() {
		s.Deadline = limit(r, at)
	}
	s = settle(s)
	s.Generation++
	if s.Phase != Human {
		s = become(s, Human, cause, at)
	}
	if s.Episode == nil {
		s = begin(s, cause, "", at)
	}
	s.Passed, s.ControlAt = true, latest(s.ControlAt, metaAt)
	return s, nil
}

// becomeBot gives the thread to the bot, which does not speak first.
func becomeBot(s State, cause Cause, at time.Time) (State, []Effect) {
	s, effects := endEpisode(s, cause, at)
	s = settle(become(s, Bot, cause, at))
	s.Passed, s.Misses, s.Deadline = false, 0, time.Time{}
	s.Disclose = !byCustomer(cause) // the text that greets a customer who came back discloses
	return s, effects
}

// become changes the phase, with its cause and time.
func become(s State, p Phase, cause Cause, at time.Time) State {
	s.Phase, s.Cause, s.Since = p, cause, at
	return s
}

// settle ends what is awaited.
func settle(s State) State {
	s.Awaiting, s.Return, s.AskedAt = AwaitingNothing, "", time.Time{}
	return s
}

// begin begins an episode.
func begin(s State, cause Cause, to string, at time.Time) State {
	s.Episodes++
	s.Episode = &Episode{Number: s.Episodes, Cause: cause, Target: to, Asked: at, LastCustomer: s.CustomerAt}
	return s
}

// endEpisode closes the episode that runs, if one does.
func endEpisode(s State, cause Cause, at time.Time) (State, []Effect) {
	if s.Episode == nil {
		return s, nil
	}
	ep := *s.Episode
	ep.Closed, ep.Ended = at, cause
	s.Episode = nil
	return s, []Effect{EndEpisode{ep}}
}

// customerSeen records when the customer last acted.
func customerSeen(s State, at time.Time) State {
	s.CustomerAt = at
	if s.Episode != nil {
		s.Episode.LastCustomer = at
	}
	return s
}

// hop counts a handoff that no person asked for and tells whether it may happen.
func hop(s State, at time.Time) (State, bool) {
	s.Hops = slices.DeleteFunc(s.Hops, func(t time.Time) bool { return at.Sub(t) >= HopWindow })
	if len(s.Hops) >= MaxHops {
		return s, false
	}
	s.Hops = append(s.Hops, at)
	return s, true
}

// limit returns when the time limit ends that counts from t; zero for never.
func limit(r Rules, t time.Time) time.Time {
	if r.TimeLimit <= 0 {
		return time.Time{}
	}
	return t.Add(r.TimeLimit)
}

// target returns the app that the episode went to.
func target(r Rules, s State) string {
	if s.Episode.Target != "" {
		return s.Episode.Target
	}
	return r.Target // people took the thread themselves
}

// byCustomer tells whether a cause is the customer's own act.
func byCustomer(c Cause) bool {
	return c == CauseButton || c == CauseQuickReply || c == CauseKeyword || c == CauseMenu
}
