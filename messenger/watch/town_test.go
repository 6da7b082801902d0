package watch_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"usher/bot"
	"usher/handover"
	"usher/handover/engine"
	"usher/handover/redisstore"
	"usher/handover/storetest/redistest"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/simulator"
	"usher/messenger/watch"
	"usher/messenger/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	app    messenger.AppID  = "1517776481860111"
	page   messenger.PageID = "1000000000000001"
	ann    messenger.PSID   = "7000000000000001"
	bob    messenger.PSID   = "7000000000000002"
	carl   messenger.PSID   = "7000000000000003"
	dora   messenger.PSID   = "7000000000000004"
	secret                  = "app-secret"
	token                   = "page-token"
)

const script = `
version: 1
default_locale: en_US
greeting:
  keywords: [hello]
  say: [{text: Hi!}]
rules:
  - id: hours
    match: {contains: [hours]}
    say: [{text: From nine to five.}]
fallback:
  say: [{text: Sorry?}]
`

// needed are the fields that we must be subscribed to.
func needed() []string {
	return []string{"messages", "message_echoes", "messaging_handovers", "standby"}
}

// town is a Page at a simulated Meta, a Redis, and replicas that answer and watch,
// in virtual time.
type town struct {
	*simulator.Meta

	t     *testing.T
	redis *miniredis.Miniredis
	store *redisstore.Store
	doors []http.Handler // of the replicas; deliveries go to each in turn
	slow  atomic.Bool    // Meta takes its time to answer a send

	mu     sync.Mutex
	log    bytes.Buffer
	lines  []engine.Line
	sights []watch.Sight
	turn   int
}

// inTown runs a test in a town.
func inTown(t *testing.T, test func(*town), change ...func(*simulator.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, redis: miniredis.NewMiniRedis()}
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return redistest.Dial(w.redis) },
		})
		t.Cleanup(func() {
			_ = rdb.Close()
			w.redis.Close()
		})
		var err error
		if w.store, err = redisstore.New(rdb, redisstore.Options{Partitions: 4}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := simulator.Options{App: app, AppSecret: secret, Page: page, PageToken: token, Webhook: w, Seed: 1, EnforceRate: true}
		for _, c := range change {
			c(&o)
		}
		if w.Meta, err = simulator.New(o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
		test(w)
	})
}

// ServeHTTP takes deliveries.
func (w *town) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.turn++
	door := w.doors[w.turn%len(w.doors)]
	w.mu.Unlock()
	door.ServeHTTP(rw, r)
}

// RoundTrip brings a request to Graph.
func (w *town) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.Client().Transport.RoundTrip(r)
	if w.slow.Load() && strings.HasSuffix(r.URL.Path, "/messages") {
		time.Sleep(7 * time.Second)
	}
	return res, err
}

