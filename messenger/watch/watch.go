// Package watch sees to it that Meta delivers. An app that does not store what it
// is given for an hour is unsubscribed from the Page, without a word; then customers
// write, and nobody knows.
//
//	deliveries ─Delivered─▶ the minutes in which any came, shared by all processes
//	                                        │ quiet for longer than usual
//	every few minutes ───────────────▶ look at the subscriptions
//	                                        │ missing, or nobody has looked for an hour
//	                              subscribe again, and owe what was missed
//	                                        │
//	                  read the conversations, and append what they have that nobody knows
//
// One process looks after a Page at a time: the one that owns the partition of the
// Page's own thread. That needs no further lease, is passed on when a process stops
// or dies, and what two of them would do, twice, does no harm: fields are set to
// the same, and events are stored once.
//
// decide.go judges and does nothing, look.go and backfill.go do what it says.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

// Graph is what the watch asks of Meta, for one Page.
type Graph interface {
	Subscriptions(ctx context.Context) ([]graph.Subscription, error)
	Subscribe(ctx context.Context, fields []string) error
	Conversations(ctx context.Context, since time.Time, limit int) iter.Seq2[graph.Conversation, error]
}

// Store keeps what all processes know of deliveries. Every method may be repeated.
type Store interface {
	// Watch returns what is known of a Page.
	Watch(ctx context.Context, page messenger.PageID) (handover.Watch, error)
	// Delivered notes that a delivery of a Page was stored so long ago.
	Delivered(ctx context.Context, page messenger.PageID, ago time.Duration) error
	// Whole notes that a Page is subscribed to all that we need.
	Whole(ctx context.Context, page messenger.PageID) error
	// Owe notes since when messages may have been missed; the earliest time stays
	// until Settle is told the same.
	Owe(ctx context.Context, page messenger.PageID, since time.Time) error
	Settle(ctx context.Context, page messenger.PageID, since time.Time) error
	// Append stores events, each once, whichever of its ids it came by.
	Append(ctx context.Context, events []messenger.Event) error
}

// Options are what a [Watcher] is made of. Store, Pages, App, Fields and Responsible
// are required.
type Options struct {
	Store Store
	Pages map[messenger.PageID]Graph
	// App is our own app, Fields what it must be subscribed to.
	App    messenger.AppID
	Fields []string
	// Responsible tells whether this process looks after a Page.
	Responsible func(messenger.PageID) bool
	// Every is the time between looks at a Page's subscriptions; three times as long
	// where nothing was delivered for hours. At most 15 min. Defaults to 5 min.
	Every time.Duration
	// Silence is the longest silence that a busy Page is allowed: it counts as silent
	// after three times the longest pause of its last hour, and a Page of which that
	// is more than Silence has too little traffic to tell. 0 = off.
	Silence time.Duration
	// Backfill lets what was missed be looked for in the conversations.
	Backfill bool
	// Settled is how long after we said something it is known to be ours: more than a
	// call takes. Defaults to 15 s.
	Settled time.Duration
	// Log says what an operator must know, never what somebody wrote.
	Log zerolog.Logger
	// Observe, where given, is told what was seen. It must not block.
	Observe func(messenger.PageID, Sight)
	// Now returns the current time, of which only the monotonic part is used.
	// Defaults to [time.Now].
	Now func() time.Time
}

// pulse is how often is looked whether there is something to do. What is delivered
// is noted as often.
const pulse = 10 * time.Second

// maxEvery keeps the looks closer together than term, also where they are rarer.
const maxEvery = 15 * time.Minute

// Watcher watches the deliveries of Pages. It is safe for concurrent use.
type Watcher struct {
	Options

	pages map[messenger.PageID]*page
}

// errOption reports a missing or impossible option.
var errOption = errors.New("watch option")

// New returns a Watcher, which does nothing before Run.
func New(o Options) (*Watcher, error) {
	o.Every = cmp.Or(o.Every, 5*time.Minute)
	o.Settled = cmp.Or(o.Settled, 15*time.Second)
	if o.Observe == nil {
		o.Observe = func(messenger.PageID, Sight) {}
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of an injected clock
	}
	switch {
	case o.Store == nil, o.App == "", len(o.Fields) == 0, o.Responsible == nil:
		return nil, fmt.Errorf("%w: Store, App, Fields and Responsible are required", errOption)
	case o.Every < pulse, o.Every > maxEvery:
		return nil, fmt.Errorf("%w: Every is %v, want %v to %v", errOption, o.Every, pulse, maxEvery)
	}
	w := &Watcher{Options: o, pages: make(map[messenger.PageID]*page, len(o.Pages))}
	for id, calls := range o.Pages {
		w.pages[id] = &page{Options: &w.Options, id: id, graph: calls, raised: map[Sight]bool{}}
	}
	return w, nil
}

