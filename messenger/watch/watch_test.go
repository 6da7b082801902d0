package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/watch"
)

// An hour without Redis: Meta unsubscribes us. When Redis is back we subscribe
// again and find what was missed: an old question counts, a fresh one is answered,
// an agent's words keep the bot quiet, our own do not.
func TestAnHourOfFailures(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		t := w.t
		one, _ := w.serve()
		w.serve()
		pass(time.Minute)
		w.wantSights()
		w.DropEchoesOf(func(l simulator.Line) bool { return l.Text == "Hi!" })
		w.says(ann, "hello")
		w.says(carl, "what hours?")
		pass(10 * time.Second)

		w.redis.SetError("ERR out of order")
		w.says(bob, "what hours?")
		pass(6 * time.Minute)
		w.wantSights(watch.NotStored, watch.NotStored) // deliveries went to both
		if err := w.Wait(t.Context(), func() bool { _, lapsed := w.Subscribed(app); return lapsed }); err != nil {
			t.Fatal(err)
		}
		w.replies(carl, "I can tell you more.")
		pass(10 * time.Minute)
		w.says(ann, "what hours?")
		pass(10 * time.Minute)
		w.replies(ann, "nobody answers here, so I do")
		w.says(dora, "which hours?")
		pass(2 * time.Minute)
		looks := w.calls("GET", simulator.EdgeSubscribedApps)

		w.redis.SetError("")
		pass(2 * time.Minute)
		w.wantSights(watch.Unsubscribed, watch.Resubscribed, watch.Backfilled)
		w.wantCalls("POST", simulator.EdgeSubscribedApps, 1)
		w.wantCalls("GET", simulator.EdgeSubscribedApps, looks+1)
		w.wantCalls("GET", simulator.EdgeConversations, 1)
		if fields, _ := w.Subscribed(app); !slices.Equal(fields, needed()) {
			t.Errorf("subscribed to %q, want %q", fields, needed())
		}
		w.wantHeard(bob) // too old
		w.wantHeard(dora, "From nine to five.")
		w.wantPhase(bob, handover.Bot)
		w.wantPhase(carl, handover.Human)
		w.wantPhase(ann, handover.Human)
		w.says(carl, "which hours?")
		w.says(bob, "what hours?")
		w.says(dora, "what hours?")
		pass(time.Minute)
		w.wantHeard(carl, "From nine to five.") // the agent has the thread
		w.wantHeard(bob, "From nine to five.")
		w.wantHeard(dora, "From nine to five.", "From nine to five.")

		pass(20 * time.Minute)
		w.wantSights()
		w.wantCalls("GET", simulator.EdgeConversations, 1)
		s := one.Status()[0]
		if s.Page != page || time.Since(s.Subscribed) > 6*time.Minute || time.Since(s.Delivered) > 23*time.Minute || !s.Missed.IsZero() || len(s.Alarms) > 0 {
			t.Errorf("status = %+v, want that all is well", s)
		}
	})
}

// What we said ourselves is not an agent's, though no echo of it ever came.
func TestOurOwnWordsAreKnown(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		pass(time.Minute)
		w.DropEchoes(1)
		w.says(ann, "hello")
		w.says(bob, "human")
		pass(10 * time.Second)
		w.unsubscribe()
		pass(10 * time.Minute)
		w.wantSights(watch.Unsubscribed, watch.Resubscribed, watch.Backfilled)
		w.wantPhase(ann, handover.Bot)
		w.wantPhase(bob, handover.Waiting)
		w.wantHeard(ann, "Hi!")
	})
}

// What we say while it is looked for what was missed is known for ours before it can
// be found, though Meta's answer takes its time.
func TestWhatIsBeingSaid(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		t := w.t
		watcher, _ := w.serve()
		pass(time.Minute)
		w.says(ann, "hello")
		pass(30 * time.Second)
		w.DropEchoes(1)
		w.api("POST", "subscribed_apps?subscribed_fields=messages") // a part is missing, and all is delivered
		next := watcher.Status()[0].Subscribed.Add(5 * time.Minute)
		pass(time.Until(next) - 3*time.Second)
		w.slow.Store(true)
		w.says(ann, "what hours?")
		if err := w.Wait(t.Context(), func() bool { return w.calls("POST", simulator.EdgeSubscribedApps) == 2 }); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(w.story(ann), "rule hours  \n") && strings.Count(w.story(ann), "answer ok") != 1 {
			t.Errorf("the send was answered before we subscribed: this test tests nothing\n%s", w.story(ann))
		}
		pass(time.Minute)
		w.wantSights(watch.Unsubscribed, watch.Resubscribed, watch.Backfilled)
		w.wantHeard(ann, "Hi!", "From nine to five.")
		w.wantPhase(ann, handover.Bot)
	})
}