// Write keeps the log.
func (w *town) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// serve starts a replica; it is stopped by what is returned, or with the test.
func (w *town) serve(change ...func(*watch.Options)) (watcher *watch.Watcher, stop func()) {
	w.t.Helper()
	s, err := bot.Load("bot.yaml", []byte(script))
	if err != nil {
		w.t.Fatal(err)
	}
	calls, err := graph.New(graph.Options{Page: page, Token: token, AppSecret: secret, Transport: w})
	if err != nil {
		w.t.Fatal(err)
	}
	eng, err := engine.New(engine.Options{
		Store: w.store, App: app, Partitions: 4, Log: zerolog.Nop(), Lease: 10 * time.Minute, Renew: time.Minute, // hours pass
		Observe: func(l engine.Line) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lines = append(w.lines, l)
		},
		Pages: map[messenger.PageID]engine.Page{page: {
			Graph: calls, Script: s, Rules: handover.Rules{Target: string(messenger.PageInbox), TimeLimit: 12 * time.Hour, HandoffKeywords: []string{"human"}},
			Texts: engine.Texts{Messages: map[handover.Text]engine.Localized{handover.TextHandoff: {"": "Passing you on."}}},
		}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	o := watch.Options{
		Store: w.store, Pages: map[messenger.PageID]watch.Graph{page: calls}, App: app, Fields: needed(), Responsible: eng.Responsible,
		Silence: 10 * time.Minute, Backfill: true, Log: zerolog.New(w),
		Observe: func(_ messenger.PageID, s watch.Sight) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sights = append(w.sights, s)
		},
	}
	for _, c := range change {
		c(&o)
	}
	if watcher, err = watch.New(o); err != nil {
		w.t.Fatal(err)
	}
	door, err := webhook.New(webhook.Options{
		Secrets: []string{secret}, VerifyToken: "verify", Inbox: w.store, Log: zerolog.Nop(),
		Observe: func(d webhook.Delivery) { watcher.Note(d.Events, d.Status == http.StatusOK) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.doors = append(w.doors, door)
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var watching sync.WaitGroup
	go func() { done <- eng.Run(ctx) }()
	watching.Go(func() { watcher.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		watching.Wait()
		if err := <-done; err != nil {
			w.t.Errorf("Run() = %v", err)
		}
	})
	w.t.Cleanup(stop)
	pass(time.Second)
	return watcher, stop
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// says lets a customer write.
func (w *town) says(psid messenger.PSID, text string) {
	w.t.Helper()
	if _, err := w.Customer(psid).Says(text); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// replies lets an agent write.
func (w *town) replies(psid messenger.PSID, text string) {
	w.t.Helper()
	if _, err := w.Agent().Replies(psid, text); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// wantHeard wants what a customer was told by us.
func (w *town) wantHeard(psid messenger.PSID, want ...string) {
	w.t.Helper()
	var got []string
	for _, l := range w.Transcript(psid) {
		if l.App == app {
			got = append(got, l.Text)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s heard %q, want %q\n%s", psid, got, want, w.story(psid))
	}
}

// story is what happened on a thread.
func (w *town) story(psid messenger.PSID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, l := range w.lines {
		if strings.HasSuffix(l.Thread, string(psid)) {
			b.WriteString("  " + l.At.Format(time.TimeOnly) + " " + l.What + " " + strings.Join(l.Notes, ", ") + " " + l.Call + " " + l.Outcome + "\n")
		}
	}
	return b.String()
}

// wantPhase wants it to be so who has a thread.
func (w *town) wantPhase(psid messenger.PSID, want handover.Phase) {
	w.t.Helper()
	body, _, _, _, err := w.store.Thread(w.t.Context(), messenger.ThreadKey{Page: page, PSID: psid})
	if err != nil {
		w.t.Fatal(err)
	}
	th, err := engine.UnmarshalThread(body)
	if err != nil || th.State.Phase != want {
		w.t.Errorf("%s: phase %v, %v, want %v\n%s", psid, th.State.Phase, err, want, w.story(psid))
	}
}

// calls counts the calls of a method on an edge.
func (w *town) calls(method, edge string) (n int) {
	for _, c := range w.Calls(edge) {
		if c.Method == method {
			n++
		}
	}
	return n
}

func (w *town) wantCalls(method, edge string, want int) {
	w.t.Helper()
	if got := w.calls(method, edge); got != want {
		w.t.Errorf("%s %s was called %d times, want %d", method, edge, got, want)
	}
}

// wantSights wants what was seen since it was asked last.
func (w *town) wantSights(want ...watch.Sight) {
	w.t.Helper()
	w.mu.Lock()
	got := w.sights
	w.sights = nil
	log := w.log.String()
	w.log.Reset()
	w.mu.Unlock()
	if !slices.Equal(got, want) {
		w.t.Errorf("seen %q, want %q\n%s", got, want, log)
	}
}

// api calls Graph with our token, as another tool might.
func (w *town) api(method, path string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://graph.facebook.com/v26.0/me/"+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := w.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s", method, path, res.Status)
	}
}
