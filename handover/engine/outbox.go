package engine

import (
	"math/rand/v2"
	"slices"
	"time"

	"usher/handover"
	"usher/messenger"
)

// retries are the waits before a call that failed for the moment is made again,
// each varied by a fifth; the last one repeats.
//
//nolint:gochecknoglobals // a table
var retries = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 7 * time.Minute}

// ending says how a sender came back.
type ending uint8

const (
	ended     ending = iota // for good: see the outcome
	retry                   // it failed for the moment
	patient                 // Meta takes no calls at present, which does not count as an attempt
	unsure                  // it may have reached Meta
	outdated                // it was not made: the thread has moved on
	untrusted               // it was not made: the lease might end before the call
)

// result is what a sender brings back to the loop.
type result struct {
	th      *thread
	f       *effect
	end     ending
	outcome handover.Outcome
	holder  handover.Holder // of a read_owner
	profile *profile        // of a read_profile
	after   time.Duration   // how long to wait, where Meta said so
	err     error
	last    bool                // the sender has ended with it
	known   bool                // no sender: the store knew the effect's echo
	poison  bool                // the sender panicked
	sent    messenger.MessageID // what Meta calls the message that it sent, if it did
}

// result settles a call, or arranges for it to be made again.
func (t *turn) result(r result) {
	th, f := r.th, r.f
	if !r.known {
		f.flying = false
	}
	if r.last {
		t.p.dismiss(th)
	}
	if th.gone || f.over || !slices.Contains(th.queue, f) {
		return
	}
	if !t.protected(th, f.ID, func() { t.land(r) }) {
		// The call was made and is not made again. Nothing waits for what it meant.
		t.settle(th, f)
		th.rec.Asking, th.rec.State.Awaiting = false, handover.AwaitingNothing
	}
}

func (t *turn) land(r result) {
	th, f := r.th, r.f
	s := t.step(th, "call", callID(f))
	s.trace = f.Trace
	s.line.Call, s.line.Attempt, s.line.Sent = f.String(), f.Attempts+1, digest(r.sent)
	if r.err != nil {
		s.line.Error = r.err.Error()
	}
	if s.pg == nil {
		t.bury(th.key, "Page is not among messenger.pages", f.ID)
		t.settle(th, f)
		return
	}
	current := f.Gen >= th.rec.State.Generation || f.Call == callReadProfile
	switch {
	case r.poison:
		t.bury(th.key, r.err.Error(), f.ID)
		s.line.Outcome = outcomeName(handover.Failed)
		s.ended(f, handover.Failed, handover.HeldByOther)
	case r.end == untrusted:
		f.NotBefore = t.now.Add(t.p.e.Renew / 5) // in memory only: nothing has happened
		return
	case r.end == ended:
		s.line.Outcome = outcomeName(r.outcome)
		if r.outcome == handover.OK && !r.known {
			s.replied(f)
		}
		if f.Call == callReadProfile {
			th.rec.Profile, th.rec.Asking = r.profile, false
		}
		s.ended(f, r.outcome, r.holder)
	case r.end == outdated, !current:
		s.line.Outcome = outcomeCancelled
		t.settle(th, f)
	case t.now.Sub(f.At) >= handover.StaleAfter:
		s.line.Outcome = outcomeExpired
		s.ended(f, handover.OutsideWindow, handover.HeldByOther)
	case r.end != patient && f.Attempts+1 >= t.p.e.Attempts:
		s.line.Outcome = outcomeGivenUp
		s.ended(f, handover.Failed, handover.HeldByOther)
	default:
		s.line.Outcome = t.postpone(f, r)
	}
	s.done()
}

// postpone arranges the next attempt and returns what to call this one's outcome.
func (t *turn) postpone(f *effect, r result) string {
	outcome, wait := outcomeRetry, r.after
	pause := vary(retries[min(f.Attempts, len(retries)-1)])
	switch r.end {
	case patient:
		outcome = outcomeHeld
		f.refused = true
	case unsure:
		outcome = outcomeUnsure
		wait = max(t.p.e.EchoGrace, pause)
		f.Unsure = true
		f.Attempts++
	case retry:
		wait = max(wait, pause)
		f.Attempts++
	case ended, outdated, untrusted: // not postponed
	}
	f.NotBefore = t.now.Add(wait)
	t.put[f] = struct{}{}
	return outcome
}

// vary changes d by up to a fifth, so that what failed together is not tried
// together.
func vary(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}

// settle takes an effect off the outbox. Only now is its echo remembered: the
// store takes an effect whose echo it knows for settled.
func (t *turn) settle(th *thread, f *effect) {
	t.p.recall(th, f)
	th.queue = slices.DeleteFunc(slices.Clone(th.queue), func(g *effect) bool { return g == f })
	t.p.requeue(th)
	f.over = true
	delete(t.put, f)
	t.commit.Drop = append(t.commit.Drop, f.ID)
	if f.Echoed {
		t.commit.Echoed = append(t.commit.Echoed, f.ID)
	}
}

// overtake drops answers that are being retried while a handoff waits behind
// them: who asked for a person does not wait for Graph to accept an old answer.
func (t *turn) overtake(th *thread) {
	for len(th.queue) > 1 {
		f := th.queue[0]
		if !f.says() || f.Attempts == 0 || !slices.ContainsFunc(th.queue[1:], (*effect).passes) || !t.p.recall(th, f) {
			return
		}
		for _, g := range slices.Clone(th.queue) {
			if g == f || g.Chain == f.Chain && g.says() { // half an answer is none
				t.settle(th, g)
				t.line(Line{Thread: th.key, What: "overtaken", ID: g.ID, Call: g.String(), Outcome: outcomeDropped + ": the handoff goes first"})
			}
		}
	}
}

// expire drops what came too late to be said, whether or not the Page's calls are
// made at present. Who gets a thread, and the words that go with it, are not words
// alone: they wait.
func (t *turn) expire() {
	for th := range t.p.queued {
		for len(th.queue) > 0 {
			f := th.queue[0]
			why := t.tooLate(th, f)
			if why == "" || f.known || !t.p.recall(th, f) {
				break
			}
			s := t.step(th, "call", callID(f))
			if s.pg == nil {
				break // its call ends at once
			}
			fine := t.protected(th, f.ID, func() {
				s.line.Call, s.line.Attempt, s.line.Outcome = f.String(), f.Attempts, outcomeExpired+": "+why
				s.ended(f, handover.OutsideWindow, handover.HeldByOther)
				s.done()
			})
			if !fine {
				t.settle(th, f)
			}
		}
	}
}

// tooLate says why an effect must not be said any more; "" where it may.
func (t *turn) tooLate(th *thread, f *effect) string {
	age := t.now.Sub(f.At)
	switch {
	case !f.says():
		return ""
	case age >= handover.StaleAfter:
		return "Meta's 24 hours for answers are over"
	case f.Call == callSaid && age >= t.p.e.AnswerWithin && th.rec.State.CustomerAt.After(f.At):
		return "the customer has written again since, and it was not said within " + t.p.e.AnswerWithin.String()
	}
	return ""
}

// outcomeName names an outcome in history.
func outcomeName(o handover.Outcome) string {
	switch o {
	case handover.OK:
		return "ok"
	case handover.NotOwner:
		return "refused: another app has control"
	case handover.Refused:
		return "refused: taking control is not allowed"
	case handover.OutsideWindow:
		return "refused: the 24 hours for answers are over"
	case handover.Unreachable:
		return "refused: the customer cannot be reached"
	case handover.BadParameter:
		return "refused: bad parameter"
	case handover.Failed:
		return "failed"
	}
	return "failed"
}
