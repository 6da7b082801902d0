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

// manage keeps this process counted as alive, its leases renewed, and owns the
// partitions that fall to it, until ctx ends. Disagreement between processes
// about who is alive costs delay, never safety: leases decide.
func (e *Engine) manage(ctx, work context.Context) {
	renew := time.NewTicker(e.Renew)
	defer renew.Stop()
	// What falls to us but is still another's is tried more often, so that a
	// crashed owner delays its threads by little more than the lease.
	retry := time.NewTicker(max(e.Renew/5, time.Millisecond))
	defer retry.Stop()
	var live []string
	for {
		if found, err := e.store.Heartbeat(ctx, e.member, e.Lease); err == nil {
			live = found
			e.heed(ctx)
		} else if ctx.Err() == nil {
			e.Log.Warn().Err(err).Msg("Heartbeat not stored")
		}
		wanting := e.balance(ctx, work, live)
	waiting:
		for {
			select {
			case <-ctx.Done():
				return
			case <-renew.C:
				e.renew(work)
				break waiting
			case <-e.wakeup:
				break waiting
			case <-retry.C:
				if wanting {
					wanting = e.balance(ctx, work, live)
				}
			}
		}
	}
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

// balance gives back what falls to others and acquires what falls to us; it
// tells whether something that falls to us is still another's.
func (e *Engine) balance(ctx, work context.Context, live []string) (wanting bool) {
	if !slices.Contains(live, e.member) {
		return false // not counted: do not fight over what others see as theirs
	}
	var missing []int
	for n := range e.Partitions {
		e.mu.Lock()
		p := e.partitions[n]
		e.mu.Unlock()
		switch ours := fallsTo(n, live) == e.member; {
		case ours && p == nil:
			missing = append(missing, n)
		case !ours && p != nil:
			p.drain()
		}
	}
	wanted := make(map[int]bool, len(missing))
	for _, n := range missing {
		wanted[n] = true
	}
	e.mu.Lock()
	e.wanted = wanted
	e.mu.Unlock()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, n := range missing {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if e.acquire(ctx, work, n) {
				e.mu.Lock()
				delete(wanted, n)
				e.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return len(wanted) > 0
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
func (e *Engine) acquire(ctx, work context.Context, n int) bool {
	sent := e.Now()
	lease, held, err := e.store.Acquire(ctx, n, rand.Text(), e.Lease)
	switch {
	case errors.Is(err, handover.ErrNewerSchema):
		e.Log.Error().Err(err).Int("partition", n).Msg("Partition belongs to a newer version of Usher; update this one")
		return false
	case err != nil:
		if ctx.Err() == nil {
			e.Log.Warn().Err(err).Int("partition", n).Msg("Partition not acquired")
		}
		return false
	case !held:
		return false
	}
	p := newPartition(e, lease, sent.Add(e.Lease))
	e.mu.Lock()
	e.partitions[n] = p
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
	return true
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
	ctx, cancel := context.WithTimeout(ctx, e.Renew)
	defer cancel()
	lost, err := e.store.Renew(ctx, leases, e.Lease)
	if err != nil {
		e.Log.Warn().Err(err).Msg("Leases not renewed")
	}
	for _, p := range owned {
		switch {
		case slices.Contains(lost, p.n):
			p.abandon()
		case err == nil: // of whom nothing is known nothing is believed
			p.trust.Store(sent.Add(e.Lease).Sub(p.born).Nanoseconds())
		}
	}
}
