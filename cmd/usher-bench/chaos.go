package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usher/cmd/usher-bench/check"
	"usher/handover/redisstore"
)

// chaosOptions are the flags of `usher-bench chaos`.
type chaosOptions struct {
	seed      uint64
	redis     string
	durable   string
	confirm   int
	replicas  int
	events    int
	faults    int
	length    time.Duration
	settle    time.Duration
	lease     time.Duration
	limit     time.Duration
	customers int
	pace      time.Duration
	batch     int
	only      []string
	plan      bool
	verbose   bool
}

// chaosCommand is `usher-bench chaos`.
func (p *program) chaosCommand() *cobra.Command {
	o := chaosOptions{
		redis: redisSingle, durable: string(redisstore.Strict), confirm: 2, replicas: 3, faults: 40, length: 30 * time.Second, settle: 4 * time.Minute, lease: 2 * time.Second,
		limit: 10 * time.Second, customers: 200, pace: 50 * time.Millisecond, batch: 50,
	}
	c := &cobra.Command{
		Use:   "chaos",
		Short: "Break everything around Usher, and judge its guarantees",
		Long: `Runs replicas of Usher on a real Redis while customers and agents talk, kills, freezes
and cuts off whatever there is, and then compares what Meta saw, what Usher
acknowledged and what it stored. The faults follow from the seed.

Without --events the run takes --for; with it, until so many events are acknowledged
(or --for is over, where that is given too).`,
		Example: `  usher-bench chaos --seed 7
  usher-bench chaos --events 1000000 --faults 500 --json chaos.json
  usher-bench chaos --redis sentinel --for 2m --faults 60
  usher-bench chaos --only "replica killed,redis stalled=6s"
  usher-bench chaos --seed 7 --plan`,
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if o.events > 0 && !cmd.Flags().Changed("for") {
				o.length = 0
			}
			return o.validate()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return p.chaos(cmd.Context(), o) },
	}
	f := c.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "of the faults and of what people do; 0 draws one")
	f.StringVar(&o.redis, "redis", o.redis, "single, sentinel or cluster")
	f.StringVar(&o.durable, "durability", o.durable, "standard or strict; standard loses what Redis has not written yet when it is killed while its disk lags")
	f.IntVar(&o.confirm, "confirm", o.confirm, "how many of the two replicas under sentinels confirm a write; 0 waits for none, and loses what a failover does")
	f.IntVar(&o.replicas, "replicas", o.replicas, "of Usher, 1 to 16")
	f.IntVar(&o.events, "events", o.events, "how many acknowledged events end the run")
	f.IntVar(&o.faults, "faults", o.faults, "how many")
	f.DurationVar(&o.length, "for", o.length, "how long the run takes")
	f.DurationVar(&o.settle, "settle", o.settle, "how long the work that is left may take afterwards")
	f.DurationVar(&o.lease, "lease", o.lease, "of a partition; the other times follow, 1s to 20s")
	f.DurationVar(&o.limit, "limit", o.limit, "of a handover, 5s or more")
	f.IntVar(&o.customers, "customers", o.customers, "who talk at a time")
	f.DurationVar(&o.pace, "pace", o.pace, "of a customer, between two acts")
	f.IntVar(&o.batch, "batch", o.batch, "events in a delivery at most, 1 to 1000")
	f.StringSliceVar(&o.only, "only", nil, "kinds of faults, as --plan names them; a kind=6s lasts for so long")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "also tell when each fault begins and ends")
	f.BoolVar(&o.plan, "plan", false, "print the faults and do nothing")
	return c
}

var errFlag = errors.New("flag out of bounds")

func (o *chaosOptions) validate() error {
	var faults []error
	must := func(ok bool, flag string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: --%s %v: want %s", errFlag, flag, value, want))
		}
	}
	must(slices.Contains([]string{redisSingle, redisSentinel, redisCluster}, o.redis), "redis", o.redis, "single, sentinel or cluster")
	must(o.replicas >= 1 && o.replicas <= 16, "replicas", o.replicas, "1 to 16")
	must(fsyncs[redisstore.Durability(o.durable)] != "", "durability", o.durable, "standard or strict")
	must(o.pace >= 0, "pace", o.pace, "0 or more")
	must(o.confirm >= 0 && o.confirm <= 2, "confirm", o.confirm, "0, 1 or 2")
	must(o.events >= 0, "events", o.events, "0 or more")
	must(o.faults >= 0 && o.faults <= 100_000, "faults", o.faults, "0 to 100000")
	must(o.events > 0 || o.length >= time.Second, "for", o.length, "1s or more")
	must(o.lease >= time.Second && o.lease <= 20*time.Second, "lease", o.lease, "1s to 20s")
	must(o.limit >= 5*time.Second, "limit", o.limit, "5s or more")
	must(o.customers >= 1 && o.customers <= 100_000, "customers", o.customers, "1 to 100000")
	must(o.batch >= 1 && o.batch <= 1000, "batch", o.batch, "1 to 1000")
	if _, err := o.kinds(); err != nil {
		faults = append(faults, err)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	return errors.Join(faults...)
}

// kinds returns the faults to draw from.
func (o *chaosOptions) kinds() ([]kind, error) {
	all := kinds(o.redis, o.lease)
	if len(o.only) == 0 {
		return all, nil
	}
	var chosen []kind
	for _, text := range o.only {
		name, length, fixed := strings.Cut(text, "=")
		i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: --only %s: want kinds of faults that Redis %s can have", errFlag, text, o.redis)
		}
		k := all[i]
		if fixed {
			d, err := time.ParseDuration(length)
			if err != nil || d < 0 {
				return nil, fmt.Errorf("%w: --only %s: want a duration after the =", errFlag, text)
			}
			k.from, k.to = d, d
		}
		chosen = append(chosen, k)
	}
	return chosen, nil
}

