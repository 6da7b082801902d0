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
	"github.com/rs/zerolog"

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
	meta  *simulator.Meta
	store *redisstore.Store
	clock *stageClock
	stop  func() error
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
	log := zerolog.Nop() // the observers tell more
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
	clock := &stageClock{}
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start the Redis in memory: %w", err)
	}
	closers = append(closers, func() error { mini.Close(); return nil }, keepTime(mini, clock))
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	closers = append(closers, rdb.Close)
	store, err := newStore(cfg, rdb)
	if err != nil {
		return nil, err
	}
	if _, err := store.Open(ctx); err != nil {
		return nil, err
	}
	hook, err := newWebhook(cfg, tellingInbox{Inbox: store, tell: o.events}, log)
	if err != nil {
		return nil, err
	}
	meta, err := newMeta(cfg, clock, hook, o.meta) //nolint:contextcheck // Meta delivers in its own time
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() error { meta.Close(); return nil })
	eng, err := newEngineWith(cfg, store, script, log, o.line, meta.Client())
	if err != nil {
		return nil, err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- eng.Run(work) }()
	closers = append(closers, func() error { stop(); return <-done })
	return &stage{meta: meta, store: store, clock: clock, stop: closeAll}, nil
}

// observers are told what happens on a stage, as it does: events that Meta
// delivered, decisions, and what Meta saw.
type observers struct {
	events func([]messenger.Event)
	line   func(engine.Line)
	meta   func(simulator.Entry)
}

// tellingInbox tells of deliveries before they are stored, so that they are told
// before what they lead to.
type tellingInbox struct {
	webhook.Inbox

	tell func([]messenger.Event)
}

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
		Webhook: hook, Now: c.now, Log: onMeta, LedgerSize: 1000,
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
