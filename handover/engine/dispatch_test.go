package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
)

// busyStore commits decisions, and holds the ends of calls up until it is let go.
type busyStore struct {
	engine.Store

	held atomic.Int64
	free chan struct{}
}

func (b *busyStore) Commit(ctx context.Context, c handover.Commit) (handover.Committed, error) {
	if len(c.Drop) > 0 {
		b.held.Add(1)
		select {
		case <-b.free:
		case <-ctx.Done():
			return handover.Committed{}, ctx.Err()
		}
	}
	return b.Store.Commit(ctx, c)
}

// unhurried lets calls be held up for as long as a test likes.
func unhurried(o *engine.Options) {
	o.CallTimeout, o.Lease, o.StopTimeout = 20*time.Second, time.Minute, 20*time.Second
}

// What is decided and durable is said, message after message, while the store is busy
// with how the one before it ended.
func TestMessagesFollowOneAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &busyStore{Store: w.store, free: make(chan struct{})}
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(unhurried, func(o *engine.Options) { o.Store = store })
	w.accept(text("two"))
	<-w.graph.begun
	more := text("hours") // decided while the first message is on its way
	more.MID = "m_more"
	w.accept(more)
	w.handled("message:m_more")
	close(w.graph.hold)
	want := []string{"one of two", "two of two", "We are open from nine to five."}
	w.eventually("all is said", func() bool { return len(w.graph.texts()) == len(want) })
	w.wantTexts(want...)
	close(store.free)
	w.called("answer", "ok", 3)
	w.wantTexts(want...)
}

// Where the store takes long, nothing follows a message of which nobody might know that
// it was said, were this process to end.
func TestNothingFollowsWhileTheStoreIsStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &busyStore{Store: w.store, free: make(chan struct{})}
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	e := w.engine(unhurried, func(o *engine.Options) { o.Store = store })
	e.SetStuckAfter(time.Millisecond)
	w.run(e)
	w.accept(text("two"))
	<-w.graph.begun
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + effectOf(w, 0)}) // its end, which cannot be stored
	w.eventually("the store is stuck", func() bool { return store.held.Load() > 0 })
	time.Sleep(10 * time.Millisecond) // long enough to be so
	close(w.graph.hold)
	w.eventually("the message is said", func() bool { return len(w.graph.texts()) == 1 })
	time.Sleep(50 * time.Millisecond) // in which the next one could be
	w.wantTexts("one of two")
	close(store.free)
	w.called("answer", "ok", 2)
	w.wantTexts("one of two", "two of two")
}

// After a message that was not taken nothing follows until it has been: also what a
// sender was given ahead.
func TestNothingOvertakesAMessageThatWasNotTaken(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"for the moment": &graph.Error{Edge: "messages", Status: 500, Code: 2},
		"as Graph hangs": errors.Join(graph.ErrUnknownOutcome, context.DeadlineExceeded),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
			w.start()
			w.accept(text("two"), text("hours"))
			<-w.graph.begun
			w.graph.failNext(nil, refusal)
			close(w.graph.hold)
			w.called("answer", "ok", 3)
			w.wantTexts("one of two", "two of two", "We are open from nine to five.")
		})
	}
}

// Half an answer that is refused for good takes its other half along, and nothing
// else.
func TestRefusalDropsTheRestOfItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(unhurried)
	w.accept(text("two"), text("hours"))
	<-w.graph.begun
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 400, Code: 100})
	close(w.graph.hold)
	w.called("answer", "ok", 1)
	w.wantTexts("We are open from nine to five.")
}

// A handoff ends the row: what it passes on is decided by how it ends.
func TestHandoffWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &busyStore{Store: w.store, free: make(chan struct{})}
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(unhurried, func(o *engine.Options) { o.Store = store })
	last := text("human")
	last.MID = "m_human"
	w.accept(text("two"), last)
	w.handled("message:m_human")
	close(w.graph.hold)
	w.eventually("the answer is said", func() bool { return len(w.graph.texts()) == 2 && store.held.Load() > 0 })
	close(store.free)
	w.called("say_and_pass", "ok", 1)
	w.wantTexts("one of two", "two of two", "Passing you on.")
}

// What is no message is followed by nothing before its end is recorded.
func TestNothingFollowsWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &busyStore{Store: w.store, free: make(chan struct{})}
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(unhurried, func(o *engine.Options) { o.Store = store })
	w.order(engine.OrderRelease)
	<-w.graph.begun
	w.accept(text("hours"))
	w.handled("message:m_1")
	close(w.graph.hold)
	w.eventually("the end is to be recorded", func() bool { return store.held.Load() > 0 })
	w.wantTexts()
	close(store.free)
	w.called("answer", "ok", 1)
}