var errBroken = errors.New("a guarantee is broken")

// chaos carries out `usher-bench chaos`.
func (p *program) chaos(ctx context.Context, o chaosOptions) (err error) {
	of, err := o.kinds()
	if err != nil {
		return err
	}
	faults := schedule(o.seed, o.faults, of)
	if o.plan {
		for _, f := range faults {
			fmt.Fprintln(p.stdout, f)
		}
		return nil
	}
	usher, err := p.findUsher()
	if err != nil {
		return err
	}
	began := now()
	fmt.Fprintf(p.stderr, "seed %d: starting Redis (%s) and %d replicas\n", o.seed, o.redis, o.replicas)
	s, err := newStage(ctx, stageOptions{
		usher: usher, redis: o.redis, durable: redisstore.Durability(o.durable), confirm: o.confirm, replicas: o.replicas, lease: o.lease, limit: o.limit, batch: o.batch, seed: o.seed,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r := &chaosRun{o: o, saboteur: newSaboteur(s, o.replicas), p: p}
	results, err := r.run(ctx, faults)
	if err != nil {
		return err
	}
	results.Seconds = now().Sub(began).Seconds()
	if err := errors.Join(results.write(p), p.writeJSON(results)); err != nil {
		return err
	}
	if !results.OK() {
		return fmt.Errorf("%w: run again with --seed %d", errBroken, o.seed)
	}
	return nil
}

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
	verdict := check.Judge(evidence)
	return &chaosResults{
		Verdict: verdict, Evidence: verdict.Named(evidence.Threads), Seed: r.o.seed, Redis: r.o.redis, Durability: r.o.durable, Replicas: r.o.replicas, Talked: talked.Seconds(),
		Drained: drained.Seconds(), Faults: r.counts, People: c.joined.Load(), Acts: c.acts.Load(),
		Refusals: evidence.Answers.Refused, SlowestRefusal: evidence.Answers.Slowest.Seconds(), Reloaded: evidence.Fence.Reloaded,
		MemoryBefore: memory, MemoryAfter: r.redis.memory(ctx), Warnings: r.fleet.evidence.warnings,
	}, nil
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

// chaosResults is what a run came to.
type chaosResults struct {
	check.Verdict

	Seed           uint64         `json:"seed"`
	Redis          string         `json:"redis"`
	Durability     string         `json:"durability"`
	Replicas       int            `json:"replicas"`
	Seconds        float64        `json:"seconds"`         // of the whole run
	Talked         float64        `json:"seconds_talked"`  // of which people talked
	Drained        float64        `json:"seconds_drained"` // and of which the rest was worked off
	People         int64          `json:"people"`
	Acts           int64          `json:"acts"`
	Faults         map[string]int `json:"faults"`
	Refusals       int            `json:"refusals"` // of webhooks, by replicas that were there
	SlowestRefusal float64        `json:"slowest_refusal_seconds"`
	Reloaded       int            `json:"reloaded"`      // partitions found at another step
	MemoryBefore   int64          `json:"memory_before"` // of Redis, in bytes
	MemoryAfter    int64          `json:"memory_after"`
	Warnings       map[string]int `json:"warnings"` // what replicas logged
	// Evidence are the threads in which a guarantee was seen to be broken.
	Evidence []check.Thread `json:"evidence,omitempty"`
}

// write writes the table.
func (r *chaosResults) write(p *program) error {
	t := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) // Flush reports it
	}
	f := r.Figures
	total := 0
	kinds := slices.Sorted(maps.Keys(r.Faults))
	for i, k := range kinds {
		total += r.Faults[k]
		kinds[i] = fmt.Sprintf("%d %s", r.Faults[k], k)
	}
	row("run", "seed %d, Redis %s (%s), %d replicas, %.0f s of talk, %.1f s until all was done", r.Seed, r.Redis, r.Durability, r.Replicas, r.Talked, r.Drained)
	row("people", "%d, %d acts, %d handoffs, %d ways back", r.People, r.Acts, f.Handoffs, f.Ends)
	row("faults", "%d: %s", total, strings.Join(kinds, ", "))
	row("events", "%d told, %d acknowledged (%.0f/s), %d of them more than once; %d refusals, the slowest %.2f s",
		f.Events, f.Acknowledged, float64(f.Acknowledged)/r.Talked, f.Repeated, r.Refusals, r.SlowestRefusal)
	row("lost", "%d", f.Lost)
	row("decided twice", "%d", f.DecidedTwice)
	row("out of order", "%d", f.OutOfOrder)
	row("wrong-owner sends", "%d known to be; %d more raced with an agent and were refused by Meta", f.WrongOwner, f.RefusedSends-f.WrongOwner)
	row("messages", "%d sent, %d dropped and reported", f.Sends, f.Dropped)
	row("duplicate sends", "%d, of which %d were under way when their echo came, and %d begun after it", f.Duplicates, f.Raced, f.Unexplained)
	if r.Redis == redisSentinel {
		row("forgotten", "%d messages were sent whose decision a failover lost", f.Forgotten)
	}
	row("zombies refused", "%d partitions lost to others, %d loaded anew", f.ZombiesRefused, r.Reloaded)
	row("not judged", "%d threads with a cut history, %d acts with no single right answer", f.CutHistories, f.UnclearWants)
	row("Redis memory", "%.1f MB before, %.1f MB after", float64(r.MemoryBefore)/1e6, float64(r.MemoryAfter)/1e6)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	return r.WriteTable(p.stdout)
}
