package engine

import (
	"context"
	"slices"
	"testing"
	"time"

	"usher/bot"
	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

// row is a partition whose one thread has so many answers, all of them dispatched.
func row(t *testing.T, g Graph, answers int) (*partition, *thread) {
	t.Helper()
	e, err := New(Options{
		Store: struct{ Store }{}, App: "1", Parallel: 3, SendRate: 10,
		Pages: map[messenger.PageID]Page{"2": {Graph: g, Script: &bot.Script{}, Rules: handover.Rules{Target: "3"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := newPartition(e, handover.Lease{Seq: 1}, e.Now().Add(time.Hour))
	th := &thread{key: "2:4"}
	for range answers {
		th.queue = append(th.queue, &effect{Thread: th.key, Call: callSaid, Message: &graph.Message{Text: "Hello."}})
	}
	p.queued[th] = struct{}{}
	p.dispatch(t.Context())
	e.pages["2"].lane.run(t.Context())
	return p, th
}

// takes waits for the results of so many calls.
func takes(p *partition, n int) (rs []result) {
	for len(rs) < n {
		<-p.results.came
		rs = append(rs, p.results.take(n)...)
	}
	return rs
}

// A row of messages is said by one sender, in order, at one place among the Page's
// calls, which it leaves once.
func TestRowIsSaidInOrder(t *testing.T) {
	t.Parallel()
	p, th := row(t, nullGraph{}, 3)
	rs := takes(p, 3)
	for i, r := range rs {
		if r.f != th.queue[i] || r.last != (i == 2) || r.outcome != handover.OK || r.sent == "" {
			t.Errorf("result %d = %+v, want that of effect %d", i, r, i)
		}
	}
	l := p.e.pages["2"].lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := l.bucket.TokensAt(p.e.Now()); l.slots != 3 || left < 7 || left > 8 {
		t.Errorf("the lane has %d slots and %.1f tokens, want all 3, and 7 of 10", l.slots, left)
	}
}

// A sender is not given more ahead than it may have.
func TestRowIsBounded(t *testing.T) {
	t.Parallel()
	p, th := row(t, nullGraph{}, 2+maxAhead)
	if n := len(takes(p, 1+maxAhead)); n != 1+maxAhead || th.queue[n].flying || !th.queue[n-1].flying {
		t.Errorf("%d are said, want %d, and the last one left", n, 1+maxAhead)
	}
}

// A partition at rest is not stuck, however old it is.
func TestStuck(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := &partition{e: &Engine{Options: Options{Now: func() time.Time { return now }}, stuckAfter: time.Second}, born: now.Add(-time.Hour)}
	if p.stuck() {
		t.Error("a partition at rest is stuck")
	}
	p.turning.Store(p.age())
	now = now.Add(time.Second)
	if p.stuck() {
		t.Error("a turn is stuck before its time")
	}
	if now = now.Add(1); !p.stuck() {
		t.Error("a turn that takes too long is not stuck")
	}
}

// held is a Graph that is held up.
type held struct {
	nullGraph

	begun, end chan struct{}
}

func (h held) Send(ctx context.Context, to messenger.PSID, m graph.Message) (messenger.MessageID, error) {
	h.begun <- struct{}{}
	<-h.end
	return h.nullGraph.Send(ctx, to, m)
}

// What is recalled is not said, nor what comes after it; what has begun is.
func TestRecallOfARow(t *testing.T) {
	t.Parallel()
	g := held{begun: make(chan struct{}), end: make(chan struct{})}
	p, th := row(t, g, 4)
	<-g.begun
	if p.recall(th, th.queue[0]) {
		t.Error("what has begun is recalled")
	}
	for range 2 {
		if !p.recall(th, th.queue[2]) {
			t.Error("what has not begun cannot be recalled")
		}
	}
	flying := []bool{}
	for _, f := range th.queue {
		flying = append(flying, f.flying)
	}
	if want := []bool{true, true, false, false}; !slices.Equal(flying, want) {
		t.Errorf("under way are %v, want %v", flying, want)
	}
	g.end <- struct{}{}
	<-g.begun
	g.end <- struct{}{}
	if rs := takes(p, 2); !rs[1].last {
		t.Errorf("the second result is %+v, want it the last", rs[1])
	}
}

func TestWhatFollows(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		f    effect
		want bool
	}{
		"an answer":            {effect{Call: callSaid, Gen: 3}, true},
		"an operator's text":   {effect{Call: callSay, Gen: 3}, true},
		"a handoff":            {effect{Call: callSayAndPass, Gen: 3}, false},
		"a take":               {effect{Call: callTake, Gen: 3}, false},
		"of an older time":     {effect{Call: callSaid, Gen: 2}, false},
		"known by its echo":    {effect{Call: callSaid, Gen: 3, known: true}, false},
		"in doubt, or put off": {effect{Call: callSaid, Gen: 3, NotBefore: time.Unix(1, 0)}, false},
	} {
		if got := tt.f.follows(3); got != tt.want {
			t.Errorf("%s: follows() = %v, want %v", name, got, tt.want)
		}
	}
}
