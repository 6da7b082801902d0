package engine_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/simulator"
)

// Where Meta takes no more calls, none of the replicas makes one until it does

// again. Then all is said, once and in order.
func TestLimitStopsThePageForAllReplicas(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		first, _ := w.serve()
		second, _ := w.serve()
		pass(2 * time.Minute) // they share the partitions
		w.metas[page].FailNext("", simulator.Failure{Code: 80006, For: 10 * time.Minute})
		w.says(page, person(30), "hours")
		pass(time.Second)
		for n := range 30 {
			w.says(page, person(n), "two")
		}
		w.says(other, person(0), "hours")
		pass(9 * time.Minute)
		if n := w.calls(page); n != 1 {
			t.Errorf("while Meta takes no calls it got %d, want the one that it refused", n)
		}
		w.wantHeard(other, person(0), openHours)
		for _, e := range []*engine.Engine{first, second} {
			s := e.Status()
			if len(s) != 2 || s[0].Page != page || s[0].State != engine.Limited || s[0].Until.IsZero() || !strings.Contains(s[0].Reason, "80006") || s[1].State != engine.Open {
				t.Errorf("Status() = %+v, want the first Page limited", s)
			}
		}
		pass(3 * time.Minute)
		w.wantHeard(page, person(30), openHours)
		for n := range 30 {
			w.wantHeard(page, person(n), "one of two", "two of two")
		}
		for _, e := range []*engine.Engine{first, second} {
			if s := e.Status()[0]; s.State != engine.Open || !s.Since.IsZero() || s.Reason != "" {
				t.Errorf("Status() = %+v, want it open", s)
			}
		}
		if began, ended := w.logged("warn", "wait in the outbox"), w.logged("info", "go on"); len(began) != 2 || len(ended) != 2 {
			t.Errorf("the log tells of beginnings %q and ends %q, want one of each replica", began, ended)
		}
	})
}

// A replica that comes while the Page is paused keeps to the pause.
func TestPauseOutlivesItsReplica(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		_, stop := w.serve()
		w.metas[page].FailNext("", simulator.Failure{Code: 613, For: 20 * time.Minute})
		w.says(page, person(0), "hours")
		pass(time.Second)
		stop()
		w.serve()
		w.says(page, person(1), "hours")
		pass(15 * time.Minute)
		if n := w.calls(page); n != 1 {
			t.Errorf("while Meta takes no calls it got %d, want 1", n)
		}
		pass(10 * time.Minute)
		w.wantHeard(page, person(0), openHours)
		w.wantHeard(page, person(1), openHours)
	})
}

// Where Meta does not say for how long, the pauses grow, and one call at a time

// shows whether they are over.
func TestPausesGrow(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		w.metas[page].FailNext("", simulator.Failure{Status: http.StatusTooManyRequests, Body: "slow down", For: time.Hour})
		for n := range 50 {
			w.says(page, person(n), "hours")
		}
		pass(time.Second)
		burst := w.calls(page)
		pass(10 * time.Minute)
		if n := w.calls(page) - burst; n < 3 || n > 5 { // after 30 s, 1 min, 2 min, 4 min, …
			t.Errorf("in ten minutes %d calls were tried, want 4", n)
		}
		pass(49 * time.Minute)
		before := w.calls(page)
		pass(20 * time.Minute)
		if n := w.calls(page) - before; n < 50 {
			t.Errorf("once Meta takes calls again, %d are made, want all 50", n)
		}
		for n := range 50 {
			w.wantHeard(page, person(n), openHours)
		}
	})
}

// Graph is down: after a few calls only a ping is made now and then. Nothing is

// given up, and once Graph is back all is said, once.
func TestGraphDownForAnHour(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e, _ := w.serve()
		w.metas[page].FailNext("", simulator.Failure{Cut: true, For: time.Hour})
		const people = 40
		for n := range people {
			w.says(page, person(n), "two")
			pass(time.Second)
		}
		w.says(page, person(people), "human")
		pass(time.Minute)
		if s := e.Status()[0]; s.State != engine.Unreachable || s.Waiting == 0 {
			t.Errorf("Status() = %+v, want it unreachable, and calls that wait", s)
		}
		if n := w.calls(page, simulator.EdgeMessages); n > 6 {
			t.Errorf("%d messages were tried, want about 5", n)
		}
		pings := w.calls(page, simulator.EdgePage)
		pass(50 * time.Minute)
		if n := w.calls(page, simulator.EdgePage) - pings; n < 150 || n > 280 {
			t.Errorf("in 50 minutes Graph was pinged %d times, want about 200", n)
		}
		if n := w.calls(page, simulator.EdgeMessages); n > 6 {
			t.Errorf("%d messages were tried while Graph was down, want about 5", n)
		}
		w.says(other, person(0), "hours")
		pass(time.Second)
		w.wantHeard(other, person(0), openHours)
		pass(15 * time.Minute)
		for n := range people {
			w.wantHeard(page, person(n), "one of two", "two of two")
		}
		w.wantHeard(page, person(people), passingOn)
		if owner, _ := w.metas[page].Owner(person(people)); owner != "263902037430900" {
			t.Errorf("who asked for a person has %q, want the inbox", owner)
		}
		if began, ended := w.logged("warn", "wait in the outbox"), w.logged("info", "go on"); len(began) != 1 || len(ended) != 1 {
			t.Errorf("the log tells of beginnings %q and ends %q, want one of each", began, ended)
		}
	})
}

