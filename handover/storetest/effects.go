//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher/handover"
)

// outbox returns a partition's pending effects as id=body, by id.
func (b *bench) outbox(t *testing.T, p int) string {
	t.Helper()
	pending, err := b.Outbox(t.Context(), p)
	must(t, err)
	effects := make([]string, len(pending))
	for i, e := range pending {
		effects[i] = e.ID + "=" + string(e.Body)
	}
	slices.Sort(effects)
	return strings.Join(effects, " ")
}

func effect(id, body string) handover.Pending { return handover.Pending{ID: id, Body: []byte(body)} }

func effectsArePutReplacedAndDropped(t *testing.T, b *bench) {
	lease := b.acquire(t, 1, "owner")
	b.commit(t, &lease, handover.Commit{Put: []handover.Pending{effect("a", "1"), effect("b", "1"), effect("c", "1")}})
	wantEqual(t, "outbox", b.outbox(t, 1), "a=1 b=1 c=1")
	b.commit(t, &lease, handover.Commit{Put: []handover.Pending{effect("b", "2")}, Drop: []string{"a", "unknown"}})
	wantEqual(t, "outbox", b.outbox(t, 1), "b=2 c=1")
	b.commit(t, &lease, handover.Commit{Put: []handover.Pending{effect("d", "1")}, Drop: []string{"d"}})
	wantEqual(t, "outbox after an effect was put and dropped at once", b.outbox(t, 1), "b=2 c=1")
	wantEqual(t, "outbox of another partition", b.outbox(t, 2), "")
}

// What was said before a failover forgot so is not said again.
func anEchoedEffectIsKnown(t *testing.T, b *bench) {
	lease := b.acquire(t, 3, "owner")
	b.commit(t, &lease, handover.Commit{Put: []handover.Pending{effect("waiting", "1"), effect("other", "1")}})
	done := b.commit(t, &lease, handover.Commit{Echoed: []string{"waiting", "early"}})
	wantEqual(t, "known effects where none was put", len(done.Known), 0)
	wantEqual(t, "outbox after the echo", b.outbox(t, 3), "other=1")

	puts := []handover.Pending{effect("new", "1"), effect("early", "1"), effect("other", "2"), effect("waiting", "2"), effect("now", "1")}
	done = b.commit(t, &lease, handover.Commit{Put: puts, Echoed: []string{"now"}})
	wantEqual(t, "known effects", done.Known, []string{"early", "waiting", "now"})
	wantEqual(t, "outbox", b.outbox(t, 3), "new=1 other=2")

	// An event of that id is none of it, and other partitions have other effects.
	b.append(t, threadIn(3, 0), "early")
	wantEqual(t, "stored events", b.mids(t, 3), []string{"early"})
	other := b.acquire(t, 4, "owner")
	wantEqual(t, "known effects elsewhere", len(b.commit(t, &other, handover.Commit{Put: puts}).Known), 0)
}

func anEchoIsKnownUntilTheHorizon(t *testing.T, b *bench) {
	lease := b.acquire(t, 5, "owner")
	b.pass(t, lease, Horizon+Horizon/24)
	b.commit(t, &lease, handover.Commit{Echoed: []string{"a"}})
	put := func() []string {
		t.Helper()
		return b.commit(t, &lease, handover.Commit{Put: []handover.Pending{effect("a", "1")}}).Known
	}
	b.pass(t, lease, Horizon-time.Minute)
	wantEqual(t, "known effects within the horizon", put(), []string{"a"})
	b.pass(t, lease, Horizon+3*Horizon/48) // it is renewed each 48th of it
	wantEqual(t, "known effects after twice the horizon", len(put()), 0)
}
