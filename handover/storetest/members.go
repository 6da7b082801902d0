//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
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

// paused returns the pause of a Page.
func (b *bench) paused(t *testing.T, page messenger.PageID) handover.Pause {
	t.Helper()
	pauses, err := b.Pauses(t.Context(), []messenger.PageID{page})
	must(t, err)
	if len(pauses) != 1 {
		t.Fatalf("Pauses(%s) = %v, want one", page, pauses)
	}
	return pauses[0]
}

// wantPause checks that a pause is what it should be; a server's own clock goes on.
func (b *bench) wantPause(t *testing.T, page messenger.PageID, want handover.Pause) {
	t.Helper()
	got := b.paused(t, page)
	if got.Why != want.Why || got.Left > want.Left || got.Left < want.Left-patience || (got.Left > 0) != (want.Left > 0) {
		t.Errorf("pause of %s = %+v, want %+v", page, got, want)
	}
}

func aPauseRunsOut(t *testing.T, b *bench) {
	const other = page + "0"
	b.wantPause(t, page, handover.Pause{})
	must(t, b.Pause(t.Context(), page, time.Hour, "code 613 €"))
	b.wantPause(t, page, handover.Pause{Left: time.Hour, Why: "code 613 €"})
	must(t, b.Pause(t.Context(), other, 2*time.Hour, "other"))
	pauses, err := b.Pauses(t.Context(), []messenger.PageID{other, "3", page})
	must(t, err)
	wantEqual(t, "pauses of three", []string{pauses[0].Why, pauses[1].Why, pauses[2].Why}, []string{"other", "", "code 613 €"})
	b.Advance(30 * time.Minute)
	b.wantPause(t, page, handover.Pause{Left: 30 * time.Minute, Why: "code 613 €"})
	b.Advance(31 * time.Minute)
	b.wantPause(t, page, handover.Pause{})
	b.wantPause(t, other, handover.Pause{Left: 59 * time.Minute, Why: "other"})
	must(t, b.Pause(t.Context(), page, time.Minute, "again"))
	b.wantPause(t, page, handover.Pause{Left: time.Minute, Why: "again"})
	if none, err := b.Pauses(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("Pauses(none) = %v, %v, want nothing", none, err)
	}
}

func aPauseIsOnlyProlonged(t *testing.T, b *bench) {
	must(t, b.Pause(t.Context(), page, time.Hour, "long"))
	must(t, b.Pause(t.Context(), page, time.Minute, "short"))
	b.wantPause(t, page, handover.Pause{Left: time.Hour, Why: "long"})
	must(t, b.Pause(t.Context(), page, 2*time.Hour, "longer"))
	b.wantPause(t, page, handover.Pause{Left: 2 * time.Hour, Why: "longer"})
}

func changesOfPausesAreAnnounced(t *testing.T, b *bench) {
	next := b.listen(t)
	must(t, b.Pause(t.Context(), page, time.Minute, "first"))
	expect(t, next, -1)
	must(t, b.Pause(t.Context(), page, 30*time.Second, "shorter"))
	must(t, b.Pause(t.Context(), page, time.Minute+10*time.Millisecond, "hardly longer"))
	b.paused(t, page)
	b.append(t, threadIn(1, 0), "mark")
	expect(t, next, 1)
	must(t, b.Pause(t.Context(), page, time.Hour, "longer"))
	expect(t, next, -1)
}
