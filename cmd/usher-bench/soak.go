package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// soakOptions are the flags of `usher-bench soak`.
type soakOptions struct {
	length time.Duration
	every  time.Duration
	rate   int
	load   loadOptions
}

// soakCommand is `usher-bench soak`.
func (p *program) soakCommand() *cobra.Command {
	o := soakOptions{length: time.Hour, every: 10 * time.Second, rate: 100}
	o.load = loadOptions{connections: 64, threads: 10_000, secret: appSecret, page: string(pageID), graph: "127.0.0.1:0"}
	c := &cobra.Command{
		Use:   "soak",
		Short: "Let Usher work for hours, and see what grows",
		Long: `Sends webhooks at a steady rate for hours, and looks at memory, goroutines and open
files now and then. What grows over the second half of the run, when caches and pools
are full, is a leak: then it exits 1.

The memory of Redis is told and not judged: it grows by what each event's id takes for
48 hours, and by histories up to their cap.`,
		Example: "  usher-bench soak --for 8h --json soak.json\n  usher-bench soak --for 20m --rate 500 --every 5s",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.soak(cmd.Context(), o) },
	}
	f := c.Flags()
	f.DurationVar(&o.length, "for", o.length, "how long")
	f.DurationVar(&o.every, "every", o.every, "how often to look")
	f.IntVar(&o.rate, "rate", o.rate, "events a second")
	f.IntVar(&o.load.threads, "threads", o.load.threads, "how many customers write")
	f.DurationVar(&o.load.graphDelay, "graph-delay", 0, "how long the Graph API takes to answer")
	return c
}

// leastSamples is how many a slope is drawn through.
const leastSamples = 10

func (o *soakOptions) validate() error {
	var faults []error
	must := func(ok bool, flag string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: --%s %v: want %s", errFlag, flag, value, want))
		}
	}
	must(o.every >= 50*time.Millisecond, "every", o.every, "50ms or more")
	must(o.length >= 2*leastSamples*o.every, "for", o.length, fmt.Sprintf("%d times --every or more", 2*leastSamples))
	must(o.rate >= 1, "rate", o.rate, "1 or more")
	must(o.load.threads >= 1, "threads", o.load.threads, "1 or more")
	return errors.Join(faults...)
}

// sample is what was there at a time.
type sample struct {
	At         float64 `json:"at_seconds"`
	ResidentMB float64 `json:"resident_mb"`
	Goroutines float64 `json:"goroutines"`
	Files      float64 `json:"files"`
	RedisMB    float64 `json:"redis_mb"`
}

// trend is how something changed over the second half of a run.
type trend struct {
	What    string  `json:"what"`
	First   float64 `json:"first"`
	Last    float64 `json:"last"`
	PerHour float64 `json:"per_hour"`
	Grows   bool    `json:"grows"`
}

// soakResults is what a run came to.
type soakResults struct {
	Seconds float64  `json:"seconds"`
	Load    measured `json:"load"`
	Trends  []trend  `json:"trends"`
	Samples []sample `json:"samples"`
}

var errGrows = errors.New("something grows")

// soak carries out `usher-bench soak`.
func (p *program) soak(ctx context.Context, o soakOptions) (err error) {
	b := &bench{o: o.load, p: p, d: &driver{
		secret: o.load.secret, page: o.load.page, threads: o.load.threads, graphDelay: o.load.graphDelay,
	}}
	b.d.reset()
	defer func() { err = errors.Join(err, b.close()) }()
	if b.graph, err = listenGraph(ctx, o.load.graph, b.d.graphDelay, b.d.answer); err != nil {
		return err
	}
	if err := b.startUsher(ctx); err != nil {
		return err
	}
	if err := b.warmUp(ctx, b.all[0]); err != nil {
		return err
	}
	watching, enough := context.WithCancel(ctx)
	var samples []sample
	var sampleErr error
	var watch sync.WaitGroup
	watch.Go(func() { samples, sampleErr = b.watch(watching, o.every) })
	row, err := b.measure(ctx, b.all[0], 1, float64(o.rate), func() { b.d.open(ctx, float64(o.rate), o.length) })
	enough()
	watch.Wait()
	if err := errors.Join(err, sampleErr); err != nil {
		return err
	}
	results := soakResults{Seconds: o.length.Seconds(), Load: row, Samples: samples, Trends: trends(samples)}
	if err := errors.Join(results.write(p), p.writeJSON(results)); err != nil {
		return err
	}
	for _, t := range results.Trends {
		if t.Grows {
			return fmt.Errorf("%w: %s", errGrows, t.What)
		}
	}
	return nil
}

