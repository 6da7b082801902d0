package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"usher/handover"
)

// Bounds of a partition's loop.
const (
	batchSize  = 128 // entries and timers read, and results taken, in one go
	maxBackoff = time.Second
	stuckAfter = 200 * time.Millisecond // a turn is; most take a few
)

// partition is the loop that owns a partition: the only one that reads its
// entries, steps its threads and commits.
type partition struct {
	e        *Engine
	n        int
	identity handover.Lease // as acquired; the token never changes
	lease    handover.Lease // with the Seq of now
	born     time.Time      // monotonic
	trust    atomic.Int64   // ns after born until which the lease is ours for sure
	turning  atomic.Int64   // ns after born at which the turn began that is under way; 0 for none

	pending atomic.Int64 // effects in the outbox
	oldest  atomic.Int64 // ns after born at which the oldest of them was decided

	threads  map[string]*thread
	queued   map[*thread]struct{} // threads with something in their outbox
	inFlight int                  // senders

	// The store's clock as last read, and when that was by ours.
	storeNow, readAt time.Time
	nextDue          time.Time // the earliest timer; zero for none
	unread           bool      // there may be something to read
	readTo           time.Time // what was accepted before has been read, by the store's clock

	results                results // of the calls
	woken                  chan struct{}
	draining               chan struct{} // closed: finish what is in flight, start nothing
	abandoned              chan struct{} // closed: the lease is another's
	drainOnce, abandonOnce sync.Once
}

// thread is a thread in memory. Only its partition's loop touches it, but for gen.
type thread struct {
	key    string
	rec    record
	stored []byte        // as it is in the store
	kept   time.Time     // when its history was last stored for as long again; zero if not by us
	queue  []*effect     // its outbox, in order
	sender *sender       // works on the head, or waits for its turn to; nil for none
	gone   bool          // deleted
	crowds int           // what it has in its Page's crowd
	gen    atomic.Uint64 // of rec.State, for senders
}

func newPartition(e *Engine, lease handover.Lease, trusted time.Time) *partition {
	p := &partition{
		e: e, n: lease.Partition, identity: lease, lease: lease, born: e.Now(),
		threads: map[string]*thread{}, queued: map[*thread]struct{}{},
		unread: true, results: newResults(), woken: make(chan struct{}, 1),
		draining: make(chan struct{}), abandoned: make(chan struct{}),
	}
	p.trust.Store(trusted.Sub(p.born).Nanoseconds())
	return p
}

// wake tells the loop that there is something to read.
func (p *partition) wake() { signal(p.woken) }

// drain tells the loop to end once the calls in flight have.
func (p *partition) drain() { p.drainOnce.Do(func() { close(p.draining) }) }

// abandon tells the loop that the lease is lost.
func (p *partition) abandon() { p.abandonOnce.Do(func() { close(p.abandoned) }) }

// trusted tells whether a call begun now ends, at the latest, while the lease is
// ours for sure. Redis fences commits; nothing but this fences calls.
func (p *partition) trusted() bool {
	latest := p.age() + (p.e.CallTimeout + p.e.Margin).Nanoseconds()
	return latest < p.trust.Load() && !isClosed(p.abandoned)
}

// age returns the time since born in ns.
func (p *partition) age() int64 { return p.e.Now().Sub(p.born).Nanoseconds() }

// stuck tells whether the turn under way takes too long: the store may be gone, and what
// is sent now might not be known to have been.
func (p *partition) stuck() bool {
	began := p.turning.Load()
	return began != 0 && p.age()-began > p.e.stuckAfter.Nanoseconds()
}

// now estimates the store's clock.
func (p *partition) now() time.Time {
	return p.storeNow.Add(p.e.Now().Sub(p.readAt))
}

