package engine

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"usher/handover"
	"usher/messenger"
)

// lane lets the calls of one Page begin: each thread's one at a time in the order
// in which they came, no more at once than slots, words no faster than the bucket
// fills, and only while Meta takes them (health.go). What decides who has a thread
// goes before words, so that nobody who asked for a person waits behind a crowd of
// answers. Who waits is a place in a queue, not a goroutine; the effect itself is
// in the outbox.
type lane struct {
	health

	calls   Graph
	crew    *crew
	timeout time.Duration // of a ping
	rate    rate.Limit    // of words, when nothing is spent

	mu      sync.Mutex
	probe   func() // pings; nil unless the engine runs
	begin   func(*place)
	probes  sync.WaitGroup
	queues  [2]list.List // of *place: what decides, and words
	slots   int          // calls that may begin still
	bucket  *rate.Limiter
	timer   *time.Timer
	trying  bool      // the call that tells whether others may follow is under way
	pinging bool      // a ping is
	told    time.Time // when the usage was told that was taken into account last
}

// newLane returns a Page's lane, in which nothing begins before run.
func (e *Engine) newLane(id messenger.PageID, calls Graph) *lane {
	return &lane{
		health: health{page: id, now: e.Now, log: e.Log},
		calls:  calls, crew: e.crew, timeout: e.CallTimeout, rate: rate.Limit(e.SendRate), slots: e.Parallel,
		bucket: rate.NewLimiter(rate.Limit(e.SendRate), e.SendRate),
	}
}

// place is a call's place in a lane.
type place struct {
	lane            *lane
	f               *effect
	decides, speaks bool
	refused         bool // before, with others
	begin           func(trial bool)

	trial bool          // it is to show whether others may follow
	at    *list.Element // nil once it has begun, or was recalled
}

// newPlace returns the place of an effect; begin is called, on a goroutine of the
// crew, when its turn has come, and calls leave at its end.
func (l *lane) newPlace(f *effect, begin func(trial bool)) *place {
	return &place{
		lane: l, f: f, begin: begin, refused: f.refused,
		decides: !f.says() && f.Call != callReadProfile, speaks: f.speaks(),
	}
}

func (l *lane) queue(pl *place) *list.List {
	if pl.decides {
		return &l.queues[0]
	}
	return &l.queues[1]
}

// enter lets a call begin now, or when its turn has come.
func (l *lane) enter(pl *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pl.at = l.queue(pl).PushBack(pl)
	l.pump()
}

// recall takes a call back that has not begun; it tells whether that was so.
func (l *lane) recall(pl *place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pl.at == nil {
		return false
	}
	l.queue(pl).Remove(pl.at)
	pl.at = nil
	return true
}

// leave ends what begin began.
func (l *lane) leave(trial bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots++
	if trial {
		l.trying = false
	}
	l.pump()
}

// goesOn tells whether who has said something may say the next thing in its place:
// as long as nobody waits.
func (l *lane) goesOn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probe != nil && l.state == Open && l.queues[0].Len()+l.queues[1].Len() == 0 && l.bucket.AllowN(l.now(), 1)
}

// pump begins what may begin, and comes back when more may.
func (l *lane) pump() {
	for l.probe != nil && l.slots > 0 {
		now := l.now()
		switch {
		case l.state == Open:
		case now.Before(l.until):
			l.after(l.until.Sub(now))
			return
		case l.trying, l.pinging:
			return
		case l.state != Limited && !l.answers: // of a limit no ping tells
			l.pinging = true
			l.probes.Go(l.probe)
			return
		}
		pl := l.next()
		if pl == nil {
			return
		}
		if pl.speaks {
			token := l.bucket.ReserveN(now, 1)
			if wait := token.DelayFrom(now); wait > 0 {
				token.CancelAt(now)
				l.after(wait)
				return
			}
		}
		l.queue(pl).Remove(pl.at)
		pl.at = nil
		l.slots--
		pl.trial = l.state != Open
		l.trying = pl.trial
		l.begin(pl)
	}
}

// next returns whose turn it is, nil where nobody waits. What was refused is not
// what shows whether others will be, as long as there is something else.
func (l *lane) next() (first *place) {
	for i := range l.queues {
		for at := l.queues[i].Front(); at != nil; at = at.Next() {
			pl := at.Value.(*place) //nolint:errcheck,forcetypeassert // the queues hold nothing else
			if l.state == Open || !pl.refused {
				return pl
			}
			first = cmp.Or(first, pl)
		}
	}
	return first
}

// after lets pump look again.
func (l *lane) after(d time.Duration) {
	if l.timer != nil {
		l.timer.Reset(d)
		return
	}
	l.timer = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pump()
	})
}

// run lets calls begin until stop.
func (l *lane) run(work context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probe = func() { l.pinged(work) }
	l.begin = func(pl *place) { l.crew.begin(work, pl) }
	l.pump()
}

// stop returns when no ping is under way any more; none is begun.
func (l *lane) stop() {
	l.mu.Lock()
	l.probe = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.probes.Wait()
}

// pinged asks whether Graph answers, and takes the Page's token.
func (l *lane) pinged(work context.Context) {
	ctx, cancel := context.WithTimeout(work, l.timeout)
	defer cancel()
	err := l.calls.Ping(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pinging = false
	if work.Err() != nil {
		return
	}
	if t := judge(err); t.state == Open {
		l.answers = true
	} else {
		l.shut(t)
	}
	l.pump()
}

// saw takes the end of a call into account; words tells that it put some into a
// thread, trial what begin was told. It returns a pause that the other processes
// must hear of, zero for none.
func (l *lane) saw(err error, words, trial bool) handover.Pause {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := judge(err)
	if t.state == Open {
		t = l.account()
	}
	switch {
	case t.state == Open:
		l.fine(words && trial)
	case l.state != Open && t.state <= l.state && !trial: // it began before
	case t.state == Unreachable && l.state == Open && l.row+1 < unreachableAfter:
		l.row++
	default:
		l.shut(t)
		if t.state == Limited {
			return handover.Pause{Left: l.until.Sub(l.now()), Why: t.why}
		}
	}
	return handover.Pause{}
}

// account looks how much of Meta's allowance is spent.
func (l *lane) account() (t trouble) {
	u := l.calls.Usage()
	if limit := l.rate * rate.Limit(l.spent(u)); limit != l.bucket.Limit() {
		l.bucket.SetLimitAt(l.now(), limit)
		l.bucket.SetBurstAt(l.now(), max(1, int(limit)))
	}
	if u.At.After(l.told) && u.Percent >= stopAt { // an old answer says nothing of this call
		t = trouble{state: Limited, wait: u.PauseUntil.Sub(u.At), why: fmt.Sprintf("Meta's allowance is spent to %.0f %%", u.Percent)}
	}
	l.told = u.At
	return t
}

// heed keeps to a pause of which another process told.
func (l *lane) heed(p handover.Pause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.until.Sub(l.now())
	if p.Left < time.Second || l.state >= Limited && left >= p.Left-time.Second {
		return // nearly over, or our own
	}
	l.shut(trouble{state: Limited, wait: p.Left, why: p.Why})
	l.pump()
}

// flows tells whether words may begin now, as far as Meta is concerned.
func (l *lane) flows() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probe != nil && l.state == Open && l.bucket.TokensAt(l.now()) >= 1
}

// status tells how it stands.
func (l *lane) status() PageStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.health.status()
	s.Waiting = l.queues[0].Len() + l.queues[1].Len()
	s.Usage = l.usage(l.calls.Usage())
	return s
}