// watch takes samples until ctx ends.
func (b *bench) watch(ctx context.Context, every time.Duration) (samples []sample, err error) {
	began := now()
	r := b.fleet.replica(0)
	for pause(ctx, every) {
		n, err := goroutines(ctx, b.fleet.client, r.private)
		switch {
		case ctx.Err() != nil:
			return samples, nil //nolint:nilerr // the run is over
		case err != nil:
			return nil, err
		}
		u := usageOf(r.cmd.Process.Pid)
		s := sample{
			At: now().Sub(began).Seconds(), ResidentMB: float64(u.resident) / 1e6, Goroutines: float64(n), Files: float64(u.files),
			RedisMB: float64(b.redis.memory(ctx)) / 1e6,
		}
		samples = append(samples, s)
		fmt.Fprintf(b.p.stderr, "%7.0fs  %6.1f MB resident  %5.0f goroutines  %4.0f files  %7.1f MB of Redis\n", s.At, s.ResidentMB, s.Goroutines, s.Files, s.RedisMB)
	}
	return samples, nil
}

// trends draws a line through the second half of the samples. What grows by less
// than a tenth, or by what comes and goes with the load, does not count.
func trends(samples []sample) []trend {
	half := samples[len(samples)/2:]
	judge := func(what string, of func(sample) float64, noise float64) trend {
		t := trend{What: what, First: of(samples[0]), Last: of(samples[len(samples)-1])}
		perSecond, mean := slope(half, of)
		t.PerHour = perSecond * 3600
		growth := perSecond * (half[len(half)-1].At - half[0].At)
		t.Grows = noise > 0 && growth > max(noise, mean/10)
		return t
	}
	return []trend{
		judge("MB resident", func(s sample) float64 { return s.ResidentMB }, 8),
		judge("goroutines", func(s sample) float64 { return s.Goroutines }, 50),
		judge("open files", func(s sample) float64 { return s.Files }, 20),
		judge("MB of Redis", func(s sample) float64 { return s.RedisMB }, 0),
	}
}

// slope is that of the line with the least squares, per second, and the mean.
func slope(samples []sample, of func(sample) float64) (perSecond, mean float64) {
	n := float64(len(samples))
	var at float64
	for _, s := range samples {
		at += s.At / n
		mean += of(s) / n
	}
	var over, under float64
	for _, s := range samples {
		over += (s.At - at) * (of(s) - mean)
		under += (s.At - at) * (s.At - at)
	}
	if under == 0 {
		return 0, mean
	}
	return over / under, mean
}

func (r soakResults) write(p *program) error {
	fmt.Fprintf(p.stdout, "%.0f s at %.0f events a second: %.0f acknowledged, %.0f replies, reply p50 %.1f ms, p99 %.1f ms, %d failed, %d missing\n\n",
		r.Seconds, r.Load.Asked, r.Load.Acked, r.Load.Replied, r.Load.Reply.P50, r.Load.Reply.P99, r.Load.Failed, r.Load.Missing)
	t := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\tFIRST\tLAST\tPER HOUR, SECOND HALF\t") // Flush reports it
	for _, x := range r.Trends {
		says := ""
		if x.Grows {
			says = "grows"
		}
		_, _ = fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%+.1f\t%s\n", x.What, x.First, x.Last, x.PerHour, says)
	}
	return t.Flush()
}
