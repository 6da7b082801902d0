// Package engine runs the threads: it reads what was accepted, steps each thread
// through [handover.Decide], commits the outcome, and only then acts.
//
//	read ≤128 entries + due timers + results ─▶ step (pure) ─▶ commit (one script) ─▶ senders
//	     ▲                                                                              │
//	     └───────────────────────────── results of calls ◀──────────────────────────────┘
//
// A partition is owned by one process at a time (members.go), its loop is the
// only writer of its threads (partition.go, step.go), and its senders make one
// call at a time for each thread (outbox.go, sender.go). Slow things never run
// inside a step.
package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"usher/bot"
	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

// Graph is what the engine asks of Meta, for one Page.
type Graph interface {
	Send(ctx context.Context, to messenger.PSID, m graph.Message) (messenger.MessageID, error)
	Pass(ctx context.Context, psid messenger.PSID, to messenger.AppID, metadata string) error
	Take(ctx context.Context, psid messenger.PSID, metadata string) error
	Release(ctx context.Context, psid messenger.PSID) error
	Owner(ctx context.Context, psid messenger.PSID) (graph.Owner, error)
	Profile(ctx context.Context, psid messenger.PSID) (graph.Profile, error)
	// Ping is the cheapest call that shows whether Graph answers and takes the token.
	Ping(ctx context.Context) error
	// Usage is what the latest answer told of Meta's allowance.
	Usage() graph.Usage
}

// Page is a Page that we answer for.
type Page struct {
	Name   string
	Graph  Graph
	Rules  handover.Rules
	Script *bot.Script
	Texts  Texts
}

// Options are the parts that an [Engine] is made of. Store, Pages and App are
// required.
//
// Lease, Renew, Margin, CallTimeout and EchoGrace scale together: Renew is at
// most a third of Lease, and CallTimeout plus Margin are less than Lease.
type Options struct {
	Store Store
	Pages map[messenger.PageID]Page
	// App is our own app: its echoes are our words, and control passed to it is ours.
	App messenger.AppID
	// IgnoreApps are apps whose echoes are not an agent's words.
	IgnoreApps []messenger.AppID
	// Partitions is the install-time number of partitions. Defaults to 64.
	Partitions int
	// Lease is how long a partition stays ours without renewal: how long a crash
	// delays its threads. Defaults to 20 s.
	Lease time.Duration
	// Renew is the time between renewals. Defaults to 5 s.
	Renew time.Duration
	// Margin is kept between the end of a call and the end of the lease. Defaults
	// to 2 s.
	Margin time.Duration
	// CallTimeout bounds a call to Graph. Defaults to 8 s.
	CallTimeout time.Duration
	// EchoGrace is how long the echo of a send of unknown outcome is waited for.
	// Defaults to 5 s.
	EchoGrace time.Duration
	// Parallel bounds the calls in flight for each Page. Defaults to 1024.
	Parallel int
	// SendRate is how many messages a second this process sends for each Page, with
	// a second's worth at once after a quiet time. Meta refuses more than 300 for
	// all processes together. Defaults to 80.
	//
	// https://developers.facebook.com/docs/graph-api/overview/rate-limiting
	SendRate int
	// AnswerWithin is how old an answer of the script may become, when the customer
	// has written again meanwhile: it is dropped then, as it would come amid another
	// conversation. What a customer wrote that was not delivered, but found later, is
	// not answered at all when it is older. Defaults to 5 min.
	AnswerWithin time.Duration
	// Attempts is how often a call is made before it is given up. Defaults to 6,
	// which takes about ten minutes.
	Attempts int
	// StopTimeout bounds the end of Run after its context ended. Defaults to 15 s.
	StopTimeout time.Duration
	Log         zerolog.Logger
	// Observe, where given, is called with every line of history once it is
	// durable. It must not block.
	Observe func(Line)
	// Measure, where given, is called with what something took. It must not block.
	Measure func(Measure)
	// Trace, where given, is called with each piece of work for an event that has a
	// Trace. It must not block.
	Trace func(Span)
	// Now returns the current time, of which but for [Engine.Status] and Trace only
	// the monotonic part is used. Defaults to [time.Now].
	Now func() time.Time
}

// Span is a piece of work for an event that is traced.
type Span struct {
	Trace      string // of the event
	Name       string // "step", "commit", "graph send", …
	Thread     string // its alias
	Begin, End time.Time
	// Call, Effect, Attempt and Err are of a request to Graph: which call of the outbox
	// it is made for, that one's id, the how manieth time, and how it ended.
	Call    string
	Effect  string
	Attempt int
	Err     error
}

// Engine runs the partitions that fall to this process.
type Engine struct {
	Options

	member string

	pages map[messenger.PageID]*page
	store Store
	turns pace
	crew  *crew
	limit limit // of a call
	// stuckAfter is how long a turn takes before it is taken to be stuck.
	stuckAfter time.Duration

	mu           sync.Mutex
	partitions   map[int]*partition // owned
	wanted       map[int]bool       // fall to us, but are another's still
	asked        map[int]bool       // are being acquired
	acquisitions chan struct{}      // holds one for each that is under way
	wakeup       chan struct{}      // members must look again
	running      sync.WaitGroup

	lost, reloaded, slowed atomic.Int64 // see Stats
}

// page is a Page with the lane of its calls, and what waits to be one of them.
type page struct {
	Page

	lane  *lane
	crowd *crowd
}

// errOption reports a missing or impossible option.
var errOption = errors.New("engine option")

