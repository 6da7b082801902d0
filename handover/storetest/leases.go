//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/handover"
)

// refused checks that a partition is another's.
func (b *bench) refused(t *testing.T, p int, token string) {
	t.Helper()
	lease, held, err := b.Acquire(t.Context(), p, token, leaseTTL)
	if err != nil || held {
		t.Fatalf("Acquire(%d, %q) = %+v, %v, %v, want not held", p, token, lease, held, err)
	}
}

func oneOwnerAtATime(t *testing.T, b *bench) {
	first := b.acquire(t, 2, "first")
	wantEqual(t, "first lease", first, handover.Lease{Partition: 2, Token: "first", Epoch: 1})
	b.refused(t, 2, "second")
	b.acquire(t, 4, "second") // another partition is another matter
	b.append(t, threadIn(2, 0), "a")
	b.consume(t, &first)
	b.commit(t, &first, handover.Commit{Drop: []string{"x"}})

	b.Advance(leaseTTL - time.Second)
	b.refused(t, 2, "second")
	b.Advance(2 * time.Second)
	second := b.acquire(t, 2, "second")
	wantEqual(t, "second lease", second, handover.Lease{Partition: 2, Token: "second", Epoch: 2, Seq: 2})
	b.refused(t, 2, "first")
}

func oneOfManyAcquires(t *testing.T, b *bench) {
	var owners atomic.Int32
	var wg sync.WaitGroup
	for _, token := range numbered("replica", 16) {
		wg.Go(func() {
			switch _, held, err := b.Acquire(t.Context(), 6, token, leaseTTL); {
			case err != nil:
				t.Errorf("Acquire() = %v", err)
			case held:
				owners.Add(1)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "owners", owners.Load(), int32(1))
}

func readingTellsOwnerAndStep(t *testing.T, b *bench) {
	is := func(token string, seq int64) {
		t.Helper()
		batch := b.read(t, 2, 0)
		wantEqual(t, "token", batch.Token, token)
		wantEqual(t, "seq", batch.Seq, seq)
	}
	is("", 0)
	lease := b.acquire(t, 2, "first")
	is("first", 0)
	b.append(t, threadIn(2, 0), "a")
	is("first", 0)
	b.consume(t, &lease)
	is("first", 1)
	must(t, b.Release(t.Context(), lease, true))
	is("", 1)
}

func anAcquisitionMayBeRepeated(t *testing.T, b *bench) {
	before := b.acquire(t, 8, "before")
	must(t, b.Release(t.Context(), before, true))
	first := b.acquire(t, 8, "same")
	wantEqual(t, "clean after a clean release", first.Clean, true)
	b.Advance(leaseTTL / 2)
	wantEqual(t, "repeated acquisition", b.acquire(t, 8, "same"), first)
	b.Advance(leaseTTL * 3 / 4)
	b.refused(t, 8, "other") // the repeat prolonged it
	b.Advance(leaseTTL)
	wantEqual(t, "repeated acquisition of a lease that ran out", b.acquire(t, 8, "same"), first)
}

func renewalKeepsALease(t *testing.T, b *bench) {
	leases := []handover.Lease{b.acquire(t, 10, "owner"), b.acquire(t, 12, "owner")}
	for range 4 {
		b.Advance(leaseTTL * 3 / 4)
		kept, lost, err := b.Renew(t.Context(), leases, leaseTTL)
		must(t, err)
		wantEqual(t, "kept leases", kept, []int{10, 12})
		wantEqual(t, "lost leases", len(lost), 0)
	}
	b.Advance(leaseTTL * 3 / 4)
	b.refused(t, 10, "other")
	b.refused(t, 12, "other")
	if kept, lost, err := b.Renew(t.Context(), nil, leaseTTL); err != nil || len(kept)+len(lost) != 0 {
		t.Errorf("Renew(none) = %v, %v, %v, want nothing", kept, lost, err)
	}
}

func renewalTellsWhatIsLost(t *testing.T, b *bench) {
	taken, released, kept := b.acquire(t, 14, "owner"), b.acquire(t, 16, "owner"), b.acquire(t, 18, "owner")
	must(t, b.Release(t.Context(), released, true))
	b.Advance(leaseTTL + time.Second)
	b.acquire(t, 14, "thief")

	ours, lost, err := b.Renew(t.Context(), []handover.Lease{taken, released, kept}, leaseTTL)
	must(t, err)
	wantEqual(t, "kept leases", ours, []int{18})
	wantEqual(t, "lost leases", lost, []int{14, 16})
	b.refused(t, 18, "other")
	b.Advance(leaseTTL + time.Second)
	b.acquire(t, 14, "other") // the loser has not prolonged the thief's
}

// Between the end of a lease and its next owner nobody can have changed anything.
func aLeaseThatRanOutServesUntilTaken(t *testing.T, b *bench) {
	lease := b.acquire(t, 22, "owner")
	b.Advance(10 * leaseTTL)
	b.commit(t, &lease, handover.Commit{Put: []handover.Pending{{ID: "x", Body: []byte("{}")}}})
	kept, _, err := b.Renew(t.Context(), []handover.Lease{lease}, leaseTTL)
	must(t, err)
	wantEqual(t, "kept leases", kept, []int{22})
	b.refused(t, 22, "other")
}

func aReleaseTellsClean(t *testing.T, b *bench) {
	first := b.acquire(t, 24, "first")
	wantEqual(t, "clean before anybody", first.Clean, false)
	next := b.listen(t)
	must(t, b.Release(t.Context(), first, true))
	expect(t, next, 24)

	second := b.acquire(t, 24, "second")
	wantEqual(t, "clean after a clean release", second.Clean, true)
	must(t, b.Release(t.Context(), second, false))
	expect(t, next, 24)

	third := b.acquire(t, 24, "third")
	wantEqual(t, "clean after a release with calls in flight", third.Clean, false)
	must(t, b.Release(t.Context(), third, true))
	b.acquire(t, 24, "fourth")
	b.Advance(leaseTTL + time.Second)
	wantEqual(t, "clean after a crash", b.acquire(t, 24, "fifth").Clean, false)
}

func whatIsAnothersIsNotReleased(t *testing.T, b *bench) {
	first := b.acquire(t, 26, "first")
	b.Advance(leaseTTL + time.Second)
	second := b.acquire(t, 26, "second")
	must(t, b.Release(t.Context(), first, true))
	b.refused(t, 26, "third")
	must(t, b.Release(t.Context(), second, false))
	must(t, b.Release(t.Context(), first, true))
	wantEqual(t, "clean after an unclean release and a zombie's", b.acquire(t, 26, "third").Clean, false)
}

func withoutATokenNothingIsOwned(t *testing.T, b *bench) {
	none := handover.Lease{Partition: 28}
	if _, held, err := b.Acquire(t.Context(), 28, "", leaseTTL); err == nil || held {
		t.Errorf("Acquire() = %v, %v, want an error", held, err)
	}
	_, err := b.Commit(t.Context(), handover.Commit{Lease: none})
	wantError(t, "Commit()", err, handover.ErrLeaseLost)
	kept, lost, err := b.Renew(t.Context(), []handover.Lease{none}, leaseTTL)
	must(t, err)
	wantEqual(t, "kept leases", len(kept), 0)
	wantEqual(t, "lost leases", lost, []int{28})
	must(t, b.Release(t.Context(), none, true))

	// Nor once an owner has come and gone.
	must(t, b.Release(t.Context(), b.acquire(t, 28, "owner"), false))
	_, err = b.Commit(t.Context(), handover.Commit{Lease: none})
	wantError(t, "Commit() after a release", err, handover.ErrLeaseLost)
	must(t, b.Release(t.Context(), none, true))
	wantEqual(t, "clean", b.acquire(t, 28, "next").Clean, false)
}