// run owns the partition until it is drained, lost, or ctx ends.
func (p *partition) run(ctx context.Context) {
	defer p.disperse()
	log := p.e.Log.With().Int("partition", p.n).Logger()
	err := p.retrying(ctx, func() error { return p.open(ctx) })
	for err == nil {
		var more bool
		err = p.retrying(ctx, func() (err error) {
			defer p.e.turns.enter(ctx)()
			p.turning.CompareAndSwap(0, p.age()) // unless it is tried again
			if more, err = p.turn(ctx); err == nil {
				p.turning.Store(0)
			}
			return err
		})
		if err != nil || more {
			continue
		}
		if isClosed(p.draining) && p.inFlight == 0 {
			err = p.e.store.Release(ctx, p.lease, !p.doubtful())
			if err != nil {
				log.Warn().Err(err).Msg("Partition not released; others wait for its lease")
			}
			return
		}
		err = p.wait(ctx)
	}
	p.drain() // who speaks says no more
	p.recallAll()
	switch {
	case errors.Is(err, handover.ErrLeaseLost):
		p.abandon() // for senders that wait for their turn
		p.e.lost.Add(1)
		log.Warn().Msg("Partition lost: another process owns it")
	case errors.Is(err, handover.ErrStale):
		p.e.reloaded.Add(1)
		log.Warn().Msg("Store is at another step, as after a failover: partition is loaded anew")
		p.land(ctx)
		if err := p.e.store.Release(ctx, p.identity, false); err != nil {
			log.Warn().Err(err).Msg("Partition not released")
		}
	case ctx.Err() != nil:
	default:
		log.Error().Err(err).Msg("Partition given up")
	}
}

