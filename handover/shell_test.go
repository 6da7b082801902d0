package handover_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"usher/handover"
)

// shell has Decide's four duties, in memory: how a call ends is in the hands of
// the test. Whatever holds for every history is checked after every decision.
type shell struct {
	t       failer
	rules   handover.Rules
	state   handover.State
	verdict handover.Answered // of the script, whenever it is asked
	outbox  []*call
	parked  []handover.CustomerActed
	chains  int
	tell    func(line string)
	owes    bool // the bot came back and has not said yet that it is one
}

// failer is what [testing.T] and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// call is an effect in the outbox.
type call struct {
	effect handover.Effect
	gen    uint64
	chain  int
	sent   bool // under way: too late to cancel
}

func newShell(t failer, tell func(string)) *shell {
	return &shell{t: t, verdict: handover.Answered{Said: true}, tell: tell}
}

// decide steps the thread by ev, queues what follows, and decides again what was
// deferred once nothing is awaited any more.
func (sh *shell) decide(ev handover.Event, at time.Time) {
	sh.t.Helper()
	sh.step(ev, at)
	for sh.state.Awaiting == handover.AwaitingNothing && len(sh.parked) > 0 {
		again := sh.parked[0]
		sh.parked = sh.parked[1:]
		again.Checked = true
		sh.tell("again: " + describeAct(again))
		waiting := len(sh.parked)
		sh.step(again, at)
		if len(sh.parked) != waiting {
			sh.t.Fatalf("an event that was deferred is deferred again, behind later ones: %+v, %+v", again, sh.state)
		}
	}
	sh.checkRest()
}

func (sh *shell) step(ev handover.Event, at time.Time) {
	sh.t.Helper()
	before := sh.state
	next, effects := sh.pure(ev, at)
	sh.state = next
	sh.checkStep(before, ev, effects, at)
	if next.Generation != before.Generation {
		sh.cancelOlder()
	}
	if answered, ok := ev.(handover.Answered); ok && answered.Said {
		_, handsOff := find[handover.SayAndPass](effects)
		_, outdated := find[handover.Note](effects)
		excuse := handsOff && answered.Missed // a person is better than one more
		if !outdated && !excuse {
			sh.chain(handover.Said{}, 0)
		}
	}
	chain := 0
	for _, effect := range effects {
		switch effect := effect.(type) {
		case handover.Answer:
			sh.tell(describe(effect))
			verdict := sh.verdict
			if act, ok := ev.(handover.CustomerActed); ok {
				verdict.At = act.At
			}
			sh.step(verdict, at)
		case handover.Defer:
			act, ok := ev.(handover.CustomerActed)
			if !ok {
				sh.t.Fatalf("%T is deferred: only customers' acts can be", ev)
			}
			sh.tell(describe(effect))
			sh.parked = append(sh.parked, act)
		case handover.Say, handover.SayAndPass, handover.Pass, handover.Take, handover.Release, handover.ReadOwner:
			chain = sh.chain(effect, chain)
		case handover.Alarm, handover.EndEpisode, handover.Note:
			sh.tell(describe(effect))
		case handover.Said:
			sh.t.Fatalf("Decide says what the script says")
		}
	}
}

// chain puts an effect into the outbox, behind those of its chain; 0 begins one.
func (sh *shell) chain(effect handover.Effect, chain int) int {
	line := describe(effect)
	if chain == 0 {
		sh.chains++
		chain = sh.chains
	} else {
		line = "then " + line
	}
	sh.tell(line)
	sh.outbox = append(sh.outbox, &call{effect: effect, gen: sh.state.Generation, chain: chain})
	return chain
}

// send makes the call that is next.
func (sh *shell) send() *call {
	sh.t.Helper()
	if len(sh.outbox) == 0 {
		sh.t.Fatalf("there is no call to end")
	}
	c := sh.outbox[0]
	if !c.sent {
		sh.checkSpeech(c)
	}
	c.sent = true
	return c
}

// end ends the call that is next.
func (sh *shell) end(outcome handover.Outcome, holder handover.Holder, at time.Time) {
	sh.t.Helper()
	c := sh.send()
	sh.outbox = sh.outbox[1:]
	sh.tell(outcomes[outcome] + ": " + describe(c.effect))
	if outcome != handover.OK {
		sh.drop("dropped: ", func(o *call) bool { return o.chain == c.chain })
	}
	sh.decide(handover.CallEnded{Effect: c.effect, Generation: c.gen, Outcome: outcome, Holder: holder}, at)
}

func (sh *shell) cancelOlder() {
	sh.drop("cancelled: ", func(c *call) bool { return c.gen < sh.state.Generation && !c.sent })
}