// What Meta has a code for was answered: it does not look as if Graph were down.
func TestRefusalsAreAnswers(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e, _ := w.serve()
		w.metas[page].FailNext(simulator.EdgeMessages, simulator.Failure{Code: 551, Times: 20})
		for n := range 20 {
			w.says(page, person(n), "hours")
		}
		pass(time.Second)
		if s := e.Status()[0]; s.State != engine.Open {
			t.Errorf("Status() = %+v, want it open", s)
		}
		w.says(page, person(0), "hours")
		pass(time.Second)
		w.wantHeard(page, person(0), openHours)
	})
}

// A dead token stops its own Page, with one alarm. A cheap read finds out that it

// A day with a dead token: what the bot had to say is not said any more, with a

// Who asks for a person does not wait behind a crowd that wants answers.
func TestHandoffGoesBeforeACrowd(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve(func(o *engine.Options) { o.SendRate = 1 })
		const people = 60
		for n := range people {
			w.says(page, person(n), "hours")
		}
		pass(time.Second)
		w.says(page, person(people), "human")
		pass(3 * time.Second)
		w.wantHeard(page, person(people), passingOn)
		pass(20 * time.Second)
		if n := w.calls(page, simulator.EdgeMessages); n < 20 || n > 28 {
			t.Errorf("%d messages were sent in 24 s, want one a second", n)
		}
		pass(time.Minute)
		for n := range people {
			w.wantHeard(page, person(n), openHours)
		}
	})
}

// After the rate allows no more, threads take turns: one that has much to say does

// not keep the others waiting.
func TestThreadsTakeTurns(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve(func(o *engine.Options) { o.SendRate = 1 })
		for range 20 {
			w.says(page, person(0), "two")
		}
		pass(time.Second)
		for n := range 5 {
			w.says(page, person(n+1), "hours")
		}
		pass(12 * time.Second)
		for n := range 5 {
			w.wantHeard(page, person(n+1), openHours)
		}
		pass(time.Minute)
		if got := w.heard(page, person(0)); len(got) != 40 || slices.Contains(got[:1], "two of two") {
			t.Errorf("%d answers, want 40, in order", len(got))
		}
		for i, text := range w.heard(page, person(0)) {
			if want := []string{"one of two", "two of two"}[i%2]; text != want {
				t.Errorf("answer %d is %q, want %q", i, text, want)
			}
		}
	})
}

// An answer that could not be said is not said amid another conversation: when the

// customer has written again, only what is young is.
func TestLateAnswersAreDropped(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		w.metas[page].RevokeToken()
		w.says(page, person(0), "two")
		w.says(page, person(1), "two")
		w.says(page, person(2), "human")
		pass(2 * time.Minute)
		w.says(page, person(2), "hello")
		pass(7 * time.Minute)
		w.says(page, person(0), "hours")
		pass(2 * time.Minute)
		if dropped := w.outcomes(person(0), "expired: the customer has written again"); !slices.Equal(dropped, []string{"answer"}) {
			t.Errorf("dropped: %q, want the first answer", dropped)
		}
		w.says(page, person(3), "two")
		pass(time.Minute)
		w.says(page, person(3), "hours")
		pass(time.Minute)
		if dropped := w.outcomes(person(3), "expired"); len(dropped) > 0 {
			t.Errorf("dropped: %q of who has written twice within a minute", dropped)
		}
		w.metas[page].Heal()
		pass(10 * time.Minute)
		w.wantHeard(page, person(0), openHours)
		w.wantHeard(page, person(1), "one of two", "two of two") // she has not written again
		w.wantHeard(page, person(2), passingOn)
	})
}

// A stop does not wait for calls that wait for their turn: they are the next

