package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// memoryOptions are the flags of `usher-bench memory`.
type memoryOptions struct {
	threads, exchanges int
	idle               time.Duration
}

// memoryCommand is `usher-bench memory`.
func (p *program) memoryCommand() *cobra.Command {
	o := memoryOptions{threads: 100_000, exchanges: 1, idle: 10 * time.Second}
	c := &cobra.Command{
		Use:   "memory",
		Short: "Measure what remembered threads take",
		Long: `Lets customers write and be answered, and then tells how much memory Redis needs for
each of them, and for what, and what Usher and Redis do while all of them are silent.

The ids of events are as long as Meta's. They are remembered for 48 hours, a thread and
its history for 30 days after the last event.`,
		Example: "  usher-bench memory --threads 1000000\n  usher-bench memory --threads 20000 --exchanges 20",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.memory(cmd.Context(), o) },
	}
	f := c.Flags()
	f.IntVar(&o.threads, "threads", o.threads, "how many customers write")
	f.IntVar(&o.exchanges, "exchanges", o.exchanges, "how often each of them writes and is answered")
	f.DurationVar(&o.idle, "idle", o.idle, "how long to watch the silence")
	return c
}

func (o *memoryOptions) validate() error {
	var faults []error
	must := func(ok bool, flag string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: --%s %v: want %s", errFlag, flag, value, want))
		}
	}
	must(o.threads >= 1 && o.threads <= 100_000_000, "threads", o.threads, "1 to 100000000")
	must(o.exchanges >= 1 && o.exchanges <= 1000, "exchanges", o.exchanges, "1 to 1000")
	must(o.idle >= 100*time.Millisecond, "idle", o.idle, "100ms or more")
	return errors.Join(faults...)
}

// memoryResults is what a run came to. Bytes are those of Redis.
type memoryResults struct {
	Threads   int     `json:"threads"`
	Exchanges int     `json:"exchanges"`
	Seconds   float64 `json:"seconds"`    // until all were answered
	PerThread float64 `json:"per_thread"` // bytes of all that is there, for each thread
	State     float64 `json:"state"`      // of them the thread itself,
	History   float64 `json:"history"`    // its history,
	IDs       float64 `json:"ids"`        // and the ids of its events, for 48 hours
	// What the silence takes: CPU in ms a second.
	UsherIdle  float64 `json:"usher_idle_ms_per_second"`
	RedisIdle  float64 `json:"redis_idle_ms_per_second"`
	ResidentMB float64 `json:"resident_mb"`
}

// batchOfMemory is how many events come at once. No two of a delivery are one
// customer's, so that many threads are open at a time.
const batchOfMemory = 500

// backlogOfMemory is how many may wait for their answer: a flood is not what is
// measured here.
const backlogOfMemory = 8 * batchOfMemory

// memory carries out `usher-bench memory`.
func (p *program) memory(ctx context.Context, o memoryOptions) (err error) {
	const connections = 8
	b := &bench{o: loadOptions{threads: o.threads, replicas: 1}, p: p, d: &driver{
		secret: appSecret, page: string(pageID), threads: o.threads, batch: min(batchOfMemory, o.threads),
	}}
	b.d.reset()
	defer func() { err = errors.Join(err, b.close()) }()
	if b.graph, err = listenGraph(ctx, "127.0.0.1:0", b.d.graphDelay, b.d.answer); err != nil {
		return err
	}
	if err := b.startUsher(ctx); err != nil {
		return err
	}
	before, began := b.redis.memory(ctx), now()
	deliveries := int64((o.threads*o.exchanges + b.d.batch - 1) / b.d.batch)
	var sent atomic.Int64
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil && sent.Add(1) <= deliveries {
				_ = poll(ctx, func() bool { return b.d.unanswered() < backlogOfMemory }) // whoever gives up has ended
				b.d.post(ctx, now())
			}
		})
	}
	all.Wait()
	missing, err := b.d.answered(ctx)
	if err == nil && (missing > 0 || b.d.failed > 0) {
		err = fmt.Errorf("%w: %d events were not acknowledged, and %d of the others not answered", errSilent, b.d.failed, missing)
	}
	if err != nil {
		return err
	}
	r := memoryResults{Threads: o.threads, Exchanges: o.exchanges, Seconds: now().Sub(began).Seconds()}
	pause(ctx, 2*time.Second) // the last results are committed, and buffers given back
	r.PerThread = float64(b.redis.memory(ctx)-before) / float64(o.threads)
	if err := r.look(ctx, b.redis.nodes[0].direct); err != nil {
		return err
	}
	pid := b.fleet.replica(0).cmd.Process.Pid
	usherBefore, redisBefore := usageOf(pid), b.redisUsage()
	pause(ctx, o.idle)
	usherAfter, redisAfter := usageOf(pid), b.redisUsage()
	r.UsherIdle = float64((usherAfter.cpu - usherBefore.cpu).Milliseconds()) / o.idle.Seconds()
	r.RedisIdle = float64((redisAfter.cpu - redisBefore.cpu).Milliseconds()) / o.idle.Seconds()
	r.ResidentMB = float64(usherAfter.resident) / 1e6
	return errors.Join(r.write(p), p.writeJSON(&r), context.Cause(ctx))
}

// look asks Redis what its keys take. Of threads and histories it looks at a part.
func (r *memoryResults) look(ctx context.Context, rdb *redis.Client) error {
	const enough = 2000
	var states, histories []float64
	for scan := rdb.Scan(ctx, 0, "*", 1000).Iterator(); scan.Next(ctx) && min(len(states), len(histories)) < enough; {
		key := scan.Val()
		to := &states
		switch {
		case strings.Contains(key, "}:h:"):
			to = &histories
		case !strings.Contains(key, "}:t:"):
			continue
		}
		n, err := rdb.MemoryUsage(ctx, key, 0).Result()
		if err != nil {
			return fmt.Errorf("memory of %s: %w", key, err)
		}
		*to = append(*to, float64(n))
	}
	r.State, r.History = mean(states), mean(histories)
	for n := range partitions {
		for _, set := range idSets(n) {
			taken, err := rdb.MemoryUsage(ctx, set, 0).Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return fmt.Errorf("memory of the ids: %w", err)
			}
			r.IDs += float64(taken) / float64(r.Threads)
		}
	}
	return nil
}

// idSets returns the keys that hold what is known in a partition.
func idSets(partition int) [2]string {
	return [2]string{fmt.Sprintf("usher:{p%d}:dd0", partition), fmt.Sprintf("usher:{p%d}:dd1", partition)}
}

func mean(of []float64) (m float64) {
	for _, n := range of {
		m += n / float64(len(of))
	}
	return m
}

func (r *memoryResults) write(p *program) error {
	t := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(t, "threads\texchanges\tseconds\tB a thread\tits state\tits history\tids for 48 h\tidle: Usher ms/s\tRedis ms/s\tRSS MB\t\n"+
		"%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%.0f\t\n", // Flush reports it
		r.Threads, r.Exchanges, r.Seconds, r.PerThread, r.State, r.History, r.IDs, r.UsherIdle, r.RedisIdle, r.ResidentMB)
	return t.Flush()
}