// retrying repeats do while the store cannot be reached.
func (p *partition) retrying(ctx context.Context, do func() error) error {
	backoff := 10 * time.Millisecond
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || errors.Is(err, handover.ErrLeaseLost) || errors.Is(err, handover.ErrStale) {
			return err
		}
		if attempt%30 == 3 && ctx.Err() == nil { // soon, and then every half minute
			p.e.Log.Warn().Err(err).Int("partition", p.n).Int("attempt", attempt+1).Msg("Store refuses a partition; trying on")
		}
		pause := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-p.abandoned:
			pause.Stop()
			return handover.ErrLeaseLost
		case <-pause.C:
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// wait returns when there may be something to do.
func (p *partition) wait(ctx context.Context) error {
	pause := p.e.Renew // polls now and then: an announcement can be missed
	draining := p.draining
	if isClosed(draining) {
		draining = nil // only results matter now
	} else if soonest := p.soonest(); !soonest.IsZero() {
		pause = min(pause, max(soonest.Sub(p.now()), time.Millisecond))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.woken:
		p.unread = true
	case <-draining:
	case <-timer.C:
		p.unread = true
	case <-p.results.came:
	case <-p.abandoned:
		return handover.ErrLeaseLost
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// soonest returns when the next timer or effect is due; zero for none.
func (p *partition) soonest() time.Time {
	soonest := p.nextDue
	for th := range p.queued {
		if th.sender == nil && (soonest.IsZero() || th.queue[0].NotBefore.Before(soonest)) {
			soonest = th.queue[0].NotBefore
		}
	}
	return soonest
}

// doubtful tells whether a call may have reached Meta of which only we know: that
// of an earlier owner, whose echo is waited for.
func (p *partition) doubtful() bool {
	for th := range p.queued {
		if th.queue[0].Unsure {
			return true
		}
	}
	return false
}

// land waits for the calls in flight; what they did is settled by asking Meta.
func (p *partition) land(ctx context.Context) {
	for {
		for _, r := range p.results.take(math.MaxInt) {
			if r.last {
				p.inFlight--
			}
		}
		if p.inFlight == 0 {
			return
		}
		select {
		case <-p.results.came:
		case <-ctx.Done():
			return
		}
	}
}

// read reads what was not consumed yet and sets the clock.
func (p *partition) read(ctx context.Context, limit int) (handover.Batch, error) {
	sent := p.e.Now()
	batch, err := p.e.store.Read(ctx, p.n, limit)
	if err != nil {
		return batch, fmt.Errorf("read partition %d: %w", p.n, err)
	}
	switch { // who has nothing to commit learns it here
	case batch.Token != p.identity.Token:
		return batch, fmt.Errorf("read partition %d: %w", p.n, handover.ErrLeaseLost)
	case batch.Seq != p.lease.Seq:
		return batch, fmt.Errorf("read partition %d: %w", p.n, handover.ErrStale)
	}
	p.setClock(batch.Now, sent)
	p.nextDue = batch.NextDue
	return batch, nil
}

// setClock sets the estimate of the store's clock by what it told after a moment of
// ours. Where the answer took long, when within that it was told nobody knows: an
// estimate that may be right stays.
func (p *partition) setClock(told, sent time.Time) {
	received := p.e.Now()
	latest := told.Add(received.Sub(sent))
	at := latest
	if !p.readAt.IsZero() {
		at = p.storeNow.Add(received.Sub(p.readAt))
	}
	switch {
	case at.Before(told):
		at = told
	case at.After(latest):
		at = latest
	}
	p.storeNow, p.readAt = at, received
}

// turn does one round: read, step, commit, act. It tells whether there may be
// more to read.
func (p *partition) turn(ctx context.Context) (more bool, err error) {
	var batch handover.Batch
	if p.mustRead() {
		p.unread = true // until all of it is committed
		if batch, err = p.read(ctx, batchSize); err != nil {
			return false, err
		}
	}
	results := p.results.take(batchSize)
	entries, keys, n := readEntries(batch.Entries)
	if err := p.load(ctx, append(keys, batch.Due...)); err != nil {
		p.results.putBack(results)
		return false, err
	}
	if entries, err = p.withoutOurs(ctx, entries, results); err != nil {
		p.results.putBack(results)
		return false, err
	}
	t := newTurn(p, len(entries)+len(results)+len(batch.Due))
	for _, r := range results {
		t.result(r)
	}
	t.entries(inOrder(entries))
	for _, key := range batch.Due {
		t.tick(p.threads[key])
	}
	t.commit.Consumed = batch.Entries[:n]
	t.expire()
	left, err := p.commit(ctx, t)
	if err != nil {
		return false, err
	}
	for _, en := range entries {
		p.e.Measure(Measure{Lag, pageOf(en.thread), p.now().Sub(en.raw.At)})
	}
	p.unread = left || max(len(batch.Entries), len(batch.Due)) == batchSize
	switch {
	case !p.unread && !batch.Now.IsZero():
		p.readTo = batch.Now
	case n > 0:
		p.readTo = batch.Entries[n-1].At
	}
	if isClosed(p.draining) {
		p.recallAll()
	} else {
		p.dispatch(ctx)
	}
	p.forget()
	p.count()
	return p.mustRead() || p.results.there(), nil
}

// mustRead tells whether to ask the store for entries and timers. What a call led
// to needs no look: where entries came meanwhile, the commit tells.
func (p *partition) mustRead() bool {
	select {
	case <-p.woken:
		p.unread = true
	default:
	}
	if isClosed(p.draining) {
		return false
	}
	return p.unread || !p.nextDue.IsZero() && !p.nextDue.After(p.now())
}

// commit makes a turn durable, and tells of it, and whether entries are left to
// read.
func (p *partition) commit(ctx context.Context, t *turn) (left bool, err error) {
	c, err := t.finish()
	if c == nil || err != nil {
		return false, err
	}
	var done handover.Committed
	// The same commit is repeated until its outcome is known: a repeat of one
	// that was applied changes nothing.
	begun := p.e.Now()
	err = p.retrying(ctx, func() error { done, err = p.e.store.Commit(ctx, *c); return err })
	if err != nil {
		return false, fmt.Errorf("commit partition %d: %w", p.n, err)
	}
	p.lease.Seq = done.Seq
	p.e.Measure(Measure{What: Commit, Took: p.e.Now().Sub(begun)})
	t.committed(done.Known, begun)
	return done.Left, nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