// Note takes a delivery into account: its events, and whether they were stored.
func (w *Watcher) Note(events []messenger.Event, stored bool) {
	var last messenger.PageID
	for i := range events {
		id := events[i].Thread.Page
		if p := w.pages[id]; p != nil && id != last {
			p.note(stored)
		}
		last = id
	}
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range w.pages {
		wg.Go(func() { p.run(ctx) })
	}
	wg.Wait()
}

// Status is what is known of the deliveries of a Page; zero times are not known.
type Status struct {
	Page messenger.PageID `json:"page"`
	// Delivered is the last minute in which a delivery was stored, by any process.
	Delivered time.Time `json:"delivered,omitzero"`
	// Subscribed is when the Page was last found subscribed to all that we need.
	Subscribed time.Time `json:"subscribed,omitzero"`
	// Missed is from when on messages were missed that are still to be looked for.
	Missed time.Time `json:"missed,omitzero"`
	Alarms []Sight   `json:"alarms,omitempty"` // raised by this process, and not over
}

// Status tells how it stands with each Page, in the order of their ids.
func (w *Watcher) Status() []Status {
	all := make([]Status, 0, len(w.pages))
	for _, id := range slices.Sorted(maps.Keys(w.pages)) {
		all = append(all, w.pages[id].status())
	}
	return all
}

// page is a Page that is watched.
type page struct {
	*Options

	id    messenger.PageID
	graph Graph

	mu          sync.Mutex
	noted       time.Time // of the last delivery that was stored, and not told the store; zero for none
	first, last time.Time // of the deliveries that could not be stored, since one was; zero for none
	known       handover.Watch
	raised      map[Sight]bool

	// What follows is of run, and of the look that it has begun.
	looking bool
	again   time.Time // when the next look may be, whatever the store says
	faults  int       // of Graph, in a row
	quiet   time.Time // the last minute before the silence that was looked into
}

// note takes a delivery into account.
func (p *page) note(stored bool) {
	now := p.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case stored:
		p.noted, p.first, p.last = now, time.Time{}, time.Time{}
	case p.first.IsZero():
		p.first, p.last = now, now
	default:
		p.last = now
	}
}

// run beats until ctx ends. A look takes its own time.
func (p *page) run(ctx context.Context) {
	beat := time.NewTicker(pulse)
	defer beat.Stop()
	looked := make(chan struct{}, 1)
	for {
		if p.beat(ctx) {
			p.looking = true
			go func() {
				p.look(ctx)
				looked <- struct{}{}
			}()
		}
	waiting:
		for {
			select {
			case <-beat.C:
				break waiting
			case <-looked:
				p.looking = false
			case <-ctx.Done():
				if p.looking {
					<-looked
				}
				return
			}
		}
	}
}

// beat tells the store what came, takes from it what others know, and tells
// whether to look.
func (p *page) beat(ctx context.Context) (look bool) {
	ctx, cancel := context.WithTimeout(ctx, pulse)
	defer cancel()
	w, err := p.share(ctx)
	p.notStored()
	if err != nil {
		return false // without the store nobody is responsible, and the engine says why
	}
	quiet := silent(w, p.Silence)
	switch {
	case p.looking:
		return false
	case !p.Responsible(p.id):
		p.leave()
		return false
	case quiet && !p.quiet.Equal(lastOf(w)): // at once, and once
		p.quiet = lastOf(w)
		return true
	case !quiet:
		p.over(Silent)
	}
	due := w.Now.Sub(w.Whole) >= pace(w, p.Every) || p.Backfill && !w.Owed.IsZero()
	return due && !p.Now().Before(p.again)
}

// share tells the store of the latest delivery, and returns what is known.
func (p *page) share(ctx context.Context) (handover.Watch, error) {
	p.mu.Lock()
	noted := p.noted
	p.mu.Unlock()
	if !noted.IsZero() {
		if err := p.Store.Delivered(ctx, p.id, p.Now().Sub(noted)); err != nil {
			return handover.Watch{}, err
		}
	}
	w, err := p.Store.Watch(ctx, p.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noted.Equal(noted) {
		p.noted = time.Time{}
	}
	if err == nil {
		p.known = w
		if !p.last.IsZero() && w.Now.Sub(lastOf(w))-time.Minute < p.Now().Sub(p.last) { // others have stored since
			p.first, p.last = time.Time{}, time.Time{}
		}
	}
	return w, err
}

// notStored raises an alarm where deliveries cannot be stored for too long.
func (p *page) notStored() {
	p.mu.Lock()
	first := p.first
	p.mu.Unlock()
	switch {
	case first.IsZero():
		p.over(NotStored)
	case p.Now().Sub(first) >= failingAfter:
		p.alarm(NotStored, nil)
	}
}

func (p *page) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Status{
		Page: p.id, Delivered: lastOf(p.known), Subscribed: p.known.Whole, Missed: p.known.Owed,
		Alarms: slices.Sorted(maps.Keys(p.raised)),
	}
}
