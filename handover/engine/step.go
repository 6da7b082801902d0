package engine

import (
	"slices"
	"strconv"

	"usher/bot"
	"usher/handover"
	"usher/messenger"
)

// step is one thread being stepped by one event.
type step struct {
	t     *turn
	th    *thread
	pg    *page
	ev    *messenger.Event // the customer's event; zero for timers, results, commands
	id    string           // of the event: effects are named after it
	line  Line
	n     int // effects so far
	trace string
	timed bool // whose answer it is that the customer waits for is settled
	quiet bool // an event not worth a line of history unless it changes something
}

func (t *turn) step(th *thread, what, id string) *step {
	key, _ := messenger.ParseThreadKey(th.key) // a bad key has no Page, and no step
	return &step{
		t: t, th: th, pg: t.p.e.pages[key.Page], id: id, ev: &t.nothing,
		line: Line{Thread: th.key, What: what, ID: id},
	}
}

// event steps a thread by an event of Messenger. Again tells that it was parked.
func (t *turn) event(th *thread, ev *messenger.Event, again bool) {
	id := ev.ID
	if again {
		id += "!" // it may have had effects before it was parked
	}
	s := t.step(th, string(ev.Kind), id)
	s.ev, s.trace, s.line.Standby = ev, ev.Trace, ev.Standby
	switch {
	case s.pg == nil:
		t.bury(th.key, "Page is not among messenger.pages", ev.ID)
		return
	case ev.Thread.PSID == "":
		s.aboutPage()
		return
	}
	if effect := effectOf(ev.Metadata); ev.Kind == messenger.KindEcho && effect != "" {
		if s.echoed(effect) {
			return
		}
	}
	if ev.Backfilled {
		s.note("found in the conversation")
	}
	hev, ok := t.p.e.translate(*ev)
	if !ok {
		s.quiet = ev.Kind != messenger.KindUnknown
		if ev.Kind == messenger.KindUnknown {
			s.note("not understood: " + ev.Field)
		}
		s.done()
		return
	}
	if act, ok := hev.(handover.CustomerActed); ok {
		act.Checked, act.TooLate = again, s.tooLate()
		hev = act
		if th.rec.Asking && !act.TooLate {
			s.park()
			s.done()
			return
		}
	}
	_, own := hev.(handover.OwnEcho)
	s.quiet = own
	s.decide(hev)
	s.done()
}

// tooLate tells whether an event was found too late to be answered. What was
// delivered is answered however late.
func (s *step) tooLate() bool {
	return s.ev.Backfilled && (s.ev.Answered || s.t.now.Sub(s.ev.At) > s.t.p.e.AnswerWithin)
}

// aboutPage records an event that concerns the Page and no person.
func (s *step) aboutPage() {
	if s.ev.Kind == messenger.KindPolicy {
		s.t.p.e.Log.Error().Str("page", string(s.ev.Thread.Page)).Msg("Meta enforces a policy on the Page: look at its Page quality tab")
	}
	s.done()
}

// echoed settles the effect whose words came back; it tells whether the echo is
// known to be ours by that.
func (s *step) echoed(id string) bool {
	at := slices.IndexFunc(s.th.queue, func(f *effect) bool { return f.ID == id })
	if at < 0 {
		s.t.commit.Echoed = append(s.t.commit.Echoed, id)
		return false
	}
	f := s.th.queue[at]
	s.t.p.recall(s.th, f) // what waits for its turn does not know of the echo
	if !f.Echoed {
		f.Echoed = true
		s.t.put[f] = struct{}{}
	}
	if f.says() { // of a handoff the words are there; whether control went with them, thread_owner tells
		s.line.What, s.line.Call, s.line.Outcome = "call", f.String(), outcomeEchoed
		s.replied(f)
		s.ended(f, handover.OK, handover.HeldByOther)
		s.done()
	}
	return true
}

// ended takes an effect off the outbox and decides what its end means.
func (s *step) ended(f *effect, out handover.Outcome, holder handover.Holder) {
	s.t.settle(s.th, f)
	if out != handover.OK {
		s.dropChain(f)
	}
	if f.Call == callReadProfile {
		return
	}
	s.decide(handover.CallEnded{Effect: f.decided(), Generation: f.Gen, Outcome: out, Holder: holder})
}