// owner's.
func TestStopDoesNotWaitForAPause(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		_, stop := w.serve()
		w.metas[page].RevokeToken()
		for n := range 20 {
			w.says(page, person(n), "hours")
		}
		pass(time.Minute)
		before := time.Now()
		stop()
		if took := time.Since(before); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
		w.metas[page].Heal()
		w.serve()
		for n := range 20 {
			w.wantHeard(page, person(n), openHours)
		}
	})
}

// Who takes the thread meanwhile has it: what waits for its turn is not said.
func TestAgentSpeaksDuringAPause(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		w.metas[page].RevokeToken()
		w.says(page, person(0), "hours")
		pass(time.Minute)
		if _, err := w.metas[page].Agent().Replies(person(0), "Hello, this is Eve."); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		_, pending, err := w.backlog()
		if err != nil || pending != 0 {
			t.Errorf("%d calls are pending, %v, want none", pending, err)
		}
		w.metas[page].Heal()
		pass(10 * time.Minute)
		w.wantHeard(page, person(0))
	})
}

func (w *town) backlog() (entries, effects int64, err error) { return w.store.Backlog(w.t.Context()) }

// Words whose echo comes while their handoff waits for its turn are not said again.
func TestEchoDuringAPause(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		g := &recorder{owner: app}
		w.serve(func(o *engine.Options) {
			p := o.Pages[page]
			p.Graph = g
			o.Pages[page] = p
		})
		g.failNext(unknown(), &graph.Error{Edge: "messages", Status: 401, Code: 190})
		accept := func(ev messenger.Event) {
			ev.MID = messenger.MessageID("m_" + ev.Text)
			ev.ID, ev.At = string(ev.Kind)+":"+string(ev.MID), time.Now()
			if err := w.store.Append(w.t.Context(), []messenger.Event{ev}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		accept(from(ann, text("human")))
		accept(from(bob, text("hours")))
		pass(20 * time.Second) // until the echo is waited for no longer
		_, _, pending, _, err := w.store.Thread(w.t.Context(), messenger.ThreadKey{Page: page, PSID: ann})
		if err != nil || len(pending) != 1 {
			t.Fatalf("%q are pending, %v, want the handoff", pending, err)
		}
		f, err := engine.UnmarshalPending(pending[0])
		if err != nil {
			t.Fatal(err)
		}
		accept(from(ann, messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + f.ID, Text: "echo"}))
		pass(5 * time.Minute)
		said := count(g.log(), "send "+string(ann))
		if passed := count(g.log(), "pass "); said != 1 || passed != 1 {
			t.Errorf("calls = %q, want the words of the handoff once, and then the pass", g.log())
		}
	})
}

// What waits for its turn is forgotten with its thread.
func TestDeletedDuringAPause(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e, _ := w.serve()
		w.metas[page].RevokeToken()
		w.says(page, person(0), "hours")
		pass(time.Minute)
		key := messenger.ThreadKey{Page: page, PSID: person(0)}
		body, err := engine.Order{ID: "d", Thread: key.String(), Command: engine.OrderDelete}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store.Command(w.t.Context(), key, "d", body); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if s := e.Status()[0]; s.Waiting != 0 {
			t.Errorf("Status() = %+v, want nobody waiting", s)
		}
		w.metas[page].Heal()
		pass(10 * time.Minute)
		w.wantHeard(page, person(0))
	})
}

// A partition that must be loaded anew does not wait for one Page's pause.
func TestStaleStoreDuringAPause(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		paused := messenger.ThreadKey{Page: page, PSID: person(0)}
		beside := messenger.ThreadKey{Page: other, PSID: person(0)}
		for n := 0; beside.Partition(16) != paused.Partition(16); n++ {
			beside.PSID = person(n)
		}
		store := &beforeCommit{Store: w.store}
		store.do = func(handover.Lease) {} // of the commit that decides the first answer
		w.serve(func(o *engine.Options) { o.Store = store })
		w.metas[page].RevokeToken()
		w.says(page, paused.PSID, "hours")
		pass(time.Minute)
		store.once = sync.Once{}
		store.do = func(l handover.Lease) {
			if _, err := w.store.Commit(w.t.Context(), handover.Commit{Lease: l, Echoed: []string{"other"}}); err != nil {
				t.Error(err)
			}
		}
		w.says(other, beside.PSID, "hours")
		pass(10 * time.Second)
		w.wantHeard(other, beside.PSID, openHours)
		w.metas[page].Heal()
		pass(10 * time.Minute)
		w.wantHeard(page, paused.PSID, openHours)
	})
}
