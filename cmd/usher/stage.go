package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"usher/bot"
	"usher/config"
	"usher/handover/engine"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// stage is a whole Usher in this process, with a Redis in memory and a simulated
// Meta: what `usher demo` and `usher talk` play on. Nothing outside is touched.
type stage struct {
	meta      *simulator.Meta
	store     *redisstore.Store // for those who look
	clock     *stageClock
	stop      func() error
	cfg       config.Config
	script    *bot.Script
	observers observers
	redis     string // its address

	mu   sync.Mutex
	life *life // the Usher that runs, or ran last
}

// The ids and secrets of the stage; they are nobody's.
const (
	stageApp    messenger.AppID  = "2262510160704936"
	stagePage   messenger.PageID = "1000000000000001"
	stageSecret                  = "demo-app-secret"
	stageToken                   = "demo-page-token"
	stageVerify                  = "demo-verify-token"
)

// stageClock is a clock that can be put forward.
type stageClock struct{ ahead atomic.Int64 }

func (c *stageClock) now() time.Time {
	return time.Now().Add(time.Duration(c.ahead.Load())) //nolint:forbidigo // the stage's only clock
}

// forward puts the clock forward.
func (c *stageClock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// tick is how often the clock of the Redis in memory is set.
const tick = 5 * time.Millisecond

// openStage starts a stage. With cfg's rules and texts the given script is played;
// observers are told what happens, as it does.
func openStage(
	ctx context.Context, cfg config.Config, script *bot.Script, o observers,
) (_ *stage, err error) {
	var closers []func() error
	closeAll := sync.OnceValue(func() error {
		var errs []error
		for _, end := range slices.Backward(closers) {
			errs = append(errs, end())
		}
		return errors.Join(errs...)
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	s := &stage{clock: &stageClock{}, cfg: cfg, script: script, observers: o, stop: closeAll}
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start the Redis in memory: %w", err)
	}
	s.redis = mini.Addr()
	closers = append(closers, func() error { mini.Close(); return nil }, keepTime(mini, s.clock))
	rdb := redis.NewClient(&redis.Options{Addr: s.redis})
	closers = append(closers, rdb.Close)
	if s.store, err = newStore(cfg, rdb); err != nil {
		return nil, err
	}
	if _, err := s.store.Open(ctx); err != nil {
		return nil, err
	}
	if s.meta, err = newMeta(cfg, s.clock, s, o.meta); err != nil { //nolint:contextcheck // Meta delivers in its own time
		return nil, err
	}
	closers = append(closers, func() error { s.meta.Close(); return nil })
	if s.life, err = s.begin(); err != nil { //nolint:contextcheck // it ends by stop
		return nil, err
	}
	closers = append(closers, func() error { return s.usher().stop() })
	return s, nil
}

// usher returns the Usher that runs, or ran last.
func (s *stage) usher() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// ServeHTTP takes a webhook in, for whichever Usher there is.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.usher().ServeHTTP(w, r) }

// restart starts another Usher on the same Redis, once the one before has ended.
func (s *stage) restart(ctx context.Context) error {
	select {
	case <-s.usher().ran: // all that it had decided has been told
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.begin() //nolint:contextcheck // it ends by stop
	if err == nil {
		s.life = l
	}
	return err
}

// observers are told what happens on a stage, as it does: decisions, and what Meta
// saw. Those that are nil are not.
type observers struct {
	line  func(engine.Line)
	meta  func(simulator.Entry)
	call  func(*http.Request)               // a Graph call that is about to be made
	inbox func(webhook.Inbox) webhook.Inbox // stands before the inbox
}

// receive returns the inbox for webhooks.
func (o observers) receive(in webhook.Inbox) webhook.Inbox {
	if o.inbox == nil {
		return in
	}
	return o.inbox(in)
}

// tellingInbox tells of deliveries before they are stored, so that they are told
// before what they lead to.
type tellingInbox struct {
	webhook.Inbox

	tell func([]messenger.Event)
}

// Append tells of events and stores them.
func (i tellingInbox) Append(ctx context.Context, events []messenger.Event) error {
	i.tell(events)
	return i.Inbox.Append(ctx, events)
}

// keepTime keeps the clock of the Redis in memory until it is stopped.
func keepTime(mini *miniredis.Miniredis, c *stageClock) (stop func() error) {
	mini.SetTime(c.now())
	ticker, end, ended := time.NewTicker(tick), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				mini.SetTime(c.now())
			case <-end:
				return
			}
		}
	}()
	return func() error {
		ticker.Stop()
		close(end)
		<-ended
		return nil
	}
}

