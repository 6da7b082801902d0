package engine_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"usher/bot"
	"usher/handover"
	"usher/handover/engine"
	"usher/handover/redisstore"
	"usher/handover/storetest/redistest"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// town is Pages at a simulated Meta, a Redis, and the replicas that answer, in
// virtual time: an hour passes as soon as nobody has anything to do.
type town struct {
	t     *testing.T
	store *redisstore.Store
	metas map[messenger.PageID]*simulator.Meta
	token string // of every Page

	mu    sync.Mutex
	log   bytes.Buffer
	lines []engine.Line
}

const other messenger.PageID = "1000000000000002"

// inTown runs a test in a town.
func inTown(t *testing.T, test func(*town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:1", PoolSize: 64, // who waits for a connection takes a timer from another bubble
			Dialer: func(context.Context, string, string) (net.Conn, error) { return redistest.Dial(mini) },
		})
		t.Cleanup(func() {
			_ = rdb.Close()
			mini.Close()
		})
		store, err := redisstore.New(rdb, redisstore.Options{Partitions: 16})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		const secret = "app-secret"
		hook, err := webhook.New(webhook.Options{Secrets: []string{secret}, VerifyToken: "verify", Inbox: store, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		w := &town{t: t, store: store, metas: map[messenger.PageID]*simulator.Meta{}, token: "page-token"}
		for i, id := range []messenger.PageID{page, other} {
			meta, err := simulator.New(simulator.Options{App: app, AppSecret: secret, Page: id, PageToken: w.token, Webhook: hook, Seed: uint64(i + 1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(meta.Close)
			w.metas[id] = meta
		}
		test(w)
	})
}

// Write keeps the log.
func (w *town) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// logged returns the lines of the log at a level that hold a text.
func (w *town) logged(level, text string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"level":"`+level+`"`) && strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// outcomes returns the lines of history of a person that end in an outcome.
func (w *town) outcomes(psid messenger.PSID, outcome string) (calls []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if strings.HasSuffix(l.Thread, string(psid)) && strings.HasPrefix(l.Outcome, outcome) {
			calls = append(calls, l.Call)
		}
	}
	return calls
}

// serve starts a replica; it is stopped by what is returned, or with the test.
func (w *town) serve(change ...func(*engine.Options)) (e *engine.Engine, stop func()) {
	w.t.Helper()
	s, err := bot.Load("bot.yaml", []byte(script))
	if err != nil {
		w.t.Fatal(err)
	}
	o := engine.Options{
		Store: w.store, App: app, Partitions: 16, Log: zerolog.New(w),
		Lease: 6 * time.Hour, Renew: 2 * time.Hour, // hardly a poll: days pass in these tests
		Observe: func(l engine.Line) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lines = append(w.lines, l)
		},
		Pages: map[messenger.PageID]engine.Page{},
	}
	for id, meta := range w.metas {
		calls, err := graph.New(graph.Options{Page: id, Token: w.token, AppSecret: "app-secret", Transport: meta.Client().Transport})
		if err != nil {
			w.t.Fatal(err)
		}
		o.Pages[id] = engine.Page{
			Name: "Shop " + string(id), Graph: calls, Script: s,
			Rules: handover.Rules{
				Target: string(messenger.PageInbox), TimeLimit: 12 * time.Hour, HandoffKeywords: []string{"human"}, BackKeywords: []string{"bot"},
			},
			Texts: engine.Texts{Messages: map[handover.Text]engine.Localized{
				handover.TextHandoff: {"": "Passing you on."}, handover.TextBack: {"": "I am back."}, handover.TextFailed: {"": "Nobody there."},
			}},
		}
	}
	for _, c := range change {
		c(&o)
	}
	if e, err = engine.New(o); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run() = %v", err)
		}
	})
	w.t.Cleanup(stop)
	pass(time.Second)
	return e, stop
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// person returns the n-th customer of a Page.
func person(n int) messenger.PSID { return messenger.PSID(strconv.Itoa(7_000_000_000_000_000 + n)) }

// says lets a customer write.
func (w *town) says(id messenger.PageID, psid messenger.PSID, text string) {
	w.t.Helper()
	if _, err := w.metas[id].Customer(psid).Says(text); err != nil {
		w.t.Fatal(err)
	}
}

// heard returns what a customer was told by us.
func (w *town) heard(id messenger.PageID, psid messenger.PSID) (texts []string) {
	for _, l := range w.metas[id].Transcript(psid) {
		if l.App == app {
			texts = append(texts, l.Text)
		}
	}
	return texts
}

func (w *town) wantHeard(id messenger.PageID, psid messenger.PSID, want ...string) {
	w.t.Helper()
	if got := w.heard(id, psid); !slices.Equal(got, want) {
		w.t.Errorf("%s heard %q, want %q", psid, got, want)
	}
}

// calls counts the calls that a Page got.
func (w *town) calls(id messenger.PageID, edges ...string) int {
	return len(w.metas[id].Calls(edges...))
}

const (
	openHours = "We are open from nine to five."
	passingOn = "Passing you on."
)
