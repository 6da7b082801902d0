package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"usher/bot"
	"usher/handover"
	"usher/handover/engine"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/graph"
)

const (
	app  messenger.AppID  = "1517776481860111"
	page messenger.PageID = "1000000000000001"
	ann  messenger.PSID   = "7000000000000001"
	bob  messenger.PSID   = "7000000000000002"
)

const script = `
version: 1
default_locale: en_US
greeting:
  keywords: [hello]
  say: [{text: "Hi! Ask away.", quick_replies: [{title: Talk to a human, handoff: true}]}]
rules:
  - id: hours
    match: {contains: [hours]}
    say: [{text: We are open from nine to five.}]
  - id: two
    match: {exact: [two]}
    say: [{text: one of two}, {text: two of two}]
fallback:
  say: [{text: Sorry?}]
`

// recorder is a Graph that behaves: it knows who has control, keeps what it was
// asked, and fails where it is told to.
type recorder struct {
	mu    sync.Mutex
	owner messenger.AppID // of every thread; "" is idle
	calls []string
	sent  []graph.Message
	fail  []func(call string) error // asked in turn, one for each call
	hold  chan struct{}             // calls wait until it is closed
	begun chan string               // gets each call as it begins, where given

	profile graph.Profile // of every customer
	usage   graph.Usage
}

func (g *recorder) call(ctx context.Context, name string, do func()) error {
	g.mu.Lock()
	hold, begun := g.hold, g.begun
	g.mu.Unlock()
	if begun != nil {
		begun <- name
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, name)
	if len(g.fail) > 0 {
		f := g.fail[0]
		g.fail = g.fail[1:]
		if err := f(name); err != nil {
			return err
		}
	}
	do()
	return nil
}

func (g *recorder) Send(ctx context.Context, to messenger.PSID, m graph.Message) (messenger.MessageID, error) {
	name := "send " + string(to) + " " + m.Text
	if m.Control != nil {
		name += " +pass " + string(m.Control.Pass)
	}
	mid := ""
	err := g.call(ctx, name, func() {
		g.sent = append(g.sent, m)
		mid = fmt.Sprintf("m_out_%d", len(g.sent))
		if m.Control != nil {
			g.owner = m.Control.Pass
		}
	})
	return messenger.MessageID(mid), err
}

func (g *recorder) Pass(ctx context.Context, _ messenger.PSID, to messenger.AppID, _ string) error {
	return g.call(ctx, "pass "+string(to), func() { g.owner = to })
}

func (g *recorder) Take(ctx context.Context, _ messenger.PSID, _ string) error {
	return g.call(ctx, "take", func() { g.owner = app })
}

func (g *recorder) Release(ctx context.Context, _ messenger.PSID) error {
	return g.call(ctx, "release", func() { g.owner = "" })
}

func (g *recorder) Owner(ctx context.Context, _ messenger.PSID) (graph.Owner, error) {
	var o graph.Owner
	err := g.call(ctx, "owner", func() { o = graph.Owner{App: g.owner, Idle: g.owner == ""} })
	return o, err
}

func (g *recorder) Profile(ctx context.Context, _ messenger.PSID) (graph.Profile, error) {
	var p graph.Profile
	err := g.call(ctx, "profile", func() { p = g.profile })
	return p, err
}

func (g *recorder) Ping(ctx context.Context) error { return g.call(ctx, "ping", func() {}) }

func (g *recorder) Usage() graph.Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.usage
}

// log returns the calls so far.
func (g *recorder) log() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

// texts returns what was said.
func (g *recorder) texts() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, m := range g.sent {
		out = append(out, m.Text)
	}
	return out
}

func (g *recorder) metadata(n int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent[n].Metadata
}

func (g *recorder) failNext(errs ...error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, err := range errs {
		g.fail = append(g.fail, func(string) error { return err })
	}
}

// world is a store, a Graph and the replicas that share them.
type world struct {
	t     *testing.T
	mini  *miniredis.Miniredis
	store *redisstore.Store
	rdb   redis.UniversalClient
	graph *recorder
	rules handover.Rules
	mids  int
	at    time.Time // Meta's clock

	mu    sync.Mutex
	lines []engine.Line
	more  chan struct{} // closed and replaced with each line
}

func newWorld(t *testing.T) *world {
	t.Helper()
	mini := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	store, err := redisstore.New(rdb, redisstore.Options{Partitions: 8})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, mini: mini, store: store, rdb: rdb, graph: &recorder{owner: app, profile: graph.Profile{FirstName: "Ann"}}, more: make(chan struct{}), at: time.Now().Add(-time.Minute),
		rules: handover.Rules{
			Target: string(messenger.PageInbox), TimeLimit: 12 * time.Hour, HonourRequests: true, Misunderstandings: 3,
			HandoffKeywords: []string{"human"}, BackKeywords: []string{"bot"},
		},
	}
}

func (w *world) observe(l engine.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, l)
	close(w.more)
	w.more = make(chan struct{})
}