// A replica that cannot store is no alarm while others can; one that is alone is.
func TestOthersStore(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		watcher, _ := w.serve()
		pass(time.Minute)
		ev := []messenger.Event{{Thread: messenger.ThreadKey{Page: page, PSID: ann}}}
		for range 20 {
			watcher.Note(ev, false)
			if err := w.store.Delivered(w.t.Context(), page, 0); err != nil { // by another
				w.t.Fatal(err)
			}
			pass(time.Minute)
		}
		w.wantSights()
		watcher.Note(ev, false)
		pass(4*time.Minute + 50*time.Second)
		w.wantSights()
		pass(20 * time.Second)
		w.wantSights(watch.NotStored)
		watcher.Note(ev, true)
		pass(20 * time.Second)
		if s := watcher.Status()[0]; len(s.Alarms) > 0 {
			w.t.Errorf("alarms %q after a delivery was stored", s.Alarms)
		}
		watcher.Note([]messenger.Event{{Thread: messenger.ThreadKey{Page: "2"}}}, false) // nobody's
	})
}

// Where there were too many calls there are none until Meta takes them again.
func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		w.says(ann, "hello")
		pass(time.Minute)
		w.FailNext(simulator.EdgeSubscribedApps, simulator.Failure{Code: 80006, For: 40 * time.Minute})
		before := w.calls("GET", simulator.EdgeSubscribedApps)
		pass(38 * time.Minute)
		w.wantCalls("GET", simulator.EdgeSubscribedApps, before+1)
		pass(7 * time.Minute)
		w.wantCalls("GET", simulator.EdgeSubscribedApps, before+2)
		w.wantSights()
	})
}

// unsubscribe takes our subscriptions away, as Meta does.
func (w *town) unsubscribe() {
	w.t.Helper()
	w.api("DELETE", "subscribed_apps")
	if fields, _ := w.Subscribed(app); len(fields) > 0 {
		w.t.Fatalf("subscribed to %q still", fields)
	}
}

// Late deliveries of what was found are duplicates, and what was delivered is not
// found: also a tap, which the conversation shows as a message.
func TestLateDeliveries(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		t := w.t
		w.serve()
		pass(time.Minute)
		w.says(ann, "hello")
		w.says(bob, "what hours?")
		if _, err := w.Customer(carl).Starts(); err == nil {
			t.Fatal("there is a button")
		}
		pass(time.Minute)
		w.api("POST", "subscribed_apps?subscribed_fields=messages,messaging_referrals") // somebody's other tool
		w.HoldDeliveries()
		w.says(ann, "what hours?")
		w.says(dora, "hello")
		pass(5 * time.Minute)
		w.wantSights(watch.Unsubscribed, watch.Resubscribed, watch.Backfilled)
		if fields, _ := w.Subscribed(app); !slices.Contains(fields, "messaging_referrals") || !slices.Contains(fields, "standby") {
			t.Errorf("subscribed to %q, want what we need beside what was there", fields)
		}
		heard := func() {
			t.Helper()
			w.wantHeard(ann, "Hi!", "From nine to five.")
			w.wantHeard(bob, "From nine to five.")
			w.wantHeard(dora, "Hi!")
		}
		heard()
		w.ReleaseDeliveries(1)
		pass(time.Minute)
		heard()
		w.wantPhase(ann, handover.Bot)
	})
}