// Killed amid a row of messages, with the ends of none recorded: their echoes settle
// those that arrived, and the next owner says the rest.
func TestKilledAmidMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	last := text("hours")
	last.MID = "m_last"
	w.accept(text("two"), last)
	w.handled("message:m_last")
	ids := []string{effectOf(w, 0), effectOf(w, 1)}
	<-w.graph.begun
	w.graph.mu.Lock()
	second := make(chan struct{})
	hold := w.graph.hold
	w.graph.hold = second
	w.graph.mu.Unlock()
	w.mini.SetError("LOADING Redis is loading the dataset in memory") // the end of the first is not recorded
	close(hold)
	<-w.graph.begun // the second is on its way
	kill()
	w.mini.SetError("")
	close(second)
	w.eventually("it arrives", func() bool { return len(w.graph.texts()) == 2 })
	for _, id := range ids {
		w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + id})
	}
	w.start(func(o *engine.Options) { o.EchoGrace = 300 * time.Millisecond })
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

// An owner that must load its partition anew says no more meanwhile: it could not
// record it.
func TestStaleStoreAmidMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &beforeCommit{Store: w.store}
	store.do = func(handover.Lease) {} // of the commit that decides
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	e := w.engine(unhurried, func(o *engine.Options) { o.Store, o.EchoGrace = store, 300*time.Millisecond })
	w.run(e)
	w.accept(text("two"))
	<-w.graph.begun
	id := effectOf(w, 0)
	store.once = sync.Once{}
	store.do = func(l handover.Lease) {
		if _, err := w.store.Commit(t.Context(), handover.Commit{Lease: l, Echoed: []string{"other"}}); err != nil {
			t.Error(err)
		}
	}
	w.accept(text("hours"))
	w.eventually("it is loaded anew", func() bool { return e.Stats().Reloaded == 1 })
	close(w.graph.hold)
	w.eventually("what was on its way arrives", func() bool { return len(w.graph.texts()) > 0 })
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + id})
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

// givenBack counts the partitions that were given back.
type givenBack struct {
	engine.Store

	released atomic.Int64
}

func (g *givenBack) Release(ctx context.Context, l handover.Lease, clean bool) error {
	defer g.released.Add(1)
	return g.Store.Release(ctx, l, clean)
}

// A stop lets the message end that is on its way, and leaves those behind it to the
// next owner.
func TestStopAmidMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	store := &givenBack{Store: w.store}
	stop := w.start(unhurried, func(o *engine.Options) { o.Store = store })
	last := text("hours")
	last.MID = "m_last"
	w.accept(text("two"), last)
	w.handled("message:m_last")
	<-w.graph.begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	w.eventually("the stop has begun", func() bool { return store.released.Load() == 7 }) // all but Ann's
	close(w.graph.hold)
	<-stopped
	w.wantTexts("one of two")
	w.start()
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

// What was given ahead is forgotten with its thread.
func TestDeletedAmidMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(unhurried)
	w.accept(text("two"), text("hours"))
	<-w.graph.begun
	w.order(engine.OrderDelete)
	w.eventually("the thread is forgotten", func() bool {
		pending, err := w.store.Outbox(t.Context(), messenger.ThreadKey{Page: page, PSID: ann}.Partition(8))
		return err == nil && len(pending) == 0
	})
	close(w.graph.hold)
	w.accept(text("hello")) // it begins anew
	w.called("answer", "ok", 1)
	if got, want := w.graph.texts(), []string{"one of two", "Hi! Ask away."}; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("said %q, want %q", got, want)
	}
}

// unloadable is a store that cannot load threads for a while.
type unloadable struct {
	engine.Store

	on      atomic.Bool
	refused atomic.Int64
}

func (u *unloadable) Load(ctx context.Context, partition int, threads []string) ([][]byte, error) {
	if u.on.Load() {
		u.refused.Add(1)
		return nil, errDead
	}
	return u.Store.Load(ctx, partition, threads)
}

// How a call ended is not forgotten where a turn cannot load the threads that it needs
// beside.
func TestResultOutlivesATurnThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &unloadable{Store: w.store}
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	e := w.engine(unhurried, func(o *engine.Options) { o.Store, o.Renew = store, 15*time.Second })
	w.run(e)
	w.accept(text("hours"))
	<-w.graph.begun
	w.eventually("no turn is under way", func() bool { return len(e.Turning()) == 0 })
	store.on.Store(true)
	w.accept(from(w.neighbour(ann), text("hours")))
	w.eventually("a turn fails", func() bool { return store.refused.Load() > 0 })
	close(w.graph.hold)
	w.eventually("it is said", func() bool { return len(w.graph.texts()) == 1 })
	before, began := store.refused.Load(), e.Turning()
	w.eventually("two more turns fail", func() bool { return store.refused.Load() > before+1 })
	if still := e.Turning(); len(still) != 1 || !slices.Equal(still, began) {
		t.Errorf("turns are under way since %d and, after two more attempts, %d; want one, since its first attempt", began, still)
	}
	store.on.Store(false)
	w.called("answer", "ok", 2)
	w.eventually("no turn is under way", func() bool { return len(e.Turning()) == 0 })
}
