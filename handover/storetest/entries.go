//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
)

func duplicatesAreStoredOnce(t *testing.T, b *bench) {
	key := threadIn(3, 0)
	b.append(t, key, "a", "b", "a")
	b.append(t, key, "b", "c")
	wantEqual(t, "stored events", b.mids(t, 3), []string{"a", "b", "c"})

	// What was consumed is a duplicate still.
	lease := b.acquire(t, 3, "owner")
	b.consume(t, &lease)
	b.append(t, key, "a", "c", "d")
	wantEqual(t, "stored events after the first were consumed", b.mids(t, 3), []string{"d"})
}

// Meta may deliver the same to several replicas at once.
func concurrentDuplicatesAreStoredOnce(t *testing.T, b *bench) {
	key := threadIn(5, 0)
	mids := numbered("m", 20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := b.Append(t.Context(), messages(key, mids...)); err != nil {
				t.Errorf("Append() = %v", err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "stored events", b.mids(t, 5), mids)
}

// An id is known for as long as the horizon at least, and twice as long at most,
// whenever in that time it came.
func duplicatesAreKnownUntilTheHorizon(t *testing.T, b *bench) {
	key := threadIn(7, 0)
	lease := b.acquire(t, 7, "owner")
	ids := []string{"first", "early", "late"}
	for i, id := range ids {
		if i > 0 {
			b.pass(t, lease, Horizon/3)
		}
		b.append(t, key, id)
		b.consume(t, &lease)
	}
	b.pass(t, lease, Horizon/3-time.Minute)
	b.append(t, key, ids...)
	wantEqual(t, "stored events within the horizon of the first", b.mids(t, 7), []string{})
	b.pass(t, lease, Horizon/3)
	b.append(t, key, ids[1:]...)
	wantEqual(t, "stored events within the horizon of the second", b.mids(t, 7), []string{})
	b.pass(t, lease, Horizon/3)
	b.append(t, key, ids[2:]...)
	wantEqual(t, "stored events within the horizon of the last", b.mids(t, 7), []string{})
	b.append(t, key, "much later")
	b.consume(t, &lease)
	b.pass(t, lease, Horizon/2)
	b.append(t, key, "much later")
	wantEqual(t, "stored events within the horizon of the one after them", b.mids(t, 7), []string{})
	b.consume(t, &lease)
	b.pass(t, lease, 2*Horizon)
	b.append(t, key, ids...)
	wantEqual(t, "stored events long after the horizon of all", b.mids(t, 7), ids)
}

func entriesKeepTheirOrderAndContent(t *testing.T, b *bench) {
	one, two := threadIn(9, 0), threadIn(9, 1)
	events := []messenger.Event{message(one, "a"), message(two, "b"), message(one, "c")}
	must(t, b.Append(t.Context(), events))
	b.append(t, two, "d")
	events = append(events, message(two, "d"))

	batch := b.read(t, 9, 100)
	entries := news(batch.Entries)
	wantEqual(t, "number of entries", len(entries), len(events))
	var ids []string
	for i, e := range entries {
		want, err := events[i].Marshal()
		must(t, err)
		wantEqual(t, "entry "+e.ID, e.Body, string(want))
		wantEqual(t, "kind of entry "+e.ID, e.Kind, handover.EntryEvent)
		if age := batch.Now.Sub(e.At); age < 0 || age > time.Hour {
			t.Errorf("entry %s was accepted at %v, %v before %v, want the store's clock", e.ID, e.At, age, batch.Now)
		}
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	wantEqual(t, "different ids", len(slices.Compact(ids)), len(events))
}

func aThousandEvents(t *testing.T, b *bench) {
	keys := make([]messenger.ThreadKey, 64)
	for i := range keys {
		keys[i] = threadIn(i, 0)
	}
	events := make([]messenger.Event, 1000)
	want := make([][]string, Partitions)
	for i := range events {
		key := keys[i%len(keys)]
		events[i] = message(key, fmt.Sprint("m", i))
		p := key.Partition(Partitions)
		want[p] = append(want[p], fmt.Sprint("m", i))
	}
	must(t, b.Append(t.Context(), events))
	must(t, b.Append(t.Context(), events)) // Meta saw no answer
	for p := range Partitions {
		wantEqual(t, fmt.Sprint("events in partition ", p), b.mids(t, p), want[p])
	}
}

// Without an id all such events would be duplicates of each other.
func anEventWithoutIDIsRefused(t *testing.T, b *bench) {
	key := threadIn(11, 0)
	good, bad := message(key, "a"), message(key, "b")
	bad.ID = ""
	if err := b.Append(t.Context(), []messenger.Event{good, bad}); err == nil {
		t.Error("Append() = nil, want an error for an event without id")
	}
	if err := b.Command(t.Context(), key, "", []byte("{}")); err == nil {
		t.Error("Command() = nil, want an error for a command without id")
	}
	wantEqual(t, "stored events", b.mids(t, 11), []string{})
	must(t, b.Append(t.Context(), nil))
}

func commandsAreStoredOnce(t *testing.T, b *bench) {
	key := threadIn(13, 0)
	b.append(t, key, "a")
	body := []byte(`{"command":"take"}`)
	must(t, b.Command(t.Context(), key, "message:b", body)) // no clash with the event of this id
	must(t, b.Command(t.Context(), key, "message:b", body))
	b.append(t, key, "b")

	var kinds []handover.EntryKind
	for _, e := range news(b.read(t, 13, 100).Entries) {
		kinds = append(kinds, e.Kind)
		if e.Kind == handover.EntryCommand {
			wantEqual(t, "command", e.Body, string(body))
		}
	}
	wantEqual(t, "entries", kinds, []handover.EntryKind{handover.EntryEvent, handover.EntryCommand, handover.EntryEvent})
}

func readingIsBounded(t *testing.T, b *bench) {
	mids := numbered("m", 10)
	b.append(t, threadIn(15, 0), mids...)
	first := b.read(t, 15, 4).Entries
	wantEqual(t, "entries of a bounded read", len(first), 4)
	if ev, err := messenger.UnmarshalEvent(first[3].Body); err != nil || string(ev.MID) != mids[3] {
		t.Errorf("fourth entry = %s, %v, want %s", ev.MID, err, mids[3])
	}
	clock := b.read(t, 15, 0)
	wantEqual(t, "entries of a read of none", len(clock.Entries)+len(clock.Due), 0)
	if clock.Now.IsZero() {
		t.Error("a read of none does not tell the time")
	}
}

func consumedEntriesAreGone(t *testing.T, b *bench) {
	key := threadIn(17, 0)
	lease := b.acquire(t, 17, "owner")
	b.append(t, key, "a", "b", "c")
	entries := b.read(t, 17, 100).Entries
	done := b.commit(t, &lease, handover.Commit{Consumed: entries[:2]})
	wantEqual(t, "entries left after two were consumed", done.Left, true)
	wantEqual(t, "events after two were consumed", b.mids(t, 17), []string{"c"})
	done = b.commit(t, &lease, handover.Commit{})
	wantEqual(t, "entries left after a commit that consumes none", done.Left, true)
	wantEqual(t, "events after a commit that consumes none", b.mids(t, 17), []string{"c"})
	done = b.commit(t, &lease, handover.Commit{Consumed: entries[2:]})
	wantEqual(t, "entries left after all were consumed", done.Left, false)
	wantEqual(t, "events after all were consumed", b.mids(t, 17), []string{})

	b.append(t, key, "d") // to an emptied stream
	wantEqual(t, "events after one more", b.mids(t, 17), []string{"d"})
	many := numbered("m", 2500)
	b.append(t, key, many...)
	b.consume(t, &lease)
	b.append(t, key, many...)
	wantEqual(t, "events after a repeat of many", b.mids(t, 17), []string{})
}

// An owner reads until nothing is left, so one announcement is enough until then.
func newEntriesAreAnnounced(t *testing.T, b *bench) {
	next := b.listen(t)
	b.append(t, threadIn(19, 0), "a")
	expect(t, next, 19)
	b.append(t, threadIn(19, 0), "b")
	b.append(t, threadIn(20, 0), "c")
	expect(t, next, 20)               // and nothing for b
	b.append(t, threadIn(19, 0), "a") // a duplicate is nothing new
	must(t, b.Command(t.Context(), threadIn(21, 0), "x", []byte("{}")))
	expect(t, next, 21)
}

// The owner is told in its own process, of whatever comes.
func newEntriesOfOnesOwnAreAnnounced(t *testing.T, b *bench) {
	lease := b.acquire(t, 19, "owner")
	next := b.listen(t)
	b.append(t, threadIn(19, 0), "a")
	expect(t, next, 19)
	b.append(t, threadIn(19, 0), "b", "c")
	expect(t, next, 19)
	b.consume(t, &lease)
	b.append(t, threadIn(19, 0), "a")
	expect(t, next, 19)
	must(t, b.Release(t.Context(), lease, true))
	expect(t, next, 19) // of the release
	b.append(t, threadIn(19, 0), "d")
	expect(t, next) // as some wait already
	b.append(t, threadIn(20, 0), "e")
	expect(t, next, 20)
}
