//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"context"
	"slices"
	"testing"
	"time"
)

// heartbeat returns who is alive, sorted.
func (b *bench) heartbeat(t *testing.T, member string, ttl time.Duration) []string {
	t.Helper()
	live, err := b.Heartbeat(t.Context(), member, ttl)
	must(t, err)
	slices.Sort(live)
	return live
}

func membersComeAndGo(t *testing.T, b *bench) {
	wantEqual(t, "members", b.heartbeat(t, "a", leaseTTL), []string{"a"})
	wantEqual(t, "members", b.heartbeat(t, "b", 3*leaseTTL), []string{"a", "b"})
	b.Advance(leaseTTL / 2)
	wantEqual(t, "members", b.heartbeat(t, "a", leaseTTL), []string{"a", "b"})
	b.Advance(leaseTTL * 3 / 4)
	wantEqual(t, "members while all are renewed", b.heartbeat(t, "b", 3*leaseTTL), []string{"a", "b"})
	b.Advance(leaseTTL)
	wantEqual(t, "members after one was silent", b.heartbeat(t, "b", 3*leaseTTL), []string{"b"})
	must(t, b.Leave(t.Context(), "b"))
	must(t, b.Leave(t.Context(), "never there"))
	wantEqual(t, "members after one left", b.heartbeat(t, "c", leaseTTL), []string{"c"})
}

func changesOfMembersAreAnnounced(t *testing.T, b *bench) {
	next := b.listen(t)
	mark := 0
	// marked checks that these announcements came, and no more.
	marked := func(want ...int) {
		t.Helper()
		mark++
		b.append(t, threadIn(mark, 0), "mark")
		expect(t, next, append(want, mark)...)
	}
	b.heartbeat(t, "a", leaseTTL)
	marked(-1)
	b.heartbeat(t, "a", leaseTTL)
	marked()
	b.heartbeat(t, "b", 3*leaseTTL)
	marked(-1)
	b.Advance(2 * leaseTTL)
	b.heartbeat(t, "b", 3*leaseTTL) // a is missing
	marked(-1)
	must(t, b.Leave(t.Context(), "a"))
	marked()
	must(t, b.Leave(t.Context(), "b"))
	marked(-1)
}

func announcementsEnd(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Wakes(ctx, func(int) { cancel() }) }()
	giveUp := time.NewTimer(patience)
	defer giveUp.Stop()
	select {
	case err := <-ended:
		must(t, err)
	case <-giveUp.C:
		t.Fatal("Wakes() goes on after its context ended")
	}
	must(t, b.Wakes(ctx, func(p int) { t.Errorf("announced %d after the context ended", p) }))
}