func (sh *shell) drop(why string, doomed func(*call) bool) {
	sh.outbox = slices.DeleteFunc(slices.Clone(sh.outbox), func(c *call) bool {
		if doomed(c) {
			sh.tell(why + describe(c.effect))
			return true
		}
		return false
	})
}

// pure decides, and checks that Decide is a function and leaves its arguments
// alone.
func (sh *shell) pure(ev handover.Event, at time.Time) (handover.State, []handover.Effect) {
	sh.t.Helper()
	rules, state := copyRules(sh.rules), copyState(sh.state)
	next, effects := handover.Decide(sh.rules, sh.state, ev, at)
	if !reflect.DeepEqual(sh.state, state) || !reflect.DeepEqual(sh.rules, rules) {
		sh.t.Fatalf("Decide changed its arguments: %+v, want %+v", sh.state, state)
	}
	again, same := handover.Decide(rules, state, ev, at)
	if !reflect.DeepEqual(again, next) || !reflect.DeepEqual(same, effects) {
		sh.t.Fatalf("Decide said %+v, %v, then %+v, %v of the same", next, effects, again, same)
	}
	if next.Episode != nil && next.Episode == sh.state.Episode {
		sh.t.Fatalf("two states share an episode")
	}
	return next, effects
}

// checkStep checks what holds for every decision.
func (sh *shell) checkStep(before handover.State, ev handover.Event, effects []handover.Effect, at time.Time) {
	sh.t.Helper()
	next := sh.state
	if next.Generation < before.Generation {
		sh.t.Fatalf("the generation fell from %d to %d", before.Generation, next.Generation)
	}
	if before.Phase != next.Phase && (next.Cause == "" || !next.Since.Equal(at)) {
		sh.t.Fatalf("%v became %v without cause or time: %+v", before.Phase, next.Phase, next)
	}
	if _, ok := ev.(handover.CustomerActed); ok && withPeople(before) && withPeople(next) {
		for _, effect := range effects {
			comesBack := is[handover.Say](effect) && next.Awaiting == handover.AwaitingTake
			if speaks(effect) && !comesBack {
				sh.t.Fatalf("%s on a thread that people have: %+v", describe(effect), before)
			}
		}
	}
	sh.checkEpisodes(before, effects)
	sh.checkDisclosure(before, ev, effects)
	sh.checkStored()
}

// checkEpisodes checks that episodes begin and end in pairs, with rising numbers.
func (sh *shell) checkEpisodes(before handover.State, effects []handover.Effect) {
	sh.t.Helper()
	next := sh.state
	running := before.Episode
	if end, ok := find[handover.EndEpisode](effects); ok {
		switch {
		case running == nil || running.Number != end.Episode.Number:
			sh.t.Fatalf("episode %+v ended while %+v ran", end.Episode, running)
		case end.Episode.Closed.IsZero() || end.Episode.Ended == "":
			sh.t.Fatalf("an episode ended without time or cause: %+v", end.Episode)
		}
		running = nil
	}
	switch {
	case (next.Phase == handover.Bot) != (next.Episode == nil):
		sh.t.Fatalf("phase %v with episode %+v", next.Phase, next.Episode)
	case next.Episode == nil && running != nil:
		sh.t.Fatalf("episode %+v vanished", running)
	case next.Episode != nil && running != nil && next.Episode.Number != running.Number:
		sh.t.Fatalf("episode %+v began while %+v ran", next.Episode, running)
	case next.Episode != nil && (next.Episode.Number != next.Episodes || next.Episode.Cause == "" || next.Episode.Asked.IsZero()):
		sh.t.Fatalf("episode %+v is not number %d", next.Episode, next.Episodes)
	case next.Episode != nil && running == nil && next.Episodes != before.Episodes+1:
		sh.t.Fatalf("episode %d began after %d", next.Episodes, before.Episodes)
	}
}

// checkDisclosure checks that a bot that came back says with its first words
// that it is one. The operator's texts do.
func (sh *shell) checkDisclosure(before handover.State, ev handover.Event, effects []handover.Effect) {
	sh.t.Helper()
	if sh.state.Phase != handover.Bot {
		sh.owes = false
		return
	}
	if before.Phase != handover.Bot {
		sh.owes = !sh.pending(is[handover.Say])
	}
	if ended, ok := ev.(handover.CallEnded); ok && is[handover.Say](ended.Effect) &&
		ended.Generation == sh.state.Generation && ended.Outcome != handover.OK {
		sh.owes = true
	}
	if _, ok := find[handover.Say](effects); ok {
		sh.owes = false
	}
	if answer, ok := find[handover.Answer](effects); ok && sh.owes && !answer.Disclose {
		sh.t.Fatalf("the bot came back and does not say that it is one: %+v", before)
	}
	if answered, ok := ev.(handover.Answered); ok && answered.Said {
		sh.owes = false
	}
}