// decide asks the handover, and the script where the handover says so, and
// gathers the effects.
func (s *step) decide(ev handover.Event) {
	before := s.th.rec.State
	next, effects := handover.Decide(s.pg.Rules, before, ev, s.t.now)
	if has[handover.Answer](effects) && s.wantsProfile() {
		s.park() // the state stays as it was until the profile is known
		s.th.rec.Asking = true
		s.chain([]*effect{{Call: callReadProfile}})
		return
	}
	s.th.rec.State = next
	s.moved(before, next)
	if next.Generation != before.Generation {
		s.cancelOlder()
	}
	var calls []*effect
	for _, eff := range effects {
		if c := s.callFor(eff); c != nil {
			calls = append(calls, c)
			continue
		}
		switch eff := eff.(type) {
		case handover.Answer:
			s.answer(eff)
		case handover.Defer:
			s.park()
		case handover.Alarm:
			s.line.Alarm = string(eff.Reason)
		case handover.EndEpisode:
			s.episode(eff.Episode)
		case handover.Note:
			s.note(string(eff.Why))
		default: // the others are calls
		}
	}
	s.chain(calls)
}

// callFor returns the call that an effect is; nil where it is none.
func (s *step) callFor(eff handover.Effect) *effect {
	switch eff := eff.(type) {
	case handover.Say:
		return &effect{Call: callSay, Text: eff.Text, Message: s.text(eff.Text)}
	case handover.SayAndPass:
		return &effect{
			Call: callSayAndPass, Text: eff.Text, Target: messenger.AppID(eff.Target), Cause: eff.Cause, Message: s.text(eff.Text),
		}
	case handover.Pass:
		return &effect{Call: callPass, Target: messenger.AppID(eff.Target), Cause: eff.Cause}
	case handover.Take:
		return &effect{Call: callTake, Cause: eff.Cause}
	case handover.Release:
		return &effect{Call: callRelease}
	case handover.ReadOwner:
		return &effect{Call: callReadOwner}
	case handover.Answer, handover.Said, handover.Defer, handover.Alarm, handover.EndEpisode, handover.Note:
	}
	return nil
}

// answer asks the script, and the handover what the script's verdict means.
func (s *step) answer(ask handover.Answer) {
	a := s.pg.Script.Reply(s.turnOf(ask))
	before := s.th.rec.State
	next, effects := handover.Decide(s.pg.Rules, before, handover.Answered{
		Said: len(a.Messages) > 0, Missed: a.Missed, Handoff: a.Handoff, At: s.ev.At,
	}, s.t.now)
	s.note("rule " + a.Rule)
	if !has[handover.SayAndPass](effects) || !a.Missed { // a person is better than one more excuse
		s.chain(s.messages(a.Messages, ask.Disclose))
	}
	s.th.rec.State = next
	s.moved(before, next)
	for _, eff := range effects {
		if c := s.callFor(eff); c != nil {
			s.chain([]*effect{c})
		} else if end, ok := eff.(handover.EndEpisode); ok {
			s.episode(end.Episode)
		}
	}
}

// turnOf returns what the script is told.
func (s *step) turnOf(ask handover.Answer) bot.Turn {
	t := bot.Turn{
		Text: s.ev.Text, Payload: s.ev.Payload, First: ask.First, Misses: ask.Misses, Returned: ask.Disclose,
		Names: bot.Names{PageName: s.pg.Name},
	}
	switch s.ev.Kind { //nolint:exhaustive // only customers' acts are answered
	case messenger.KindQuickReply:
		t.Kind = bot.QuickReply
	case messenger.KindPostback:
		t.Kind = bot.Postback
	case messenger.KindReferral, messenger.KindOptin:
		t.Kind = bot.Referral
	default:
		if t.Text == "" {
			t.Kind = bot.Media
			switch {
			case s.ev.Sticker == messenger.LikeSticker:
				t.Payload = bot.LikeMedia
			case s.ev.Sticker != "":
				t.Payload = "sticker" // old ones are still called images
			case len(s.ev.Attachments) > 0:
				t.Payload = s.ev.Attachments[0]
			}
		}
	}
	if p := s.th.rec.Profile; p != nil {
		t.Names.FirstName, t.Locale = p.FirstName, p.Locale
	}
	return t
}

// wantsProfile tells whether the script needs to know the customer and does not.
func (s *step) wantsProfile() bool {
	return s.th.rec.Profile == nil && (s.pg.Script.UsesNames() || len(s.pg.Script.Locales()) > 1)
}

