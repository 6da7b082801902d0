package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// measured is one row of the table.
type measured struct {
	Case    string  `json:"case"`
	Rounds  int     `json:"rounds"` // of which it is the middle one, the lower of two
	Batch   int     `json:"batch"`
	Asked   float64 `json:"asked_per_second,omitempty"` // of an open loop
	Acked   float64 `json:"acked_per_second"`
	Replied float64 `json:"replied_per_second"` // up to the last reply
	Ack     latency `json:"ack_ms"`
	Reply   latency `json:"reply_ms"`
	// In all rounds.
	Failed  int `json:"failed"`  // not answered with 200
	Missing int `json:"missing"` // acknowledged, and no reply came
	Strays  int `json:"strays"`  // replies that nobody waited for
	// What an event costs, and what there is at the end.
	LoadCPU   float64 `json:"load_cpu_us_per_event"` // of the generator and its Graph API
	ServerCPU float64 `json:"server_cpu_us_per_event"`
	RedisCPU  float64 `json:"redis_cpu_us_per_event"`
	Trips     float64 `json:"redis_round_trips_per_event,omitempty"` // of Usher
	ServerMB  float64 `json:"server_resident_mb"`
	RedisMB   float64 `json:"redis_used_mb"`
	// Of a yardstick: what Usher does of it, round by round.
	UsherAcked   *share `json:"usher_acked_of_it,omitempty"`
	UsherReplied *share `json:"usher_replied_of_it,omitempty"`
}

// latency are milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func latencyOf(h *hdr.Histogram) latency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return latency{ms(h.ValueAtQuantile(50)), ms(h.ValueAtQuantile(99)), ms(h.Max())}
}

