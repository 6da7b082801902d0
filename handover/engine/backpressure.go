package engine

import (
	"context"
	"sync"
	"time"

	"usher/messenger"
)

// Backpressure: what Meta delivers is acknowledged no faster than it can be answered.

// crowd counts the effects of a Page that wait to be carried out. Where they come
// faster than this process can make the calls, all that more of them would win is a
// longer wait for everybody: who brings more waits, too. Those that wait for Meta,
// or for one another in one thread, hold nobody up.
type crowd struct {
	many int // effects are a crowd, until half of them are left

	mu   sync.Mutex
	size int
	gone chan struct{} // closed when it is; nil where nobody waits for that
}

const (
	// manyWait is how many effects are a crowd at least.
	manyWait = 2048
	// fewOfOne is how many effects of one thread count.
	fewOfOne = 8
	// longestEase bounds a wait: far less than the 5 s after which Meta gives up.
	longestEase = time.Second
)

// newCrowd returns the crowd of a Page that may make so many calls at once: half of
// it is more than that, so that nobody is held up while more could be made.
func newCrowd(parallel int) *crowd { return &crowd{many: max(manyWait, 2*parallel)} }

// join counts n more, or less.
func (c *crowd) join(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size += n
	if c.gone != nil && c.size <= c.many/2 {
		close(c.gone)
		c.gone = nil
	}
}

// left returns what is closed when the crowd is gone; nil where there is none.
func (c *crowd) left() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size < c.many {
		return nil
	}
	if c.gone == nil {
		c.gone = make(chan struct{})
	}
	return c.gone
}

// Ease is the backpressure on who delivers: it returns when none of the events' Pages
// has a crowd of calls waiting that Meta would take, with ctx, or after a second. Who
// asks before the next events are let in lets them come as fast as they can be dealt
// with.
func (e *Engine) Ease(ctx context.Context, events []messenger.Event) {
	var crowds []<-chan struct{}
	var last messenger.PageID
	for i := range events {
		if id := events[i].Thread.Page; id != last {
			last = id
			if pg := e.pages[id]; pg != nil {
				if left := pg.crowd.left(); left != nil && pg.lane.flows() {
					crowds = append(crowds, left)
				}
			}
		}
	}
	if len(crowds) == 0 {
		return
	}
	e.slowed.Add(1)
	late := time.NewTimer(longestEase)
	defer late.Stop()
	for _, left := range crowds {
		select {
		case <-left:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// requeue counts a thread among those with something in their outbox, or not, and
// what it has there in its Page's crowd.
func (p *partition) requeue(th *thread) {
	if len(th.queue) > 0 {
		p.queued[th] = struct{}{}
	} else {
		delete(p.queued, th)
	}
	p.crowds(th, min(len(th.queue), fewOfOne))
}

// crowds counts n effects of a thread, in the place of those that it counted before.
func (p *partition) crowds(th *thread, n int) {
	if pg := p.e.pages[th.page()]; pg != nil && n != th.crowds {
		pg.crowd.join(n - th.crowds)
		th.crowds = n
	}
}

// disperse counts nothing of the partition any more.
func (p *partition) disperse() {
	for th := range p.queued {
		p.crowds(th, 0)
	}
}
