package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"usher/bot"
	"usher/handover"
	"usher/handover/redisstore"
	"usher/handover/storetest/redistest"
	"usher/messenger"
	"usher/messenger/graph"
)

const (
	benchApp  messenger.AppID  = "1517776481860111"
	benchPage messenger.PageID = "1000000000000001"
)

// nullGraph says yes to everything, at once, and counts what is said.
type nullGraph struct {
	Graph

	said chan struct{}
}

func (g nullGraph) Send(context.Context, messenger.PSID, graph.Message) (messenger.MessageID, error) {
	if g.said != nil {
		g.said <- struct{}{}
	}
	return "m_out", nil
}

// Usage tells nothing.
func (nullGraph) Usage() graph.Usage { return graph.Usage{} }

func benchEngine(b *testing.B, store Store, said chan struct{}) *Engine {
	b.Helper()
	script, err := bot.Load("bot.yaml", []byte(`
version: 1
greeting: {keywords: [hello], say: Hello.}
rules: [{id: hours, keywords: [hours], say: We are open from nine to five.}]
fallback: [{say: Sorry?}]
`))
	if err != nil {
		b.Fatal(err)
	}
	e, err := New(Options{
		Store: store, App: benchApp, Log: zerolog.Nop(), SendRate: 1_000_000,
		Pages: map[messenger.PageID]Page{benchPage: {
			Name: "Page", Graph: nullGraph{said: said}, Script: script,
			Rules: handover.Rules{Target: string(messenger.PageInbox), TimeLimit: 12 * time.Hour, HandoffKeywords: []string{"human"}},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkCall takes one answer from the outbox to the result of its call, which
// itself costs nothing.
func BenchmarkCall(b *testing.B) {
	e := benchEngine(b, struct{ Store }{}, nil)
	p := newPartition(e, handover.Lease{Seq: 1}, e.Now().Add(time.Hour))
	e.pages[benchPage].lane.run(b.Context())
	ev := question(0)
	th := &thread{key: ev.Thread.String()}
	f := &effect{ID: "e_1", Thread: th.key, Call: callSaid, Message: &graph.Message{Text: "We are open from nine to five."}}
	th.queue = []*effect{f}
	p.queued[th] = struct{}{}
	b.ReportAllocs()
	for b.Loop() {
		p.dispatch(b.Context())
		<-p.results.came
		if r := p.results.take(1)[0]; r.outcome != handover.OK || r.sent == "" {
			b.Fatalf("%+v", r)
		}
		p.dismiss(th)
	}
}

// question is the n-th text, from one of a thousand customers.
func question(n int) messenger.Event {
	mid := fmt.Sprintf("m_%d", n)
	return messenger.Event{
		ID: "message:" + mid, MID: messenger.MessageID(mid), Kind: messenger.KindMessage, Text: "What are your hours?",
		Thread: messenger.ThreadKey{Page: benchPage, PSID: messenger.PSID(fmt.Sprintf("7%015d", n%1000))}, At: time.UnixMilli(1_800_000_000_000).UTC(),
	}
}

// BenchmarkStep takes one text from the stream's bytes to the commit that holds
// its answer: read, translate, decide, reply, encode.
func BenchmarkStep(b *testing.B) {
	e := benchEngine(b, struct{ Store }{}, nil)
	p := newPartition(e, handover.Lease{Seq: 1}, e.Now())
	ev := question(0)
	p.storeNow, p.readAt = ev.At, e.Now()
	body, err := ev.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	raw := []handover.Entry{{ID: "1-1", Kind: handover.EntryEvent, Body: string(body), At: ev.At}}
	b.ReportAllocs()
	for b.Loop() {
		th := &thread{key: ev.Thread.String()}
		p.threads[th.key] = th
		t := newTurn(p, 1)
		entries, _, _ := readEntries(raw)
		for _, en := range inOrder(entries) {
			t.entry(&en)
		}
		c, err := t.finish()
		if err != nil || len(c.Put) != 1 || len(c.Threads) != 1 {
			b.Fatalf("finish() = %+v, %v, want the answer and the thread", c, err)
		}
		clear(p.queued)
	}
}

// BenchmarkTurns takes a thousand texts from the webhook's Append to the calls
// that answer them, all partitions in this process.
func BenchmarkTurns(b *testing.B) {
	b.Run("miniredis", func(b *testing.B) { benchTurns(b, miniredis.RunT(b).Addr()) })
	b.Run("redis", func(b *testing.B) { benchTurns(b, redistest.Start(b)) })
}

func benchTurns(b *testing.B, address string) {
	b.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: address, PoolSize: 64})
	defer func() { _ = rdb.Close() }()
	store, err := redisstore.New(rdb, redisstore.Options{Durability: redisstore.Memory})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	const batch = 1000
	said := make(chan struct{}, batch)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	e := benchEngine(b, store, said)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	n := 0
	ask := func() {
		evs := make([]messenger.Event, batch)
		for i := range evs {
			evs[i] = question(n)
			evs[i].At = time.Time{} // the store's
			n++
		}
		if err := store.Append(b.Context(), evs); err != nil {
			b.Fatal(err)
		}
		for range evs {
			<-said
		}
	}
	ask() // every partition is owned, every thread known
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "texts/s")
}
