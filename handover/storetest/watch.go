//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"slices"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
)

// found is a customer's message that a conversation had, and no delivery.
func found(key messenger.ThreadKey, mid string) messenger.Event {
	ev := message(key, mid)
	ev.Backfilled, ev.Aliases = true, messenger.MessageIDs(ev.MID)[1:]
	return ev
}

// A conversation does not tell a message from a tap: whichever it is, and whichever
// way it comes first, it is stored once.
func whatWasFoundIsStoredOnce(t *testing.T, b *bench) {
	key := threadIn(23, 0)
	tap := message(key, "tap")
	tap.Kind, tap.ID = messenger.KindQuickReply, string(messenger.KindQuickReply)+":tap"
	must(t, b.Append(t.Context(), []messenger.Event{tap, message(key, "text")}))
	events := []messenger.Event{found(key, "tap"), found(key, "new"), found(key, "text"), found(key, "other")}
	must(t, b.Append(t.Context(), events))
	must(t, b.Append(t.Context(), events))
	wantEqual(t, "stored events", b.mids(t, 23), []string{"tap", "text", "new", "other"})

	for _, id := range messenger.MessageIDs("new") {
		late := message(key, "new")
		late.ID = id
		must(t, b.Append(t.Context(), []messenger.Event{late}))
	}
	wantEqual(t, "stored events after late deliveries", b.mids(t, 23), []string{"tap", "text", "new", "other"})
}

// watch returns what is known of the deliveries of a Page.
func (b *bench) watch(t *testing.T, page messenger.PageID) handover.Watch {
	t.Helper()
	w, err := b.Watch(t.Context(), page)
	must(t, err)
	if w.Now.IsZero() {
		t.Error("a watch does not tell the time")
	}
	return w
}

// The minutes in which deliveries came are known, whichever process tells of them
// and in whichever order, and are no more than 64.
func deliveriesAreNoted(t *testing.T, b *bench) {
	w := b.watch(t, page)
	if len(w.Seen) > 0 || !w.Whole.IsZero() || !w.Owed.IsZero() {
		t.Errorf("of a new Page there is known %+v", w)
	}
	for _, ago := range []time.Duration{3 * time.Hour, 10 * time.Minute, 5 * time.Minute, 5 * time.Minute, 30 * time.Minute} {
		must(t, b.Delivered(t.Context(), page, ago))
	}
	w = b.watch(t, page)
	if len(w.Seen) != 4 || !slices.IsSortedFunc(w.Seen, time.Time.Compare) {
		t.Fatalf("seen = %v, want four minutes, the oldest first", w.Seen)
	}
	for i, ago := range []time.Duration{3 * time.Hour, 30 * time.Minute, 10 * time.Minute, 5 * time.Minute} {
		if off := w.Now.Add(-ago).Sub(w.Seen[i]); off < 0 || off > time.Minute+patience {
			t.Errorf("minute %d is %v, %v before what was noted", i, w.Seen[i], off)
		}
	}
	for i := range 100 {
		must(t, b.Delivered(t.Context(), page, time.Duration(100-i)*time.Minute))
	}
	w = b.watch(t, page)
	if n := len(w.Seen); n != 64 || w.Now.Sub(w.Seen[0]) > 67*time.Minute {
		t.Errorf("%d minutes are kept, the oldest %v, want the newest 64", n, w.Now.Sub(w.Seen[0]))
	}
	must(t, b.Delivered(t.Context(), page, 24*time.Hour)) // told late
	wantEqual(t, "minutes after one that is older than all", b.watch(t, page).Seen, w.Seen)
	wantEqual(t, "minutes of another Page", len(b.watch(t, page+"0").Seen), 0)
}

func whatIsOwedStaysUntilSettled(t *testing.T, b *bench) {
	must(t, b.Whole(t.Context(), page))
	w := b.watch(t, page)
	if age := w.Now.Sub(w.Whole); age < 0 || age > patience {
		t.Errorf("found whole %v ago, want just now", age)
	}
	since := w.Now.Add(-time.Hour).Truncate(time.Millisecond)
	must(t, b.Owe(t.Context(), page, since))
	must(t, b.Owe(t.Context(), page, since.Add(time.Minute)))
	wantEqual(t, "owed since", b.watch(t, page).Owed, since)
	must(t, b.Owe(t.Context(), page, since.Add(-time.Minute)))
	wantEqual(t, "owed since, with more missed", b.watch(t, page).Owed, since.Add(-time.Minute))
	must(t, b.Settle(t.Context(), page, since))
	wantEqual(t, "owed since, with less settled than is owed", b.watch(t, page).Owed, since.Add(-time.Minute))
	must(t, b.Settle(t.Context(), page, since.Add(-time.Minute)))
	must(t, b.Settle(t.Context(), page, since.Add(-time.Minute)))
	if owed := b.watch(t, page).Owed; !owed.IsZero() {
		t.Errorf("owed since %v after it was settled", owed)
	}
}
