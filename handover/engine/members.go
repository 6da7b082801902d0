package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"usher/handover"
)

// manage keeps this process counted as alive, and owns the partitions that fall to
// it, until ctx ends. Disagreement between processes about who is alive costs delay,
// never safety: leases decide.
//
// No part of Redis that does not answer keeps it from the rest: what is asked of a
// partition waits for nothing but that one, and leases are renewed meanwhile.
func (e *Engine) manage(ctx, work context.Context) {
	beat := time.NewTicker(e.Renew)
	defer beat.Stop()
	// What falls to us but is still another's is tried more often, so that a
	// crashed owner delays its threads by little more than the lease.
	retry := time.NewTicker(max(e.Renew/5, time.Millisecond))
	defer retry.Stop()
	var acquiring sync.WaitGroup
	defer acquiring.Wait()
	var live []string
	for {
		live = e.meet(ctx, live)
		e.balance(ctx, work, live, &acquiring)
	waiting:
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				break waiting
			case <-e.wakeup:
				break waiting
			case <-retry.C:
				if e.wanting() {
					e.balance(ctx, work, live, &acquiring)
				}
			}
		}
	}
}

// meet counts this process as alive and returns which are, as far as it can be told,
// else those of before.
func (e *Engine) meet(ctx context.Context, before []string) (live []string) {
	within, cancel := context.WithTimeout(ctx, e.Renew)
	defer cancel()
	live, err := e.store.Heartbeat(within, e.member, e.Lease)
	if err != nil {
		if ctx.Err() == nil {
			e.Log.Warn().Err(err).Msg("Heartbeat not stored")
		}
		return before
	}
	e.heed(within)
	return live
}

// heed keeps to the pauses that other processes were told of, or this one before
// it was started.
func (e *Engine) heed(ctx context.Context) {
	ids := slices.Collect(maps.Keys(e.pages))
	pauses, err := e.store.Pauses(ctx, ids)
	if err != nil {
		if ctx.Err() == nil {
			e.Log.Warn().Err(err).Msg("Pauses not read; Meta will tell")
		}
		return
	}
	for i, id := range ids {
		e.pages[id].lane.heed(pauses[i])
	}
}

// maxAcquisitions bounds the partitions that are asked for at once: less than the
// client has connections, and more than one of three nodes has of 64, so that those
// which wait for a node do not hold up the others.
const maxAcquisitions = 32

// balance gives back what falls to others and begins to acquire what falls to us.
func (e *Engine) balance(ctx, work context.Context, live []string, acquiring *sync.WaitGroup) {
	if !slices.Contains(live, e.member) {
		return // not counted: do not fight over what others see as theirs
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.wanted)
	for n := range e.Partitions {
		p := e.partitions[n]
		switch ours := fallsTo(n, live) == e.member; {
		case ours && p == nil:
			e.wanted[n] = true
		case !ours && p != nil:
			p.drain()
		}
	}
	for n := range e.wanted {
		if e.asked[n] {
			continue
		}
		e.asked[n] = true
		acquiring.Go(func() {
			e.acquisitions <- struct{}{}
			e.acquire(ctx, work, n)
			<-e.acquisitions
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.asked, n)
		})
	}
}

// wanting tells whether something that falls to us is another's still.
func (e *Engine) wanting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.wanted) > 0
}

// fallsTo returns the member with the highest rendezvous hash for partition n:
// when a member comes or goes, only its own partitions move.
func fallsTo(n int, live []string) string {
	var best string
	var highest uint64
	for _, m := range live {
		h := fnv.New64a()
		_, _ = io.WriteString(h, m+"/"+strconv.Itoa(n)) // a hash never fails
		x := h.Sum64()
		x ^= x >> 29 // FNV alone mixes its last bytes little
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 32
		if best == "" || x > highest || (x == highest && m < best) {
			best, highest = m, x
		}
	}
	return best
}

// acquire tries to own partition n and starts its loop.
func (e *Engine) acquire(ctx, work context.Context, n int) {
	sent := e.Now()
	within, cancel := context.WithTimeout(ctx, e.Lease/2) // what takes longer is hardly worth having
	defer cancel()
	lease, held, err := e.store.Acquire(within, n, rand.Text(), e.Lease)
	switch {
	case errors.Is(err, handover.ErrNewerSchema):
		e.Log.Error().Err(err).Int("partition", n).Msg("Partition belongs to a newer version of Usher; update this one")
		return
	case err != nil:
		if ctx.Err() == nil {
			e.Log.Warn().Err(err).Int("partition", n).Msg("Partition not acquired")
		}
		return
	case !held:
		return
	}
	p := newPartition(e, lease, sent.Add(e.Lease))
	e.mu.Lock()
	e.partitions[n] = p
	delete(e.wanted, n)
	e.mu.Unlock()
	if ctx.Err() != nil {
		p.drain()
	}
	e.running.Go(func() {
		p.run(work)
		e.mu.Lock()
		delete(e.partitions, n)
		e.mu.Unlock()
		signal(e.wakeup)
	})
}

// renewing prolongs all leases until ctx ends.
func (e *Engine) renewing(ctx context.Context) {
	renew := time.NewTicker(e.Renew)
	defer renew.Stop()
	for {
		select {
		case <-renew.C:
			e.renew(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// renew prolongs all leases. Trust counts from when the renewal was sent.
func (e *Engine) renew(ctx context.Context) {
	e.mu.Lock()
	owned := make([]*partition, 0, len(e.partitions))
	leases := make([]handover.Lease, 0, len(e.partitions))
	for _, p := range e.partitions {
		owned = append(owned, p)
		leases = append(leases, p.identity)
	}
	e.mu.Unlock()
	if len(leases) == 0 {
		return
	}
	sent := e.Now()
	within, cancel := context.WithTimeout(ctx, e.Renew)
	defer cancel()
	kept, lost, err := e.store.Renew(within, leases, e.Lease)
	if err != nil && ctx.Err() == nil {
		e.Log.Warn().Err(err).Int("leases", len(leases)).Int("renewed", len(kept)).Msg("Leases not renewed")
	}
	for _, p := range owned {
		switch { // of whom nothing is known nothing is believed
		case slices.Contains(lost, p.n):
			p.abandon()
		case slices.Contains(kept, p.n):
			p.trust.Store(sent.Add(e.Lease).Sub(p.born).Nanoseconds())
		}
	}
}
