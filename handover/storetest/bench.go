package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
)

const (
	page     = messenger.PageID("1000000000000001")
	leaseTTL = 20 * time.Second
	patience = 20 * time.Second // until a test gives up on what must come
)

// bench is a store under test.
type bench struct {
	Store
	Clock
}

// threadIn returns the n-th thread of partition p.
func threadIn(p, n int) messenger.ThreadKey {
	for psid := 7_000_000_000_000_000; ; psid++ {
		key := messenger.ThreadKey{Page: page, PSID: messenger.PSID(strconv.Itoa(psid))}
		if key.Partition(Partitions) != p {
			continue
		}
		if n == 0 {
			return key
		}
		n--
	}
}

// message returns an event of a thread.
func message(key messenger.ThreadKey, mid string) messenger.Event {
	return messenger.Event{
		ID: "message:" + mid, Thread: key, Kind: messenger.KindMessage, MID: messenger.MessageID(mid),
		Text: "Grüße 👋 von " + mid, At: time.Date(2026, 11, 21, 8, 0, 0, 123_000_000, time.UTC),
	}
}

func messages(key messenger.ThreadKey, mids ...string) []messenger.Event {
	events := make([]messenger.Event, len(mids))
	for i, mid := range mids {
		events[i] = message(key, mid)
	}
	return events
}

// append stores messages of a thread.
func (b *bench) append(t *testing.T, key messenger.ThreadKey, mids ...string) {
	t.Helper()
	if err := b.Append(t.Context(), messages(key, mids...)); err != nil {
		t.Fatalf("Append(%q) = %v", mids, err)
	}
}

func (b *bench) acquire(t *testing.T, p int, token string) handover.Lease {
	t.Helper()
	lease, held, err := b.Acquire(t.Context(), p, token, leaseTTL)
	if err != nil || !held {
		t.Fatalf("Acquire(%d, %q) = %v, %v, want the lease", p, token, held, err)
	}
	return lease
}

// pass lets time pass, in which the lease is renewed now and then.
func (b *bench) pass(t *testing.T, lease handover.Lease, d time.Duration) {
	t.Helper()
	const now = Horizon / 48
	for first := true; d > 0 || first; first = false {
		b.Advance(min(d, now))
		d -= now
		if _, lost, err := b.Renew(t.Context(), []handover.Lease{lease}, leaseTTL); err != nil || len(lost) > 0 {
			t.Fatalf("Renew() = %v, %v", lost, err)
		}
	}
}

// commit applies c with the lease, and moves the lease on.
func (b *bench) commit(t *testing.T, lease *handover.Lease, c handover.Commit) handover.Committed {
	t.Helper()
	c.Lease = *lease
	done, err := b.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit(%s) = %v", brief(c), err)
	}
	if want := lease.Seq + 1; done.Seq != want {
		t.Fatalf("Commit(%s) = seq %d, want %d", brief(c), done.Seq, want)
	}
	lease.Seq = done.Seq
	return done
}

func (b *bench) read(t *testing.T, p, limit int) handover.Batch {
	t.Helper()
	batch, err := b.Read(t.Context(), p, limit)
	if err != nil {
		t.Fatalf("Read(%d) = %v", p, err)
	}
	return batch
}

// news returns what is new among entries.
func news(entries []handover.Entry) []handover.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e handover.Entry) bool { return e.Known })
}

// mids returns the mids of all new events that wait in a partition.
func (b *bench) mids(t *testing.T, p int) []string {
	t.Helper()
	mids := []string{}
	for _, e := range news(b.read(t, p, 10_000).Entries) {
		ev, err := messenger.UnmarshalEvent(e.Body)
		if err != nil {
			t.Fatalf("entry %s holds %q: %v", e.ID, e.Body, err)
		}
		mids = append(mids, string(ev.MID))
	}
	return mids
}

// consume commits a partition's entries as read.
func (b *bench) consume(t *testing.T, lease *handover.Lease) {
	t.Helper()
	b.commit(t, lease, handover.Commit{Consumed: b.read(t, lease.Partition, 10_000).Entries})
}

// snapshot is all that can be seen of a partition and of two of its threads.
func (b *bench) snapshot(t *testing.T, p int) string {
	t.Helper()
	var out strings.Builder
	show := func(what string, value any, err error) {
		if err != nil {
			t.Fatalf("%s of partition %d: %v", what, p, err)
		}
		fmt.Fprintf(&out, "%s: %q\n", what, value)
	}
	batch, err := b.Read(t.Context(), p, 1000)
	batch.Now, batch.Entries = time.Time{}, news(batch.Entries)
	show("read", batch, err)
	pending, err := b.Outbox(t.Context(), p)
	slices.SortFunc(pending, func(a, b handover.Pending) int { return strings.Compare(a.ID, b.ID) })
	show("outbox", pending, err)
	for n := range 2 {
		body, history, own, buried, err := b.Thread(t.Context(), threadIn(p, n))
		show("thread", []any{body, history, own, buried}, err)
	}
	buried, err := b.Buried(t.Context(), 100)
	show("buried", buried, err)
	episodes, err := b.Episodes(t.Context(), 100)
	show("episodes", episodes, err)
	return out.String()
}

// listen collects announcements until the test ends; it returns once they flow.
// The first is the -1 of the connect.
func (b *bench) listen(t *testing.T) (next func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	heard, ended := make(chan int, 1000), make(chan error, 1)
	go func() { ended <- b.Wakes(ctx, func(p int) { heard <- p }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Wakes() = %v, want nil when its context ends", err)
		}
	})
	next = func() int {
		t.Helper()
		giveUp := time.NewTimer(patience)
		defer giveUp.Stop()
		select {
		case p := <-heard:
			return p
		case <-giveUp.C:
			t.Fatal("no announcement came")
			return 0
		}
	}
	if got := next(); got != -1 {
		t.Fatalf("first announcement = %d, want -1: what was missed before is not known", got)
	}
	return next
}

// expect checks which announcements come next. They may come in any order: in a
// cluster those of different partitions stem from different nodes.
func expect(t *testing.T, next func() int, want ...int) {
	t.Helper()
	got := make([]int, len(want))
	for i := range got {
		got[i] = next()
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("announcements = %v, want %v", got, want)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// must stops the test where setting it up failed.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// brief describes a commit that may be huge.
func brief(c handover.Commit) string {
	return fmt.Sprintf("p%d seq %d: %d threads, %d put, %d dropped, %d echoed, %d lines", c.Lease.Partition, c.Lease.Seq,
		len(c.Threads), len(c.Put), len(c.Drop), len(c.Echoed), len(c.History))
}

// strs returns bodies as text.
func strs(bodies [][]byte) []string {
	out := make([]string, len(bodies))
	for i, b := range bodies {
		out[i] = string(b)
	}
	return out
}

// numbered returns prefix0, prefix1 and so on, n texts.
func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = prefix + strconv.Itoa(i)
	}
	return out
}