// options are the engine's, with times that suit a test.
func (w *world) options() engine.Options {
	w.t.Helper()
	s, err := bot.Load("bot.yaml", []byte(script))
	if err != nil {
		w.t.Fatal(err)
	}
	return engine.Options{
		Store: w.store, App: app, Partitions: 8,
		Lease: 900 * time.Millisecond, Renew: 100 * time.Millisecond, Margin: 50 * time.Millisecond,
		CallTimeout: 500 * time.Millisecond, EchoGrace: 50 * time.Millisecond, StopTimeout: 5 * time.Second,
		Log: zerolog.New(zerolog.NewTestWriter(w.t)), Observe: w.observe,
		Pages: map[messenger.PageID]engine.Page{page: {
			Name: "Corner Shop", Graph: w.graph, Rules: w.rules, Script: s,
			Texts: engine.Texts{
				Messages: map[handover.Text]engine.Localized{
					handover.TextHandoff: {"": "Passing you on."}, handover.TextBack: {"": "I am back (automated)."},
					handover.TextFailed: {"": "Nobody there."}, handover.TextReopened: {"": "Back to the team."},
				},
				Disclosure: engine.Localized{"": "Automated again."}, BackButton: "Back to bot", HandoffButton: "Talk to a human",
			},
		}},
	}
}

// start runs a replica and returns what stops it.
func (w *world) start(change ...func(*engine.Options)) (stop func()) {
	w.t.Helper()
	return w.run(w.engine(change...))
}

// engine returns a replica that does not run yet.
func (w *world) engine(change ...func(*engine.Options)) *engine.Engine {
	w.t.Helper()
	o := w.options()
	for _, c := range change {
		c(&o)
	}
	e, err := engine.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	e.SetStuckAfter(time.Minute) // the machine may be busy
	return e
}

// run runs an engine and returns what stops it.
func (w *world) run(e *engine.Engine) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("Run() = %v", err)
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

// accept stores events as the webhook would.
func (w *world) accept(evs ...messenger.Event) {
	w.t.Helper()
	for i := range evs {
		ev := &evs[i]
		if ev.At.IsZero() {
			w.at = w.at.Add(10 * time.Millisecond)
			ev.At = w.at.UTC().Truncate(time.Millisecond)
		}
		if ev.MID == "" {
			w.mids++
			ev.MID = messenger.MessageID(fmt.Sprintf("m_%d", w.mids))
		}
		if ev.Thread.Page == "" {
			ev.Thread = messenger.ThreadKey{Page: page, PSID: ann}
		}
		if ev.ID == "" {
			ev.ID = string(ev.Kind) + ":" + string(ev.MID)
		}
	}
	if err := w.store.Append(w.t.Context(), evs); err != nil {
		w.t.Fatal(err)
	}
}

// order is an operator's command for Ann's thread.
func (w *world) order(c engine.Command) {
	w.t.Helper()
	key := messenger.ThreadKey{Page: page, PSID: ann}
	body, err := engine.Order{ID: "order-" + string(c), Thread: key.String(), Command: c}.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Command(w.t.Context(), key, "order-"+string(c), body); err != nil {
		w.t.Fatal(err)
	}
}

// neighbour returns somebody else whose thread is in the same partition.
func (w *world) neighbour(of messenger.PSID) messenger.PSID {
	w.t.Helper()
	want := messenger.ThreadKey{Page: page, PSID: of}.Partition(8)
	for n := 0; ; n++ {
		key := messenger.ThreadKey{Page: page, PSID: messenger.PSID(fmt.Sprintf("8%015d", n))}
		if key.Partition(8) == want {
			return key.PSID
		}
	}
}

func text(s string) messenger.Event { return messenger.Event{Kind: messenger.KindMessage, Text: s} }

func standby(ev messenger.Event) messenger.Event { ev.Standby = true; return ev }

func from(psid messenger.PSID, ev messenger.Event) messenger.Event {
	ev.Thread = messenger.ThreadKey{Page: page, PSID: psid}
	return ev
}

func agentEcho() messenger.Event {
	return messenger.Event{Kind: messenger.KindEcho, App: messenger.PageInbox, Text: "an agent's words", Standby: true}
}

// until waits for a line of history that match accepts, and returns it.
func (w *world) until(what string, match func(engine.Line) bool) engine.Line {
	w.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		i := slices.IndexFunc(w.lines, match)
		more := w.more
		var l engine.Line
		if i >= 0 {
			l = w.lines[i]
		}
		w.mu.Unlock()
		if i >= 0 {
			return l
		}
		select {
		case <-more:
		case <-deadline.C:
			w.t.Fatalf("no line of history: %s\ncalls: %q\nlines: %s", what, w.graph.log(), w.story())
		}
	}
}

// called waits for the n-th (from 1) ended call of a kind.
func (w *world) called(call, outcome string, n int) engine.Line {
	w.t.Helper()
	return w.until(fmt.Sprintf("%s %s #%d", call, outcome, n), func() func(engine.Line) bool {
		return func(l engine.Line) bool {
			count := 0
			for _, m := range w.lines {
				if strings.HasPrefix(m.Call, call) && strings.HasPrefix(m.Outcome, outcome) {
					count++
				}
			}
			return count >= n && strings.HasPrefix(l.Call, call) && strings.HasPrefix(l.Outcome, outcome)
		}
	}())
}

// moved waits for a change of hands.
func (w *world) moved(to handover.Phase, cause handover.Cause) {
	w.t.Helper()
	w.until(fmt.Sprintf("moved to %v by %s", to, cause), func(l engine.Line) bool {
		return l.Moved && l.To == to && l.Cause == cause
	})
}

// handled waits until an event has its line.
func (w *world) handled(id string) engine.Line {
	w.t.Helper()
	return w.until("event "+id, func(l engine.Line) bool { return l.ID == id })
}

func (w *world) story() string {
	var b strings.Builder
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		fmt.Fprintf(&b, "\n  %+v", l)
	}
	return b.String()
}

func (w *world) wantTexts(want ...string) {
	w.t.Helper()
	if got := w.graph.texts(); !slices.Equal(got, want) {
		w.t.Errorf("said %q, want %q\nlines: %s", got, want, w.story())
	}
}
