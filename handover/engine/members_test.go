package engine_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
)

// deaf is a store of which one partition does not answer while it is deaf, as when its
// node of a Cluster hangs.
type deaf struct {
	engine.Store

	partition          int
	acquires, renewals atomic.Bool   // do not answer
	healed             chan struct{} // closed when they do again
	renewed            chan struct{} // gets each renewal of the others
}

func (d *deaf) Acquire(ctx context.Context, p int, token string, ttl time.Duration) (handover.Lease, bool, error) {
	if p == d.partition && d.acquires.Load() {
		<-d.healed
		return handover.Lease{}, false, errDead
	}
	return d.Store.Acquire(ctx, p, token, ttl)
}

func (d *deaf) Renew(ctx context.Context, leases []handover.Lease, ttl time.Duration) (kept, lost []int, err error) {
	if d.renewals.Load() {
		leases = slices.DeleteFunc(leases, func(l handover.Lease) bool { return l.Partition == d.partition })
		defer func() {
			<-ctx.Done()
			err = errors.Join(err, ctx.Err())
		}()
	}
	kept, lost, err = d.Store.Renew(ctx, leases, ttl)
	select {
	case d.renewed <- struct{}{}:
	default:
	}
	return kept, lost, err
}

func TestAPartitionThatDoesNotAnswerHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*deaf) *atomic.Bool{
		"when_it_is_acquired": func(d *deaf) *atomic.Bool { return &d.acquires },
		"when_it_is_renewed":  func(d *deaf) *atomic.Bool { return &d.renewals },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := &deaf{
				Store: w.store, partition: messenger.ThreadKey{Page: page, PSID: ann}.Partition(8),
				healed: make(chan struct{}), renewed: make(chan struct{}),
			}
			mute := of(d)
			mute.Store(true)
			w.start(func(o *engine.Options) { o.Store = d })
			heal := sync.OnceFunc(func() { close(d.healed) })
			t.Cleanup(heal)
			others := 0
			for n := 1; others < 30; n++ { // in all other partitions
				ev := from(messenger.PSID(strconv.Itoa(8_000_000_000_000_000+n)), text("hours"))
				if ev.Thread.Partition(8) != d.partition {
					w.accept(ev)
					others++
				}
			}
			w.called("answer", "ok", others)
			for range 15 { // for longer than a lease
				<-d.renewed
			}
			w.accept(from(bob, text("hours")))
			w.called("answer", "ok", others+1)

			mute.Store(false)
			heal()
			w.accept(text("hours"))
			w.called("answer", "ok", others+2)
		})
	}
}