// New returns an Engine. It does nothing before Run.
func New(o Options) (*Engine, error) {
	o.Partitions = cmp.Or(o.Partitions, 64)
	o.Lease = cmp.Or(o.Lease, 20*time.Second)
	o.Renew = cmp.Or(o.Renew, 5*time.Second)
	o.Margin = cmp.Or(o.Margin, 2*time.Second)
	o.CallTimeout = cmp.Or(o.CallTimeout, 8*time.Second)
	o.EchoGrace = cmp.Or(o.EchoGrace, 5*time.Second)
	o.Parallel = cmp.Or(o.Parallel, 1024)
	o.SendRate = cmp.Or(o.SendRate, 80)
	o.AnswerWithin = cmp.Or(o.AnswerWithin, 5*time.Minute)
	o.Attempts = cmp.Or(o.Attempts, 6)
	o.StopTimeout = cmp.Or(o.StopTimeout, 15*time.Second)
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of an injected clock
	}
	if o.Observe == nil {
		o.Observe = func(Line) {}
	}
	if o.Measure == nil {
		o.Measure = func(Measure) {}
	}
	switch {
	case o.Store == nil:
		return nil, fmt.Errorf("%w: Store is missing", errOption)
	case o.App == "":
		return nil, fmt.Errorf("%w: App is missing", errOption)
	case o.Renew*3 > o.Lease:
		return nil, fmt.Errorf("%w: Renew %v is more than a third of Lease %v", errOption, o.Renew, o.Lease)
	case o.CallTimeout+o.Margin >= o.Lease:
		return nil, fmt.Errorf("%w: CallTimeout %v and Margin %v leave nothing of Lease %v", errOption, o.CallTimeout, o.Margin, o.Lease)
	}
	e := &Engine{
		Options:    o,
		member:     rand.Text(),
		pages:      make(map[messenger.PageID]*page, len(o.Pages)),
		store:      o.Store,
		turns:      newPace(),
		crew:       newCrew(),
		limit:      limit{length: o.CallTimeout, now: o.Now},
		stuckAfter: stuckAfter,
		partitions: map[int]*partition{}, wanted: map[int]bool{}, asked: map[int]bool{}, acquisitions: make(chan struct{}, maxAcquisitions),
		wakeup: make(chan struct{}, 1),
	}
	for id := range o.Pages {
		p := o.Pages[id]
		if p.Graph == nil || p.Script == nil || p.Rules.Target == "" {
			return nil, fmt.Errorf("%w: Page %s needs Graph, Script and Rules.Target", errOption, id)
		}
		e.pages[id] = &page{Page: p, lane: e.newLane(id, p.Graph), crowd: newCrowd(e.Parallel)}
	}
	return e, nil
}

// Status tells how it stands with the calls of each Page, in the order of their ids.
func (e *Engine) Status() []PageStatus {
	all := make([]PageStatus, 0, len(e.pages))
	for _, id := range slices.Sorted(maps.Keys(e.pages)) {
		s := e.pages[id].lane.status()
		s.Name = e.pages[id].Name
		all = append(all, s)
	}
	return all
}

// Responsible tells whether it is this process that looks after a Page as a whole:
// the one that owns the partition of the Page's own thread. At a time at most one
// process does.
func (e *Engine) Responsible(page messenger.PageID) bool {
	n := messenger.ThreadKey{Page: page}.Partition(e.Partitions)
	e.mu.Lock()
	p := e.partitions[n]
	e.mu.Unlock()
	return p != nil && !isClosed(p.draining) && p.trusted()
}

// Run owns and runs partitions until ctx ends; then it leaves the members,
// lets the calls in flight end, records them, and gives each partition back. It
// returns nil after a clean stop.
func (e *Engine) Run(ctx context.Context) error {
	// What has begun is finished after ctx ended, within StopTimeout.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	background.Go(func() {
		if err := e.store.Wakes(work, e.wake); err != nil && work.Err() == nil {
			e.Log.Error().Err(err).Msg("Announcements ended; polling goes on")
		}
	})
	for _, p := range e.pages {
		p.lane.run(work)
	}
	background.Go(func() { e.renewing(work) })
	e.manage(ctx, work)

	if err := e.store.Leave(work, e.member); err != nil {
		e.Log.Warn().Err(err).Msg("Leaving was not announced; others will notice")
	}
	err := e.drain()
	stop()
	e.running.Wait()
	for _, p := range e.pages {
		p.lane.stop()
	}
	background.Wait()
	return err
}

// errDrain reports calls that did not end in time.
var errDrain = errors.New("the time to stop was over before all calls had ended and were recorded; the next owner settles them")

// drain ends all partitions.
func (e *Engine) drain() error {
	done := make(chan struct{})
	e.mu.Lock()
	for _, p := range e.partitions {
		p.drain()
	}
	e.mu.Unlock()
	go func() { e.running.Wait(); close(done) }()
	deadline := time.NewTimer(e.StopTimeout)
	defer deadline.Stop()
	select {
	case <-done:
		return nil
	case <-deadline.C:
		return errDrain
	}
}

// wake is called for each announcement.
func (e *Engine) wake(n int) {
	if n >= 0 {
		e.mu.Lock()
		p, wanted := e.partitions[n], e.wanted[n]
		e.mu.Unlock()
		if p != nil {
			p.wake()
		}
		if p != nil || !wanted { // what is another's is its owner's business
			return
		}
	}
	signal(e.wakeup)
}

// signal leaves a note in a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