// maxStateBytes bounds what a thread's state takes in the store.
const maxStateBytes = 900

// checkStored checks that the state survives its storage.
func (sh *shell) checkStored() {
	sh.t.Helper()
	body, err := json.Marshal(sh.state)
	if err != nil {
		sh.t.Fatalf("marshal: %v", err)
	}
	var read handover.State
	if err := json.Unmarshal(body, &read); err != nil {
		sh.t.Fatalf("unmarshal %s: %v", body, err)
	}
	if again, err := json.Marshal(read); err != nil || !bytes.Equal(again, body) {
		sh.t.Fatalf("stored as %s, read as %s (%v)", body, again, err)
	}
	if !reflect.DeepEqual(read, sh.state) {
		sh.t.Fatalf("stored %+v, read %+v", sh.state, read)
	}
	if len(body) >= maxStateBytes {
		sh.t.Fatalf("the state takes %d bytes: %s", len(body), body)
	}
}

// checkRest checks what holds between events.
func (sh *shell) checkRest() {
	sh.t.Helper()
	s := sh.state
	switch {
	case s.Passed && !withPeople(s):
		sh.t.Fatalf("another app has control, and nobody the thread: %+v", s)
	case s.Awaiting == handover.AwaitingTake && !sh.pending(is[handover.Take]),
		s.Awaiting == handover.AwaitingOwner && !sh.pending(is[handover.ReadOwner]):
		sh.t.Fatalf("%q is awaited for ever: %+v", s.Awaiting, s)
	case s.Awaiting == handover.AwaitingNothing && (s.Return != "" || !s.AskedAt.IsZero()):
		sh.t.Fatalf("nothing is awaited, but %q since %v", s.Return, s.AskedAt)
	case s.Awaiting != handover.AwaitingNothing && !s.Wake().IsZero():
		sh.t.Fatalf("the thread waits for %q and until %v: %+v", s.Awaiting, s.Wake(), s)
	case s.Awaiting != handover.AwaitingNothing:
		return
	case withPeople(s) && !s.Passed && !sh.pending(is[handover.SayAndPass]) && !sh.pending(is[handover.Pass]):
		sh.t.Fatalf("the thread waits for people whom nobody gives it to: %+v", s)
	case withPeople(s) && sh.rules.TimeLimit > 0 && s.Wake().IsZero():
		sh.t.Fatalf("the time limit is never looked at: %+v", s)
	case s.Phase == handover.Solved && s.Wake().IsZero():
		sh.t.Fatalf("the buffer never ends: %+v", s)
	case s.Phase == handover.Bot && !s.Wake().IsZero():
		sh.t.Fatalf("the bot has the thread and waits until %v: %+v", s.Wake(), s)
	}
}

// pending tells whether a call that match knows is still to come, and wanted.
func (sh *shell) pending(match func(handover.Effect) bool) bool {
	return slices.ContainsFunc(sh.outbox, func(c *call) bool { return c.gen == sh.state.Generation && match(c.effect) })
}

// checkSpeech checks that a call that is being made does not talk over people.
func (sh *shell) checkSpeech(c *call) {
	sh.t.Helper()
	switch {
	case !speaks(c.effect) || !withPeople(sh.state):
		return
	case sh.state.Phase == handover.Waiting && (sh.pending(is[handover.SayAndPass]) || sh.pending(is[handover.Pass])):
		return // the handoff's own words, or an answer that was queued before them
	}
	sh.t.Fatalf("%s is said to a customer who talks with people: %+v", describe(c.effect), sh.state)
}

// speaks tells whether the customer hears of an effect.
func speaks(effect handover.Effect) bool {
	return is[handover.Answer](effect) || is[handover.Said](effect) || is[handover.Say](effect) || is[handover.SayAndPass](effect)
}

func withPeople(s handover.State) bool {
	return s.Phase == handover.Waiting || s.Phase == handover.Human
}

func is[E handover.Effect](effect handover.Effect) bool {
	_, ok := effect.(E)
	return ok
}

// find returns the first effect of kind E.
func find[E handover.Effect](effects []handover.Effect) (E, bool) {
	for _, effect := range effects {
		if found, ok := effect.(E); ok {
			return found, true
		}
	}
	var none E
	return none, false
}

func copyState(s handover.State) handover.State {
	if s.Episode != nil {
		ep := *s.Episode
		s.Episode = &ep
	}
	s.Hops = slices.Clone(s.Hops)
	return s
}

func copyRules(r handover.Rules) handover.Rules {
	r.HandoffKeywords, r.BackKeywords = slices.Clone(r.HandoffKeywords), slices.Clone(r.BackKeywords)
	return r
}
