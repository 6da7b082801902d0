package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"usher/cmd/usher-bench/check"
)

// chaosRun is one run.
type chaosRun struct {
	*saboteur

	o     chaosOptions
	p     *program
	began time.Time
}

// progress tells how much of the run is over, from 0.
func (r *chaosRun) progress() (share float64) {
	if r.o.events > 0 {
		share = float64(r.witness.accepted.Load()) / float64(r.o.events)
	}
	if r.o.length > 0 {
		share = max(share, now().Sub(r.began).Seconds()/r.o.length.Seconds())
	}
	return share
}

// atOnce is how many faults may be there at a time.
const atOnce = 6

func (r *chaosRun) run(ctx context.Context, faults []fault) (*chaosResults, error) {
	memory := r.redis.memory(ctx)
	r.fleet.troubled = r.troubled
	r.began = now()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	talking, quiet := context.WithCancel(ctx)
	defer quiet()
	c := &crowd{meta: r.meta, witness: r.witness, seed: r.o.seed, pace: r.o.pace, limit: r.o.limit}
	var people, wrong sync.WaitGroup
	people.Go(func() { c.talk(talking, r.o.customers) })
	stopTelling := r.tell(ctx)
	defer stopTelling()
	taken := newTakeovers(r.saboteur)
	var watching sync.WaitGroup
	watched, enough := context.WithCancel(ctx)
	defer enough()
	watching.Go(func() { taken.watch(watched) })
	watching.Go(func() { r.watchPrimary(watched) })

	slots := make(chan struct{}, atOnce)
	for i, f := range faults {
		if err := poll(ctx, func() bool { return r.progress() >= f.At }); err != nil {
			break
		}
		slots <- struct{}{}
		wrong.Go(func() {
			defer func() { <-slots }()
			if r.o.verbose {
				fmt.Fprintf(r.p.stderr, "%6.1fs begins: %v\n", now().Sub(r.began).Seconds(), f)
				defer func() { fmt.Fprintf(r.p.stderr, "%6.1fs is over: %v\n", now().Sub(r.began).Seconds(), f) }()
			}
			if err := r.commit(ctx, f); err != nil {
				fail(err)
			}
		})
		r.besides(ctx, i, &wrong, fail)
	}
	err := poll(ctx, func() bool { return r.progress() >= 1 })
	wrong.Wait() // those that last are cut short where ctx ended
	talked := now().Sub(r.began)
	quiet()
	people.Wait()
	if err != nil {
		return nil, err
	}

	settled := now()
	entries, effects, err := r.rest(ctx)
	if err != nil {
		return nil, err
	}
	drained := now().Sub(settled)
	enough()
	watching.Wait()
	r.ended = now()
	for n := range r.o.replicas {
		if err := r.fleet.stop(r.fleet.replica(n), 2*r.times.StopTimeout); err != nil {
			return nil, err
		}
	}
	evidence, err := r.evidence(ctx, entries, effects)
	if err != nil {
		return nil, err
	}
	verdict, seen := check.Judge(evidence), &r.fleet.evidence
	return &chaosResults{
		Verdict: verdict, Evidence: verdict.Named(evidence.Threads), Seed: r.o.seed, Redis: r.o.redis, Durability: string(r.durable), Replicas: r.o.replicas,
		Customers: r.o.customers, Lease: r.o.lease.Seconds(), Failpoints: r.o.failpoints,
		Talked: talked.Seconds(), Drained: drained.Seconds(), Faults: r.counts, Struck: r.struck, People: c.joined.Load(), Acts: c.acts.Load(),
		Refusals: evidence.Answers.Refused, SlowestRefusal: evidence.Answers.Slowest.Seconds(), Deliveries: evidence.Answers.OK,
		AckCalm: latencyOf(seen.calm), AckUnderFault: latencyOf(seen.shaken), Takeover: latencyOf(taken.took), Takeovers: taken.took.TotalCount(),
		Move: latencyOf(taken.moved), Moves: taken.moved.TotalCount(),
		SlowestStop: slowest(evidence.Stops).Seconds(), Stops: len(evidence.Stops), Probes: evidence.Fence.Probes, Opened: evidence.Fence.Accepted, Reloaded: evidence.Fence.Reloaded,
		MemoryBefore: memory, MemoryAfter: r.redis.memory(ctx), Warnings: seen.warnings,
	}, nil
}

func slowest(stops []check.Stop) (took time.Duration) {
	for _, s := range stops {
		took = max(took, s.Took)
	}
	return took
}

// besides does what is no fault and must be seen to hold under faults.
func (r *chaosRun) besides(ctx context.Context, i int, wg *sync.WaitGroup, fail func(error)) {
	if i%10 == 3 {
		wg.Go(func() { r.offerBadEvent(ctx) })
	}
	if i%20 == 5 {
		wg.Go(func() { r.probeFence(ctx) })
	}
	if i%50 == 7 {
		wg.Go(func() {
			if err := r.fleet.startWrong(ctx, r.settings); err != nil {
				fail(err)
			}
		})
	}
}

// rest heals everything and waits until nothing is left to do; it returns what
// is.
func (r *chaosRun) rest(ctx context.Context) (entries, effects int64, err error) {
	r.meta.Heal()
	r.meta.ReleaseDeliveries(0)
	for n := range r.o.replicas {
		if err := r.fleet.ensure(ctx, n); err != nil {
			return 0, 0, err
		}
	}
	within, cancel := context.WithTimeoutCause(ctx, r.o.settle, errTimeout)
	defer cancel()
	err = poll(within, func() bool {
		if r.meta.Settle(within) != nil {
			return false
		}
		var backlogErr error
		entries, effects, backlogErr = r.store.Backlog(within)
		return backlogErr == nil && entries+effects == 0
	})
	if errors.Is(err, errTimeout) {
		err = nil // the verdict says so
	}
	return entries, effects, err
}

// tell tells of the progress every second, until it is stopped.
func (r *chaosRun) tell(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		for pause(ctx, time.Second) {
			r.mu.Lock()
			n := 0
			for _, count := range r.counts {
				n += count
			}
			r.mu.Unlock()
			fmt.Fprintf(r.p.stderr, "%5.0fs  %3.0f%%  %9d events acknowledged  %8d messages sent  %4d of %d faults  %d of %d replicas up\n",
				now().Sub(r.began).Seconds(), 100*min(r.progress(), 1), r.witness.accepted.Load(), r.witness.sent.Load(), n, r.o.faults,
				r.fleet.running(), r.o.replicas)
		}
	})
	return func() { cancel(); told.Wait() }
}
