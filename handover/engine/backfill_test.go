package engine_test

import (
	"testing"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/graph"
)

// found is an event as it is found in a conversation, said so long ago.
func found(ev messenger.Event, ago time.Duration) messenger.Event {
	ev.Backfilled, ev.At = true, time.Now().Add(-ago).UTC().Truncate(time.Second)
	return ev
}

// What is found is answered while it is fresh, unless the Page has spoken since.
func TestFoundMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	answered := found(text("when are your hours?"), time.Minute)
	answered.Answered = true
	events := []messenger.Event{
		found(text("human"), 20*time.Minute), found(text("what hours?"), 6*time.Minute), answered, found(text("two"), 4*time.Minute),
	}
	w.accept(events...)
	for i, notes := range []string{"found too late to answer", "found too late to answer", "found too late to answer", "rule two"} {
		l := w.handled(events[i].ID)
		if len(l.Notes) != 2 || l.Notes[0] != "found in the conversation" || l.Notes[1] != notes {
			t.Errorf("event %d: notes %q, want that it was found, and %q", i, l.Notes, notes)
		}
	}
	w.called("answer", "ok", 2)
	w.wantTexts("one of two", "two of two")
	// The same questions, delivered as late: Meta is who was slow.
	late := text("what hours?")
	late.At = events[1].At
	w.accept(late)
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

// An agent who is found mutes the bot, as the echo would have, and what was asked
// before them is not answered any more.
func TestFoundAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := found(messenger.Event{Kind: messenger.KindEcho, Text: "an agent's words"}, time.Minute)
	w.accept(found(text("what hours?"), 2*time.Minute), agent)
	w.start()
	w.moved(handover.Human, handover.CauseAgentSpoke)
	silent := text("thanks")
	w.accept(standby(silent))
	w.until("silence", func(l engine.Line) bool { return len(l.Notes) == 1 && l.Notes[0] == "people have the thread" })
	w.wantTexts()
	state, _, _, _, err := w.store.Thread(t.Context(), messenger.ThreadKey{Page: page, PSID: ann})
	if err != nil {
		t.Fatal(err)
	}
	th, err := engine.UnmarshalThread(state)
	if want := agent.At.Add(w.rules.TimeLimit); err != nil || !th.State.Deadline.Equal(want) {
		t.Errorf("the limit ends %v, %v, want %v: it counts from the agent's words", th.State.Deadline, err, want)
	}
}

// What we sent is known for ours by its mid, however the call began.
func TestSentIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 500, Code: 2}) // nothing was sent
	w.accept(text("two"))
	w.called("answer", "ok", 2)
	w.accept(text("human"))
	w.called("say_and_pass", "ok", 1)
	for n, mid := range []messenger.MessageID{"m_out_1", "m_out_2", "m_out_3"} {
		ours := found(messenger.Event{Kind: messenger.KindEcho, MID: mid}, 0)
		mark := from(messenger.PSID("700000000000010"+string(rune('0'+n))), text("hello"))
		w.accept(ours)
		w.accept(mark)
		w.called("answer", "ok", 3+n)
	}
	w.wantNoEchoes()
}

// What was said while it was found is ours as well: how its call ended is told in the
// same turn, and stands in no history yet.
func TestJustSentIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &unloadable{Store: w.store}
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(unhurried, func(o *engine.Options) { o.Store = store })
	w.accept(text("hours"))
	<-w.graph.begun
	store.on.Store(true)
	w.accept(from(w.neighbour(ann), text("hours"))) // holds the turn up
	w.eventually("a turn fails", func() bool { return store.refused.Load() > 0 })
	w.accept(found(messenger.Event{Kind: messenger.KindEcho, MID: "m_out_1"}, 0))
	close(w.graph.hold)
	w.eventually("it is said", func() bool { return len(w.graph.texts()) == 1 })
	before := store.refused.Load()
	w.eventually("two more turns fail", func() bool { return store.refused.Load() > before+1 })
	store.on.Store(false)
	w.called("answer", "ok", 2)
	w.wantNoEchoes()
}

// Of what was said before a history begins nobody knows who did: it is old, and changes
// nothing. An agent's words are known by what comes after.
func TestFoundBeforeTheHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	short, err := redisstore.New(w.rdb, redisstore.Options{Partitions: 8, HistoryCap: 4})
	if err != nil {
		t.Fatal(err)
	}
	w.start(func(o *engine.Options) { o.Store = short })
	for n := range 3 {
		w.accept(text("hours"))
		w.called("answer", "ok", n+1)
	}
	w.accept(found(messenger.Event{Kind: messenger.KindEcho, MID: "m_out_1"}, time.Minute))
	w.accept(text("two"))
	w.called("answer", "ok", 5)
	w.wantNoEchoes()
	w.accept(found(messenger.Event{Kind: messenger.KindEcho, MID: "m_agents"}, -time.Second))
	w.moved(handover.Human, handover.CauseAgentSpoke)
}

// A history that is short since little has happened is no such history.
func TestFoundBeforeTheFirstLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.accept(found(messenger.Event{Kind: messenger.KindEcho, MID: "m_agents"}, time.Minute))
	w.moved(handover.Human, handover.CauseAgentSpoke)
}

// wantNoEchoes fails where our own words were taken for somebody's.
func (w *world) wantNoEchoes() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if l.What == string(messenger.KindEcho) {
			w.t.Errorf("our own words were taken for somebody's: %+v", l)
		}
	}
}

// Of all replicas one is responsible for a Page, and none that stops.
func TestResponsible(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replica := func() (e *engine.Engine, stop func()) {
		e, err := engine.New(w.options())
		if err != nil {
			t.Fatal(err)
		}
		return e, w.run(e)
	}
	one, stopOne := replica()
	two, stopTwo := replica()
	agreed := func() (first bool) {
		t.Helper()
		w.eventually("somebody is responsible", func() bool {
			first = one.Responsible(page)
			second := two.Responsible(page)
			if first && second && one.Responsible(page) {
				t.Error("both are responsible")
			}
			return first || second
		})
		return first
	}
	if agreed() {
		stopOne()
	} else {
		stopTwo()
		one, two = two, one
	}
	if agreed() || one.Responsible(page) {
		t.Error("who has stopped is responsible")
	}
}
