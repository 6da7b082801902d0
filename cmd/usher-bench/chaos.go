package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"math/rand/v2"
	osexec "os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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

	failpoints bool // the program under test has them
}

func defaultChaos() chaosOptions {
	return chaosOptions{
		redis: redisSingle, durable: string(redisstore.Strict), confirm: 2, replicas: 3, faults: 40, length: 30 * time.Second, settle: 4 * time.Minute, lease: 2 * time.Second,
		limit: 10 * time.Second, customers: 200, pace: 50 * time.Millisecond, batch: 50,
	}
}

// chaosCommand is `usher-bench chaos`.
func (p *program) chaosCommand() *cobra.Command {
	o := defaultChaos()
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
			if usher, err := p.findUsher(); err == nil {
				o.failpoints = hasFailpoints(usher)
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
	all := slices.DeleteFunc(kinds(o.redis, o.lease), func(k kind) bool {
		return strings.HasPrefix(k.name, killedAt) && !o.failpoints || k.name == primaryLost && o.confirm > 0
	})
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
	results, err := p.trial(ctx, o, faults)
	if err != nil {
		return err
	}
	if err := errors.Join(results.write(p.stdout), p.writeJSON(results)); err != nil {
		return err
	}
	if !results.OK() {
		return fmt.Errorf("%w: run again with --seed %d", errBroken, o.seed)
	}
	return nil
}

// trial starts everything, carries out the faults, and judges.
func (p *program) trial(ctx context.Context, o chaosOptions, faults []fault) (results *chaosResults, err error) {
	usher, err := p.findUsher()
	if err != nil {
		return nil, err
	}
	began := now()
	fmt.Fprintf(p.stderr, "seed %d: starting Redis (%s) and %d replicas\n", o.seed, o.redis, o.replicas)
	s, err := newStage(ctx, stageOptions{
		usher: usher, redis: o.redis, durable: redisstore.Durability(o.durable), confirm: o.confirm, replicas: o.replicas, lease: o.lease, limit: o.limit, batch: o.batch, seed: o.seed,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r := &chaosRun{o: o, saboteur: newSaboteur(s, o.replicas), p: p}
	if results, err = r.run(ctx, faults); err != nil {
		return nil, err
	}
	results.Usher, results.Server = versionOf(ctx, usher), s.redis.version(ctx)
	results.Seconds = now().Sub(began).Seconds()
	return results, nil
}

// hasFailpoints tells whether a program was built with -tags failpoints.
func hasFailpoints(path string) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-tags" && slices.Contains(strings.Split(s.Value, ","), "failpoints")
	})
}

// versionOf asks a program for its version.
func versionOf(ctx context.Context, usher string) string {
	out, err := osexec.CommandContext(ctx, usher, "version").Output() //nolint:gosec // the operator's choice
	if err != nil {
		return "unknown: " + err.Error()
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "usher "))
}
