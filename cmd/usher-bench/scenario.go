package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/handover/redisstore"
)

// scenario is one thing that goes wrong, in a run of its own.
type scenario struct {
	short  string
	change func(*chaosOptions)
	faults []fault
	// says sums up what was seen; the error is of what should have been and was not.
	says func(*chaosResults) (string, error)
}

// scenarios returns what there is, by name.
func scenarios() map[string]scenario {
	all := map[string]scenario{
		"sigterm": {
			short: "each replica gets SIGTERM under load, while Graph is slow: it ends within 15 s, and nothing is lost",
			faults: []fault{
				{At: 0.15, Kind: "graph slow", For: 6 * time.Second, Size: 150},
				{At: 0.2, Kind: "replica stopped", Target: 0, For: 300 * time.Millisecond},
				{At: 0.4, Kind: "replica stopped", Target: 1, For: 300 * time.Millisecond},
				{At: 0.6, Kind: "replica stopped", Target: 2, For: 300 * time.Millisecond},
			},
			says: func(r *chaosResults) (string, error) {
				return fmt.Sprintf("%d ends by SIGTERM, the slowest in %.1f s; of %d acknowledged events %d were lost, %d messages were sent twice",
					r.Stops, r.SlowestStop, r.Figures.Acknowledged, r.Figures.Lost, r.Figures.Duplicates), r.held(r.Stops >= 2*r.Replicas)
			},
		},
		"outage": {
			short:  "Redis is away for 5 s under load: deliveries are refused with 503, and then each event is answered once",
			faults: []fault{{At: 0.3, Kind: "redis restarted", For: 5 * time.Second}},
			says: func(r *chaosResults) (string, error) {
				return fmt.Sprintf("%d deliveries refused, the slowest after %.2f s; of %d acknowledged events %d were lost, %d decided twice, %d messages were sent twice; all was done %.1f s after the last act",
					r.Refusals, r.SlowestRefusal, r.Figures.Acknowledged, r.Figures.Lost, r.Figures.DecidedTwice, r.Figures.Duplicates, r.Drained), r.held(r.Refusals > 0)
			},
		},
		"unconfirmed": {
			short: "the primary dies with what its replicas do not have, and nothing waits for them: acknowledged events are lost, which durability: replicated prevents",
			change: func(o *chaosOptions) {
				o.redis, o.confirm, o.durable = redisSentinel, 0, string(redisstore.Standard)
			},
			faults: []fault{{At: 0.4, Kind: primaryLost, For: 300 * time.Millisecond}},
			says: func(r *chaosResults) (string, error) {
				var err error
				if r.Figures.Lost == 0 {
					err = errNotShown
				}
				return fmt.Sprintf("of %d acknowledged events %d were lost with the primary: WAIT is what durability: replicated adds", r.Figures.Acknowledged, r.Figures.Lost), err
			},
		},
		"confirmed": {
			short: "the same with durability: replicated: nothing is lost",
			change: func(o *chaosOptions) {
				o.redis = redisSentinel
			},
			faults: []fault{{At: 0.4, Kind: primaryLost, For: 300 * time.Millisecond}},
			says: func(r *chaosResults) (string, error) {
				return fmt.Sprintf("of %d acknowledged events %d were lost with the primary", r.Figures.Acknowledged, r.Figures.Lost), r.held(true)
			},
		},
	}
	if canFillDisk {
		all["full-disk"] = scenario{
			short:  "Redis's disk is full for 3 s under load: deliveries are refused with 503, and then each event is answered once",
			change: func(o *chaosOptions) { o.durable = string(redisstore.Standard) },
			faults: []fault{{At: 0.3, Kind: "redis disk full", For: 3 * time.Second}},
			says: func(r *chaosResults) (string, error) {
				return fmt.Sprintf("%d deliveries refused, the slowest after %.2f s; of %d acknowledged events %d were lost, %d decided twice, %d messages were sent twice",
					r.Refusals, r.SlowestRefusal, r.Figures.Acknowledged, r.Figures.Lost, r.Figures.DecidedTwice, r.Figures.Duplicates), r.held(r.Refusals > 0)
			},
		}
	}
	return all
}

var errNotShown = errors.New("the run does not show what it is for")

// held returns an error unless no guarantee was broken, and more was seen to be so.
func (r *chaosResults) held(more bool) error {
	switch {
	case !r.OK():
		return errBroken
	case !more:
		return errNotShown
	}
	return nil
}

// scenarioCommand is `usher-bench scenario`.
func (p *program) scenarioCommand() *cobra.Command {
	o := defaultChaos()
	o.length = 12 * time.Second
	all := scenarios()
	names := slices.Sorted(maps.Keys(all))
	var list strings.Builder
	for _, name := range names {
		fmt.Fprintf(&list, "  %-12s %s\n", name, all[name].short)
	}
	c := &cobra.Command{
		Use:       "scenario NAME",
		Short:     "One thing that goes wrong, and what comes of it",
		Long:      "Runs like chaos with one thing that goes wrong, and says what came of it:\n\n" + list.String(),
		Example:   "  usher-bench scenario sigterm\n  usher-bench scenario outage --for 30s --json outage.json",
		ValidArgs: names,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		PreRunE:   func(*cobra.Command, []string) error { return o.validate() },
		RunE:      func(cmd *cobra.Command, args []string) error { return p.scenario(cmd.Context(), o, all[args[0]]) },
	}
	f := c.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "of what people do; 0 draws one")
	f.DurationVar(&o.length, "for", o.length, "how long the run takes")
	f.IntVar(&o.customers, "customers", o.customers, "who talk at a time")
	f.DurationVar(&o.pace, "pace", o.pace, "of a customer, between two acts")
	return c
}

func (p *program) scenario(ctx context.Context, o chaosOptions, s scenario) error {
	if s.change != nil {
		s.change(&o)
	}
	o.faults = len(s.faults)
	results, err := p.trial(ctx, o, s.faults)
	if err != nil {
		return err
	}
	if err := errors.Join(results.write(p.stdout), p.writeJSON(results)); err != nil {
		return err
	}
	says, err := s.says(results)
	fmt.Fprintf(p.stdout, "\n%s\n", says)
	return err
}