// Where nobody has looked for an hour somebody may have subscribed us again: what
// was missed is looked for all the same.
func TestNobodyLooked(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		_, stop := w.serve()
		pass(time.Minute)
		w.says(ann, "hello")
		pass(time.Minute)
		w.wantSights()
		stop()
		w.unsubscribe()
		w.says(ann, "what hours?")
		pass(2 * time.Hour)
		w.says(bob, "what hours?")
		w.api("POST", "subscribed_apps?subscribed_fields=messages,message_echoes,messaging_handovers,standby")
		w.mu.Lock()
		w.doors = nil
		w.mu.Unlock()
		w.serve()
		pass(time.Minute)
		w.wantSights(watch.Backfilled)
		w.wantHeard(ann, "Hi!")
		w.wantHeard(bob, "From nine to five.")
	})
}

// A Page that was never watched is subscribed without a fuss, and nothing was missed.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.says(ann, "what hours?")
		w.serve()
		pass(50 * time.Minute)
		w.wantSights(watch.Resubscribed)
		w.wantCalls("GET", simulator.EdgeConversations, 0)
		w.wantCalls("GET", simulator.EdgeSubscribedApps, 4)
		w.says(ann, "what hours?")
		pass(48 * time.Minute)
		w.wantCalls("GET", simulator.EdgeSubscribedApps, 4+10) // somebody is there
		w.wantHeard(ann, "From nine to five.")
	}, func(o *simulator.Options) { o.Fields = []string{} })
}

func TestBackfillOff(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve(func(o *watch.Options) { o.Backfill = false })
		pass(time.Minute)
		w.says(ann, "hello")
		pass(time.Minute)
		w.unsubscribe()
		w.says(bob, "what hours?")
		pass(10 * time.Minute)
		w.wantSights(watch.Unsubscribed, watch.Resubscribed)
		w.wantCalls("GET", simulator.EdgeConversations, 0)
		w.wantHeard(bob)
	})
}

// A busy Page on which nothing is delivered any more is looked at within minutes,
// and is an alarm before Meta tells its developers.
func TestSilence(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		for range 70 {
			w.says(ann, "hello")
			pass(time.Minute)
		}
		w.wantSights()
		looked := w.calls("GET", simulator.EdgeSubscribedApps)
		last := time.Now()
		for w.calls("GET", simulator.EdgeSubscribedApps) < looked+1 || time.Since(last) < 4*time.Minute {
			pass(time.Second)
		}
		if took := time.Since(last); took > 10*time.Minute {
			t.Errorf("looked %v after the last delivery, want it within minutes", took)
		}
		pass(time.Minute)
		w.wantSights(watch.Silent)
		pass(20 * time.Minute)
		w.wantSights() // once
		w.says(ann, "hello")
		pass(time.Minute)
		pass(70 * time.Minute)
		w.wantSights() // what was last there is not busy
	})
}

// Where Graph refuses it is told once, and what is owed stays owed.
func TestGraphRefuses(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		t := w.t
		watcher, _ := w.serve()
		pass(time.Minute)
		w.says(ann, "hello")
		pass(time.Minute)
		w.unsubscribe()
		w.says(bob, "what hours?")
		w.FailNext(simulator.EdgeConversations, simulator.Failure{Code: 10, Status: 403}) // no pages_read_engagement
		pass(4 * time.Minute)
		w.wantSights(watch.Unsubscribed, watch.Resubscribed, watch.Unread)
		if s := watcher.Status()[0]; s.Missed.IsZero() || !slices.Contains(s.Alarms, watch.Unread) {
			t.Errorf("status = %+v, want what is owed, and the alarm", s)
		}
		w.wantHeard(bob)
		pass(6 * time.Minute)
		w.wantSights(watch.Backfilled)
		if s := watcher.Status()[0]; !s.Missed.IsZero() || len(s.Alarms) > 0 {
			t.Errorf("status = %+v, want that all is well", s)
		}

		fail := func(n int, f simulator.Failure) {
			for range n {
				w.FailNext(simulator.EdgeSubscribedApps, f)
				pass(5*time.Minute + 10*time.Second)
			}
		}
		fail(2, simulator.Failure{Code: 2, Status: 500}) // passes
		w.wantSights()
		pass(6 * time.Minute)
		fail(4, simulator.Failure{Code: 2, Status: 500}) // does not
		w.wantSights(watch.Unread)
		pass(6 * time.Minute)
		w.RevokeToken()
		pass(time.Hour)
		w.wantSights(watch.Unread)
	})
}