func newMeta(cfg config.Config, c *stageClock, hook http.Handler, onMeta func(simulator.Entry)) (*simulator.Meta, error) {
	page := cfg.Messenger.Pages[0]
	return simulator.New(simulator.Options{
		App: messenger.AppID(cfg.Messenger.AppID), AppSecret: cfg.Messenger.AppSecret[0].Reveal(),
		VerifyToken: cfg.Messenger.VerifyToken.Reveal(), PageToken: page.AccessToken.Reveal(),
		Page: messenger.PageID(page.ID), PageName: page.Name, CheckProof: true,
		Webhook: hook, Now: c.now, Log: onMeta, LedgerSize: 1000, KeepBodies: true,
		// While Usher is down Meta soon tries again: who watches does not wait for minutes.
		Retries: []time.Duration{0, time.Second, 2 * time.Second, 5 * time.Second},
	})
}

// stageSettings replaces what concerns the world outside by the stage's own.
func stageSettings(cfg config.Config) config.Config {
	cfg.Messenger.AppID = string(stageApp)
	cfg.Messenger.AppSecret = []config.Secret{stageSecret}
	cfg.Messenger.VerifyToken = stageVerify
	cfg.Messenger.GraphURL = graph.DefaultBaseURL // answered in this process: see simulator.Meta.Client
	name := "Corner Shop"
	if len(cfg.Messenger.Pages) > 0 && cfg.Messenger.Pages[0].Name != "" {
		name = cfg.Messenger.Pages[0].Name
	}
	cfg.Messenger.Pages = []config.Page{{ID: string(stagePage), Name: name, AccessToken: stageToken}}
	cfg.Redis.Durability = string(redisstore.Memory)
	cfg.Partitions.Count = 8
	cfg.Partitions.Renew = 100 * time.Millisecond // also how soon a clock put forward is noticed
	// An Usher that was killed is replaced after its lease; what it may have been
	// saying is waited for.
	cfg.Partitions.Lease, cfg.Partitions.Margin = 2*time.Second, 200*time.Millisecond
	cfg.Outbox.CallTimeout, cfg.Outbox.EchoGrace = time.Second, time.Second
	return cfg
}

// settle waits until nothing is left to do: every webhook is stored, every event
// decided, every call made.
func (s *stage) settle(ctx context.Context) error {
	poll := time.NewTicker(tick)
	defer poll.Stop()
	for quiet := 0; quiet < 2; { // an effect that ends may lead to an echo, and that to an effect
		if err := s.meta.Settle(ctx); err != nil {
			return err
		}
		entries, effects, err := s.store.Backlog(ctx)
		switch {
		case err != nil:
			return err
		case entries+effects == 0:
			quiet++
		default:
			quiet = 0
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// forward puts the clock forward and lets every timer due by then fire.
func (s *stage) forward(ctx context.Context, d time.Duration) error {
	s.clock.forward(d)
	for key := range s.keys() {
		if err := s.untilNotDue(ctx, key); err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

// keys are the threads of all customers.
func (s *stage) keys() map[messenger.ThreadKey]struct{} {
	out := map[messenger.ThreadKey]struct{}{}
	for _, psid := range s.meta.Customers() {
		out[messenger.ThreadKey{Page: stagePage, PSID: psid}] = struct{}{}
	}
	return out
}

func (s *stage) untilNotDue(ctx context.Context, key messenger.ThreadKey) error {
	poll := time.NewTicker(tick)
	defer poll.Stop()
	for {
		snap, err := s.thread(ctx, key)
		if err != nil {
			return err
		}
		if wake := snap.State.Wake(); wake.IsZero() || wake.After(s.clock.now()) {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// thread returns what is known of a thread.
func (s *stage) thread(ctx context.Context, key messenger.ThreadKey) (engine.Snapshot, error) {
	bodies, err := s.store.Load(ctx, key.Partition(s.store.Partitions), []string{key.String()})
	if err != nil || bodies[0] == nil {
		return engine.Snapshot{}, err
	}
	return engine.UnmarshalThread(bodies[0])
}