// park keeps the event until nothing is awaited any more.
func (s *step) park() {
	if len(s.th.rec.Parked) >= maxParked {
		s.t.bury(s.th.key, "too many events wait for the thread's owner to be known", s.ev.ID)
		return
	}
	ev := *s.ev
	ev.ID = s.id // parked again, it has had other effects than the first time
	s.th.rec.Parked = append(slices.Clip(s.th.rec.Parked), ev)
	s.note("waits until it is known who answers")
}

// chain puts effects into the thread's outbox, each only after the one before it
// succeeded.
func (s *step) chain(effects []*effect) {
	for _, f := range effects {
		f.ID = EffectID(s.th.key, s.id, s.n, f.speaks())
		s.n++
		f.Thread, f.Gen, f.At = s.th.key, s.th.rec.State.Generation, s.t.now
		f.Chain, f.Trace = effects[0].ID, s.trace
		if !s.timed && f.speaks() {
			f.Accepted, s.timed = s.ev.Accepted, true
		}
		s.t.order++
		f.Order = s.t.order
		if f.Message != nil {
			f.Message.Metadata = metadataPrefix + f.ID
		}
		s.th.queue = append(s.th.queue, f)
		s.t.put[f] = struct{}{}
		s.line.Effects = append(s.line.Effects, f.String())
	}
	if len(effects) > 0 {
		s.t.p.requeue(s.th)
	}
}

// cancelOlder drops what was decided under an older generation.
func (s *step) cancelOlder() {
	for _, f := range slices.Clone(s.th.queue) {
		if f.Gen < s.th.rec.State.Generation && f.Call != callReadProfile && s.t.p.recall(s.th, f) {
			s.t.settle(s.th, f)
			s.note("cancelled: " + f.String())
		}
	}
}

// dropChain drops the effects that were to follow f.
func (s *step) dropChain(f *effect) {
	for _, g := range slices.Clone(s.th.queue) {
		if g.Chain == f.Chain && g != f {
			s.t.settle(s.th, g)
			s.note("dropped: " + g.String())
		}
	}
}

// moved records a change of hands.
func (s *step) moved(before, next handover.State) {
	if ep := next.Episode; ep != nil && !ep.FirstReply.IsZero() && (before.Episode == nil || before.Episode.FirstReply.IsZero()) {
		s.t.took = append(s.t.took, Measure{FirstReply, s.th.page(), ep.FirstReply.Sub(ep.Asked)})
	}
	if before.Phase != next.Phase {
		if !s.line.Moved {
			s.line.From = before.Phase
		}
		s.line.To, s.line.Cause, s.line.Moved = next.Phase, next.Cause, true
	}
}

// episode records an episode that ended.
func (s *step) episode(ep handover.Episode) {
	s.t.episode(s.th.key, ep)
	s.line.Episode = &ep
}

// replied measures how long a customer waited for the first words.
func (s *step) replied(f *effect) {
	if !f.Accepted.IsZero() {
		s.t.took = append(s.t.took, Measure{Reply, s.th.page(), s.t.now.Sub(f.Accepted)})
	}
}

func (s *step) note(text string) { s.line.Notes = append(s.line.Notes, text) }

// done ends the step: its line is written, and what was parked is decided once
// nothing is awaited any more.
func (s *step) done() {
	l := s.line
	if !s.quiet || l.Moved || l.Alarm != "" || len(l.Effects) > 0 {
		s.t.line(l)
	}
	s.t.overtake(s.th)
	rec := &s.th.rec
	for !rec.waits() && len(rec.Parked) > 0 {
		ev := rec.Parked[0]
		if rec.Parked = rec.Parked[1:]; len(rec.Parked) == 0 {
			rec.Parked = nil
		}
		// It must not take along what it waited for.
		s.t.protected(s.th, ev.ID, func() { s.t.event(s.th, &ev, true) })
	}
}

// has tells whether there is an effect of a type.
func has[E handover.Effect](effects []handover.Effect) bool {
	return slices.ContainsFunc(effects, func(eff handover.Effect) bool { _, ok := eff.(E); return ok })
}

// callID names the n-th end of a call as an event.
func callID(f *effect) string { return "call:" + f.ID + ":" + strconv.Itoa(f.Attempts) }