// share is what Usher does of what a yardstick does, at the middle of all rounds, and
// their bounds.
type share struct {
	Middle float64 `json:"middle"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func shareOf(all []float64) *share {
	slices.Sort(all)
	n := len(all)
	return &share{Middle: (all[(n-1)/2] + all[n/2]) / 2, Least: all[0], Most: all[n-1]}
}

func (s *share) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Middle, s.Least, s.Most)
}

// subject is what is measured: Usher, or a yardstick.
type subject struct {
	name    string
	urls    []string // of its webhooks
	pids    []int    // of its processes
	instead func(ctx context.Context, body []byte) bool
	mute    bool                            // it sends no replies
	forget  func(ctx context.Context) error // what it has stored
	end     func() error
}

// usherSubject is Usher's name among subjects.
const usherSubject = "usher"

// close ends what was started for a yardstick.
func (s *subject) close() error {
	if s.end == nil {
		return nil
	}
	return s.end()
}

// closedLoops measures all subjects in turn, round by round, for each size of batch:
// the machine's mood is then the same for all.
func (b *bench) closedLoops(ctx context.Context) error {
	for _, s := range b.all {
		if err := b.warmUp(ctx, s); err != nil {
			return err
		}
	}
	for _, batch := range b.o.batches {
		rounds := make([][]measured, len(b.all)) // by subject
		for range b.o.rounds {
			for i, s := range b.all {
				profiled := b.profile(ctx, s, batch)
				row, err := b.measure(ctx, s, batch, 0, func() { b.d.closed(ctx, b.o.connections, b.o.length) })
				if err = errors.Join(err, <-profiled); err == nil && s.forget != nil {
					err = s.forget(ctx)
				}
				if err != nil {
					return err
				}
				rounds[i] = append(rounds[i], row)
			}
		}
		for i := range b.all {
			b.rows = append(b.rows, middle(rounds[i], rounds[0]))
		}
	}
	return nil
}

// middle returns the middle one of the rounds of a subject, and what Usher has done in
// the same rounds.
func middle(rounds, usher []measured) measured {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b measured) int {
		return cmp.Or(cmp.Compare(a.Replied, b.Replied), cmp.Compare(a.Acked, b.Acked))
	})
	row := sorted[(len(sorted)-1)/2]
	row.Rounds, row.Failed, row.Missing, row.Strays = len(rounds), 0, 0, 0
	for _, r := range rounds { // what went wrong in any of them is told
		row.Failed, row.Missing, row.Strays = row.Failed+r.Failed, row.Missing+r.Missing, row.Strays+r.Strays
	}
	if row.Case == usher[0].Case {
		return row
	}
	var acked, replied []float64
	for i, r := range rounds {
		acked = append(acked, usher[i].Acked/r.Acked)
		if r.Replied > 0 {
			replied = append(replied, usher[i].Replied/r.Replied)
		}
	}
	row.UsherAcked = shareOf(acked)
	if len(replied) > 0 {
		row.UsherReplied = shareOf(replied)
	}
	return row
}

// openLoops measures Usher at rates up to the knee.
func (b *bench) openLoops(ctx context.Context) error {
	rates := b.o.rates
	if len(rates) == 0 {
		best := b.rows[0].Replied
		for n := range b.o.steps { // from an eighth of what it reached to a little more
			rates = append(rates, int(best/8*(1+float64(n)*8/float64(max(b.o.steps-1, 1)))))
		}
	}
	for _, rate := range rates {
		row, err := b.measure(ctx, b.all[0], 1, float64(rate), func() { b.d.open(ctx, float64(rate), b.o.length) })
		if err != nil {
			return err
		}
		row.Rounds = 1
		b.rows = append(b.rows, row)
		if row.knee() {
			fmt.Fprintf(b.p.stderr, "%d events a second are beyond the knee\n", rate)
			break
		}
	}
	return nil
}

// profile writes a CPU profile of Usher while a closed loop runs, if asked to. It
// costs Usher some per cent: compare figures with figures that were profiled.
func (b *bench) profile(ctx context.Context, s *subject, batch int) <-chan error {
	done := make(chan error, 1)
	if b.o.profiles == "" || s.name != usherSubject {
		close(done)
		return done
	}
	go func() {
		data, err := ask(ctx, b.fleet.client, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", b.fleet.replica(0).private, max(int(b.o.length.Seconds()), 1)))
		if err == nil {
			err = os.WriteFile(filepath.Join(b.o.profiles, fmt.Sprintf("usher-%d.pprof", batch)), data, 0o600)
		}
		done <- err
	}()
	return done
}

// knee tells whether a rate was more than could be done: what was asked for was
// not reached, or replies fell seconds behind.
func (m measured) knee() bool {
	return m.Failed > 0 || m.Missing > 0 || m.Replied < 0.95*m.Asked || m.Reply.P99 > 2000
}

// aim makes what is sent go to a subject.
func (b *bench) aim(s *subject) error {
	b.d.instead = s.instead
	if err := b.d.to(s.urls...); err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	return nil
}

// warmUp fills caches and pools, and finds what does not answer at all.
func (b *bench) warmUp(ctx context.Context, s *subject) error {
	if err := b.aim(s); err != nil {
		return err
	}
	b.d.batch = 1
	b.d.reset()
	b.d.closed(ctx, min(b.o.connections, 8), 500*time.Millisecond)
	if err := context.Cause(ctx); s.mute || err != nil {
		if err == nil && b.d.acked == 0 {
			err = fmt.Errorf("%w: none of %d events was taken by %s", errSilent, b.d.failed, s.name)
		}
		return err
	}
	missing, err := b.d.answered(ctx)
	if err == nil && (b.d.acked == 0 || missing == b.d.acked) {
		err = fmt.Errorf("%w: of %d events at %s %d were acknowledged, and %d replies came to %s", errSilent, b.d.acked+b.d.failed, b.d.hooks[0].address, b.d.acked, b.d.replied, b.graph.address())
	}
	return err
}

var errSilent = errors.New("nobody answers")

// measure does one measurement, of a closed loop where asked is 0.
func (b *bench) measure(ctx context.Context, s *subject, batch int, asked float64, do func()) (measured, error) {
	if err := b.aim(s); err != nil {
		return measured{}, err
	}
	b.d.batch = batch
	b.d.reset()
	tripsBefore, err := b.trips(ctx, s)
	if err != nil {
		return measured{}, err
	}
	serverBefore, redisBefore, loadBefore := usageOf(s.pids...), b.redisUsage(), usageOf(os.Getpid())
	do()
	sent := now()
	missing := 0
	if !s.mute {
		missing, err = b.d.answered(ctx)
	}
	if err := errors.Join(err, context.Cause(ctx)); err != nil {
		return measured{}, err
	}
	server, redis, load := usageOf(s.pids...), b.redisUsage(), usageOf(os.Getpid())
	trips, err := b.trips(ctx, s)
	if err != nil {
		return measured{}, err
	}
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	t := b.d.tally
	events := float64(max(t.acked, 1))
	each := func(before, after usage) float64 { return float64((after.cpu - before.cpu).Microseconds()) / events }
	row := measured{
		Case: s.name, Batch: batch, Asked: asked, Acked: float64(t.acked) / sent.Sub(t.began).Seconds(),
		Ack: latencyOf(t.ack), Reply: latencyOf(t.reply), Failed: t.failed, Missing: missing, Strays: t.strays,
		ServerCPU: each(serverBefore, server), RedisCPU: each(redisBefore, redis), LoadCPU: each(loadBefore, load),
		ServerMB: float64(server.resident) / 1e6, Trips: (trips - tripsBefore) / events,
	}
	if s.name == usherSubject {
		row.Case = "usher, closed loop"
		if asked > 0 {
			row.Case = "usher, open loop"
		}
	}
	if t.replied > 0 {
		row.Replied = float64(t.replied) / max(t.lastReply.Sub(t.began), sent.Sub(t.began)).Seconds()
	}
	if b.redis != nil {
		row.RedisMB = float64(b.redis.memory(ctx)) / 1e6
	}
	fmt.Fprintf(b.p.stderr, "%s, batches of %d: %.0f acknowledged a second, %.0f replies a second\n", row.Case, batch, row.Acked, row.Replied)
	return row, nil
}

// trips asks the replicas how often they took a connection to Redis, which is how many
// round trips they made.
func (b *bench) trips(ctx context.Context, s *subject) (n float64, err error) {
	for i := range s.urls {
		if b.fleet == nil || s.name != usherSubject {
			break
		}
		text, err := ask(ctx, b.fleet.client, b.fleet.replica(i).private+"/metrics")
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name != "usher_redis_pool_hits_total" && name != "usher_redis_pool_misses_total" {
				continue
			}
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			n += v
		}
	}
	return n, nil
}

func (b *bench) redisUsage() usage {
	if b.redis == nil {
		return usage{}
	}
	return usageOf(b.redis.nodes[0].cmd.Process.Pid)
}

// write writes the table.
func (b *bench) write() error {
	t := tabwriter.NewWriter(b.p.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) } // Flush reports it
	say("\tbatch\tasked/s\tacked/s\treplies/s\tack p50\tp99\tmax ms\treply p50\tp99\tmax ms\tCPU µs\tRedis µs\tload µs\ttrips\tRSS MB\tRedis MB\tfailed\tmissing\t\n")
	for _, m := range b.rows {
		say("%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%d\t%d\t\n", m.Case, m.Batch, m.Asked, m.Acked, m.Replied,
			m.Ack.P50, m.Ack.P99, m.Ack.Max, m.Reply.P50, m.Reply.P99, m.Reply.Max, m.ServerCPU, m.RedisCPU, m.LoadCPU, m.Trips, m.ServerMB, m.RedisMB, m.Failed, m.Missing)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range b.rows {
		if m.UsherAcked == nil {
			continue
		}
		fmt.Fprintf(b.p.stdout, "batches of %d: Usher acknowledges %v of what %s does", m.Batch, m.UsherAcked, m.Case)
		if m.UsherReplied != nil {
			fmt.Fprintf(b.p.stdout, ", and replies %v", m.UsherReplied)
		}
		fmt.Fprintln(b.p.stdout)
	}
	return nil
}
