package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher/cmd/usher-bench/check"
	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// witness stands between Meta and Usher: it reads Meta's ledger as it is written
// and each delivery as it passes, and keeps of them what a verdict needs.
type witness struct {
	app  messenger.AppID
	page messenger.PageID

	seq      atomic.Int64 // orders deliveries and calls
	accepted atomic.Int64 // events acknowledged, each counted once
	sent     atomic.Int64 // messages

	mu       sync.Mutex
	guests   map[messenger.PSID]*guest
	shuffled []shuffle
}

// shuffle is a time in which Meta delivered in disorder: from a place in the order
// of all things on, until a time.
type shuffle struct {
	from int64
	to   time.Time // zero while it lasts
}

// guest is a customer's thread as Meta saw it.
type guest struct {
	psid messenger.PSID
	wake chan struct{} // gets a note when something happened

	mu       sync.Mutex
	told     []check.Told
	index    map[string]int // of told, by id
	calls    []check.Call
	passes   []time.Time
	want     map[messenger.MessageID]wanted
	heard    int // messages
	expected int
}

type wanted struct {
	want check.Want
	text string
}

// join makes a guest known.
func (w *witness) join(psid messenger.PSID) *guest {
	g := &guest{
		psid: psid, wake: make(chan struct{}, 1), index: map[string]int{},
		want: map[messenger.MessageID]wanted{},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.guests[psid] = g
	return g
}

func (w *witness) guest(psid messenger.PSID) *guest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.guests[psid]
}

// sees is told each entry of the ledger. It runs inside the simulator.
func (w *witness) sees(e simulator.Entry) {
	c := e.Call
	if c == nil {
		return
	}
	g := w.guest(c.PSID)
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.note() // who waits for control waits for any call
	if c.Edge == simulator.EdgePass && c.OK() {
		g.passes = append(g.passes, e.At)
	}
	if c.Edge != simulator.EdgeMessages || c.Action != "" || !c.OK() && c.Code != 10 {
		return
	}
	g.calls = append(g.calls, check.Call{
		Effect: strings.TrimPrefix(c.Metadata, metadataMark), Text: c.Text, At: e.At, Seq: w.seq.Add(1), Sent: c.OK(),
		EchoID: "echo:" + string(c.MID),
	})
	if c.OK() {
		w.sent.Add(1)
		g.heard++
	}
}

// metadataMark begins the metadata of what Usher sends.
const metadataMark = "usher:"

// delivered notes the events of a body that was offered at a place in the order,
// and how it was answered.
func (w *witness) delivered(at int64, body []byte, acknowledged bool) error {
	events, err := webhook.Decode(body)
	if err != nil {
		return err
	}
	ended := now()
	for i := range events {
		e := &events[i]
		g := w.guest(e.Thread.PSID)
		if g == nil {
			continue
		}
		g.mu.Lock()
		place := check.Place{Seq: at, Index: i}
		t := g.find(w.app, e, place)
		if acknowledged {
			t.Copies++
			if t.Copies == 1 {
				t.Accepted, t.Acked = place, ended
				w.accepted.Add(1)
			}
		}
		g.mu.Unlock()
	}
	return nil
}

// find returns what is known of an event; the first time it is offered, that is
// what it tells. The lock is held.
func (g *guest) find(us messenger.AppID, e *messenger.Event, at check.Place) *check.Told {
	if i, known := g.index[e.ID]; known {
		return &g.told[i]
	}
	t := check.Told{ID: strings.Clone(e.ID), At: e.At, First: at}
	switch {
	case e.Kind == messenger.KindEcho && e.App == us:
		t.By, t.Effect = check.Us, strings.Clone(strings.TrimPrefix(e.Metadata, metadataMark))
	case e.Kind == messenger.KindEcho:
		t.By = check.Agent
	case e.MID == "":
		t.By = check.Meta
	}
	g.index[t.ID] = len(g.told)
	g.told = append(g.told, t)
	return &g.told[len(g.told)-1]
}

// shuffling notes that Meta begins or ends to deliver in disorder.
func (w *witness) shuffling(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on {
		w.shuffled = append(w.shuffled, shuffle{from: w.seq.Load()})
	} else {
		w.shuffled[len(w.shuffled)-1].to = now()
	}
}

// disordered tells whether an event may have changed places with others.
func (w *witness) disordered(t *check.Told) bool {
	return slices.ContainsFunc(w.shuffled, func(s shuffle) bool {
		waited := t.Accepted == (check.Place{}) || t.Accepted.Seq > s.from
		return waited && (s.to.IsZero() || !t.At.After(s.to))
	})
}

// certainUntil returns from when on nobody can say who has a thread: when what an
// agent did was told in disorder. It is zero where that was not so.
func (w *witness) certainUntil(all []check.Told) (from time.Time) {
	for i := range all {
		t := &all[i]
		if (t.By == check.Agent || t.By == check.Meta) && w.disordered(t) && (from.IsZero() || t.At.Before(from)) {
			from = t.At
		}
	}
	return from
}

// threads returns what Meta saw of everybody, once nothing happens any more.
func (w *witness) threads() []check.Thread {
	w.mu.Lock()
	defer w.mu.Unlock()
	threads := make([]check.Thread, 0, len(w.guests))
	for _, g := range w.guests {
		t := check.Thread{
			Name: messenger.ThreadKey{Page: w.page, PSID: g.psid}.String(), Told: g.told, Calls: g.calls, Passes: g.passes,
		}
		certain := w.certainUntil(t.Told)
		for i := range t.Told {
			told := &t.Told[i]
			_, mid, _ := strings.Cut(told.ID, ":")
			if is, known := g.want[messenger.MessageID(mid)]; known && !w.disordered(told) && (certain.IsZero() || told.At.Before(certain)) {
				told.Want, told.Text = is.want, is.text
			}
		}
		threads = append(threads, t)
	}
	return threads
}

// wants notes what must come of an act.
func (g *guest) wants(mid messenger.MessageID, want check.Want, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want[mid] = wanted{want, text}
}

// forgetWants lets anything come of what was asked and is not answered yet.
func (g *guest) forgetWants() {
	g.mu.Lock()
	defer g.mu.Unlock()
	heard := map[string]bool{}
	for _, c := range g.calls {
		if c.Sent {
			heard[c.Text] = true
		}
	}
	for mid, is := range g.want {
		if is.want == check.Answer && !heard[is.text] {
			g.want[mid] = wanted{}
		}
	}
}

// expect counts messages that are to be heard, and forgetExpected gives up those
// that were not.
func (g *guest) expect(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected += n
}

func (g *guest) forgetExpected() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected = g.heard
}

// answered tells whether all that is to be heard was.
func (g *guest) answered() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heard >= g.expected
}

// note tells who waits that something happened.
func (g *guest) note() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// until waits for a condition, for d at most.
func (g *guest) until(ctx context.Context, d time.Duration, done func() bool) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	again := time.NewTicker(250 * time.Millisecond) // for what nobody tells
	defer again.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-g.wake:
		case <-again.C:
		case <-over.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
