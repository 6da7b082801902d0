package watch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/simulator"
	"usher/messenger/watch"
)

// Who writes again while the conversations are read moves out of sight: they are
// found all the same.
func TestConversationsThatMove(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		t := w.t
		w.serve(func(o *watch.Options) { o.Every = 12 * time.Minute }) // too late to answer, which would move them all
		pass(time.Minute)
		w.says(ann, "hello")
		pass(time.Minute)
		w.unsubscribe()
		person := func(n int) messenger.PSID { return messenger.PSID(fmt.Sprintf("70000000000001%02d", n)) }
		for n := range 30 {
			w.says(person(n), "what hours?")
			pass(time.Second)
		}
		if err := w.Wait(t.Context(), func() bool { return w.calls("GET", simulator.EdgeConversations) == 1 }); err != nil {
			t.Fatal(err)
		}
		w.says(person(0), "hello") // the oldest is read last
		pass(time.Minute)
		w.wantHeard(person(0), "Hi!")
		for n := range 30 {
			if story := w.story(person(n)); !strings.Contains(story, "found in the conversation") {
				t.Errorf("the question of %d was not found:\n%s", n, story)
			}
		}
		w.wantSights(watch.Unsubscribed, watch.Resubscribed, watch.Backfilled)
	})
}

// endless is a Page with more conversations than anybody reads.
type endless struct {
	ago  time.Duration // when something was said in them
	last int           // how many there are, where there is an end
	read atomic.Int64
}

func (*endless) Subscriptions(context.Context) ([]graph.Subscription, error) {
	return []graph.Subscription{{App: app, Fields: needed()}}, nil
}

func (*endless) Subscribe(context.Context, []string) error { return errors.New("nothing is missing") }

func (e *endless) Conversations(_ context.Context, _ time.Time, limit int) iter.Seq2[graph.Conversation, error] {
	return func(yield func(graph.Conversation, error) bool) {
		for n := range min(limit, cmp.Or(e.last, limit)) {
			e.read.Add(1)
			said := []graph.Said{{MID: messenger.MessageID(fmt.Sprint("m_", n)), At: time.Now().Add(-e.ago).Truncate(time.Second)}}
			if !yield(graph.Conversation{Customer: messenger.PSID(strconv.Itoa(n + 1)), Updated: said[0].At, Messages: said}, nil) {
				return
			}
		}
	}
}

// No more is looked for than can be read in minutes, and that is told.
func TestTooMuchWasMissed(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e := endless{ago: 2 * time.Hour} // before what was missed
		w.owe()
		watcher, _ := w.serve(func(o *watch.Options) { o.Pages = map[messenger.PageID]watch.Graph{page: &e} })
		pass(time.Minute)
		w.wantSights(watch.Cut, watch.Backfilled)
		if s := watcher.Status()[0]; e.read.Load() != 5000 || !s.Missed.IsZero() {
			w.t.Errorf("%d conversations were read, and since %v more is owed; want 5000, and nothing", e.read.Load(), s.Missed)
		}
	})
}

// Who does not look after the Page any more leaves the rest to who does.
func TestAnotherTakesOver(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e := endless{ago: 30 * time.Minute}
		w.owe()
		watcher, _ := w.serve(func(o *watch.Options) {
			o.Pages = map[messenger.PageID]watch.Graph{page: &e}
			o.Responsible = func(messenger.PageID) bool { return e.read.Load() < 100 }
		})
		pass(10 * time.Minute)
		w.wantSights()
		if s := watcher.Status()[0]; e.read.Load() != 100 || s.Missed.IsZero() || len(s.Alarms) > 0 {
			w.t.Errorf("%d conversations were read, status %+v; want 100, and that the rest is owed", e.read.Load(), s)
		}
	})
}

// owe notes that the last hour was missed.
func (w *town) owe() {
	w.t.Helper()
	for _, err := range []error{w.store.Owe(w.t.Context(), page, time.Now().Add(-time.Hour)), w.store.Whole(w.t.Context(), page)} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// What cannot be stored stays owed, and is no fault of Meta's.
func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e := endless{ago: 30 * time.Minute, last: 50}
		w.owe()
		var room atomic.Bool
		watcher, _ := w.serve(func(o *watch.Options) {
			o.Pages, o.Store = map[messenger.PageID]watch.Graph{page: &e}, full{o.Store, &room}
		})
		pass(20 * time.Minute)
		w.wantSights()
		if s := watcher.Status()[0]; s.Missed.IsZero() || len(s.Alarms) > 0 || e.read.Load() > 5 {
			w.t.Errorf("%d conversations were read, status %+v; want some tries, and that all is owed", e.read.Load(), s)
		}
		room.Store(true)
		pass(6 * time.Minute)
		w.wantSights(watch.Backfilled)
	})
}

// full is a store that has no room for events.
type full struct {
	watch.Store

	room *atomic.Bool
}

func (f full) Append(ctx context.Context, events []messenger.Event) error {
	if !f.room.Load() {
		return errors.New("no room")
	}
	return f.Store.Append(ctx, events)
}

// Before it runs a Watcher wants what it cannot do without.
func TestOptions(t *testing.T) {
	t.Parallel()
	good := watch.Options{Store: full{}, App: app, Fields: needed(), Responsible: func(messenger.PageID) bool { return true }}
	for name, spoil := range map[string]func(*watch.Options){
		"store": func(o *watch.Options) { o.Store = nil }, "app": func(o *watch.Options) { o.App = "" },
		"fields": func(o *watch.Options) { o.Fields = nil }, "responsible": func(o *watch.Options) { o.Responsible = nil },
		"too_often": func(o *watch.Options) { o.Every = time.Second }, "too_seldom": func(o *watch.Options) { o.Every = time.Hour },
	} {
		o := good
		spoil(&o)
		if _, err := watch.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := watch.New(good); err != nil {
		t.Error(err)
	}
	for _, s := range watch.Sights() {
		if alarm := s != watch.Resubscribed && s != watch.Backfilled; (s.Mend() != "") != alarm {
			t.Errorf("%s: mend %q", s, s.Mend())
		}
	}
}
