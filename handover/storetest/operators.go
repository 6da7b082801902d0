//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"usher/handover"
	"usher/messenger"
)

// of returns a body that names its thread, as effects and episodes do.
func of(key messenger.ThreadKey, what string) []byte {
	return fmt.Appendf(nil, `{"what":%q,"thread":%q}`, what, key)
}

// populate gives two threads of a partition a life each.
func (b *bench) populate(t *testing.T, p int) (one, two messenger.ThreadKey) {
	t.Helper()
	one, two = threadIn(p, 0), threadIn(p, 1)
	lease := b.acquire(t, p, "owner")
	now := b.read(t, p, 0).Now
	var c handover.Commit
	for _, k := range []messenger.ThreadKey{one, two} {
		c.Threads = append(c.Threads, handover.ThreadWrite{Thread: k.String(), Body: of(k, "thread")})
		c.History = append(c.History, handover.HistoryWrite{Thread: k.String(), Body: of(k, "line")})
		c.Put = append(c.Put, handover.Pending{ID: "b" + k.String(), Body: of(k, "second")}, handover.Pending{ID: "a" + k.String(), Body: of(k, "first")})
		c.Buried = append(c.Buried, handover.Buried{Thread: k.String(), Cause: "panic", Body: of(k, "poison"), At: now})
		c.Episodes = append(c.Episodes, of(k, "episode"))
	}
	c.Put = append(c.Put, handover.Pending{ID: "c", Body: []byte("not JSON " + one.String())})
	b.commit(t, &lease, c)
	return one, two
}

func aThreadIsShown(t *testing.T, b *bench) {
	one, two := b.populate(t, 7)
	for _, key := range []messenger.ThreadKey{one, two} {
		body, history, pending, buried, err := b.Thread(t.Context(), key)
		must(t, err)
		wantEqual(t, "body", string(body), string(of(key, "thread")))
		wantEqual(t, "history", history, [][]byte{of(key, "line")})
		wantEqual(t, "pending effects", pending, [][]byte{of(key, "first"), of(key, "second")})
		if len(buried) != 1 || !bytes.Equal(buried[0].Body, of(key, "poison")) {
			t.Errorf("set aside = %v, want one of %s", buried, key)
		}
	}
	body, history, pending, buried, err := b.Thread(t.Context(), threadIn(8, 0))
	must(t, err)
	wantEqual(t, "a thread never seen", []bool{body == nil, history == nil, len(pending) == 0, len(buried) == 0}, []bool{true, true, true, true})
}

func threadsAreListed(t *testing.T, b *bench) {
	want := make([]string, 0, 40)
	for p := range 20 {
		one, two := b.populate(t, p)
		want = append(want, one.String(), two.String())
	}
	slices.Sort(want)
	list := func(limit int) []string {
		t.Helper()
		var got []string
		must(t, b.Threads(t.Context(), limit, func(key messenger.ThreadKey, body []byte) error {
			wantEqual(t, "body", string(body), string(of(key, "thread")))
			got = append(got, key.String())
			return nil
		}))
		slices.Sort(got)
		return got
	}
	wantEqual(t, "all threads", list(1000), want)
	wantEqual(t, "threads of a bounded list", len(list(7)), 7)
	wantEqual(t, "threads of a list of none", len(list(0)), 0)

	enough, calls := errors.New("enough"), 0 //nolint:err113 // a test's own
	err := b.Threads(t.Context(), 1000, func(messenger.ThreadKey, []byte) error { calls++; return enough })
	wantError(t, "Threads()", err, enough)
	wantEqual(t, "calls after the first failed", calls, 1)
}

func aForgottenThreadLeavesNothing(t *testing.T, b *bench) {
	gone, stays := b.populate(t, 9)
	must(t, b.Forget(t.Context(), gone))
	buried, err := b.Buried(t.Context(), 100)
	must(t, err)
	episodes, err := b.Episodes(t.Context(), 100)
	must(t, err)
	if len(buried) != 1 || buried[0].Thread != stays.String() {
		t.Errorf("set aside = %v, want that of %s alone", buried, stays)
	}
	wantEqual(t, "episodes", episodes, [][]byte{of(stays, "episode")})

	lease := b.acquire(t, 9, "owner")
	b.commit(t, &lease, handover.Commit{
		Threads: []handover.ThreadWrite{{Thread: gone.String()}}, Drop: []string{"a" + gone.String(), "b" + gone.String(), "c"},
	})
	if all := b.snapshot(t, 9); strings.Contains(all, string(gone.PSID)) {
		t.Errorf("after all was deleted there is still:\n%s", all)
	}
}

func theBacklogIsCounted(t *testing.T, b *bench) {
	want := func(what string, entries, effects int64) {
		t.Helper()
		gotEntries, gotEffects, err := b.Backlog(t.Context())
		must(t, err)
		wantEqual(t, what, []int64{gotEntries, gotEffects}, []int64{entries, effects})
	}
	// repeats returns how many entries wait that came before: a client may repeat itself.
	repeats := func() (n int64) {
		for _, p := range []int{3, 4} {
			entries := b.read(t, p, 100).Entries
			n += int64(len(entries) - len(news(entries)))
		}
		return n
	}
	want("backlog of nothing", 0, 0)
	b.append(t, threadIn(3, 0), "a", "b")
	b.append(t, threadIn(4, 0), "c")
	want("backlog of three events", 3+repeats(), 0)
	lease := b.acquire(t, 3, "owner")
	b.commit(t, &lease, handover.Commit{
		Consumed: b.read(t, 3, 1).Entries,
		Put:      []handover.Pending{{ID: "e1", Body: []byte("{}")}, {ID: "e2", Body: []byte("{}")}},
	})
	want("backlog with an event decided", 2+repeats(), 2)
	b.commit(t, &lease, handover.Commit{Drop: []string{"e1"}})
	want("backlog with an effect settled", 2+repeats(), 1)
}
