package engine

import (
	"context"
	"slices"
	"sync"

	"usher/handover"
	"usher/messenger"
)

// Which calls of a partition are made: its loop says which may be, its senders make
// them, and what has not begun can be recalled.

// sender makes the call of the effect at the head of a thread's outbox and then, one
// after the other, those of the plain messages behind it. These need not wait until
// the end of the one before is committed: they are decided and durable, and that it
// was said decides nothing.
type sender struct {
	attempt // the one that is made

	e     *Engine
	p     *partition
	th    *thread
	lane  *lane  // nil for a Page that is not configured any more
	place *place // in the lane
	first *effect
	psid  messenger.PSID
	trial bool // it is to show whether others may follow

	mu   sync.Mutex
	next []attempt // what it may say after it
}

// attempt is an effect as it was when a sender was told to make its call: the effect
// itself is the loop's.
type attempt struct {
	of   *effect
	f    effect
	sent messenger.MessageID
}

// maxAhead bounds what a sender is given ahead.
const maxAhead = 8

// dispatch lets each thread whose next effect may be carried out wait for its turn
// among the Page's calls, and gives those that have had it what comes next.
func (p *partition) dispatch(ctx context.Context) {
	now := p.now()
	for th := range p.queued {
		if th.sender != nil {
			th.follow()
			continue
		}
		f := th.queue[0]
		if f.known || f.NotBefore.After(now) {
			continue
		}
		if f.Unsure && p.readTo.Before(f.NotBefore) {
			p.unread = true // its echo may have been accepted in time, and not be read yet
			continue
		}
		key, _ := messenger.ParseThreadKey(th.key) // a bad key has no Page
		s := &sender{e: p.e, p: p, th: th, first: f, psid: key.PSID, attempt: attempt{of: f, f: *f}}
		th.sender, f.flying = s, true
		p.inFlight++
		pg := p.e.pages[key.Page]
		if pg == nil {
			go s.work(ctx)
			continue
		}
		s.lane = pg.lane
		th.follow()
		s.place = pg.lane.newPlace(f, func(trial bool) {
			s.trial = trial
			s.work(ctx)
		})
		pg.lane.enter(s.place)
	}
}

// follow gives a thread's sender what it may say after what it has already.
func (th *thread) follow() {
	s := th.sender
	if len(th.queue) == 1 && th.queue[0].flying || !s.first.says() {
		return
	}
	for _, f := range th.queue[:min(len(th.queue), 1+maxAhead)] {
		switch {
		case f.flying:
		case f.follows(th.rec.State.Generation):
			s.give(f)
		default:
			return
		}
	}
}

// follows tells whether an effect needs no look at how the call before it ended.
func (f *effect) follows(generation uint64) bool {
	return f.says() && f.Gen == generation && f.NotBefore.IsZero() && !f.known
}

// give tells the sender what it may say next.
func (s *sender) give(f *effect) {
	f.flying = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, attempt{of: f, f: *f})
}

// recall takes an effect back from a thread's sender, and all that comes after it; it
// tells whether its call has not begun.
func (p *partition) recall(th *thread, f *effect) bool {
	switch {
	case !f.flying:
		return true
	case f != th.sender.first:
		return th.sender.takeBack(f)
	case th.sender.lane == nil || !th.sender.lane.recall(th.sender.place):
		return false
	}
	p.dismiss(th)
	return true
}

// takeBack takes back what the sender was given, from an effect on.
func (s *sender) takeBack(f *effect) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.next, func(a attempt) bool { return a.of == f })
	if i < 0 {
		return false
	}
	for _, a := range s.next[i:] {
		a.of.flying = false
	}
	s.next = s.next[:i]
	return true
}

// dismiss lets a thread's sender go, which does nothing any more.
func (p *partition) dismiss(th *thread) {
	for _, a := range th.sender.next {
		a.of.flying = false
	}
	th.sender.first.flying, th.sender = false, nil
	p.inFlight--
}

// recallAll leaves the calls to the next owner that have not begun.
func (p *partition) recallAll() {
	for th := range p.queued {
		if th.sender != nil {
			p.recall(th, th.sender.first)
		}
	}
}

// work makes the calls and brings their results back to the partition's loop.
func (s *sender) work(ctx context.Context) {
	for more := true; more; {
		r := s.survive(ctx)
		r.th, r.f, r.sent = s.th, s.of, s.sent
		var next attempt
		if next, more = s.goesOn(&r); !more && s.lane != nil {
			s.lane.leave(s.trial)
		}
		r.last = !more
		s.p.results.put(r)
		s.attempt = next
	}
}

// goesOn tells what is said next, if something is: nothing after a call that leaves
// something to decide, while its end cannot be stored, or where others wait.
func (s *sender) goesOn(r *result) (next attempt, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := r.end == ended && r.outcome == handover.OK
	if !said || s.trial || len(s.next) == 0 || isClosed(s.p.draining) || s.p.stuck() || !s.lane.goesOn() {
		return next, false
	}
	next, s.next = s.next[0], s.next[1:]
	return next, true
}
