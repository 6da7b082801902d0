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
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"usher/handover/redisstore"
	"usher/messenger/webhook"
)

// loadOptions are the flags of `usher-bench load`.
type loadOptions struct {
	length      time.Duration
	connections int
	threads     int
	batches     []int
	rates       []int
	steps       int
	graphDelay  time.Duration
	replicas    int
	sendRate    int
	baseline    bool
	profiles    string // folder

	// Of a running Usher.
	url, secret, page, graph string
}

// loadCommand is `usher-bench load`.
func (p *program) loadCommand() *cobra.Command {
	o := loadOptions{
		length: 5 * time.Second, connections: 64, threads: 1000, batches: []int{1, 10, 100}, steps: 6,
		replicas: 1, sendRate: unboundedRate, secret: appSecret, page: string(pageID), graph: "127.0.0.1:0",
	}
	c := &cobra.Command{
		Use:   "load",
		Short: "Measure how much Usher takes, and how fast it answers",
		Long: `Sends webhooks as fast as they are answered (closed loop), for each size of batch, and
then at rates that grow up to the knee (open loop), where latencies count from the time
an event was due. Usher, Redis and a Graph API that answers at once are started here;
or name a running Usher whose graph_url is --graph.

With --baseline the same is done to three yardsticks, and their ratios are told: only
those compare across machines. They are Redis alone, which is asked to append each event
to a stream; a bare POST, which is read and answered; and a bare sketch of a bot, which
verifies, appends, answers 200 and sends, without state, order or deduplication.`,
		Example: `  usher-bench load --baseline --json load.json
  usher-bench load --rates 100,200,500,1000 --for 20s --graph-delay 50ms
  usher-bench load --url https://usher.example/webhook --secret S --page 1000000000000001 --graph 127.0.0.1:9090`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.load(cmd.Context(), o) },
	}
	f := c.Flags()
	f.DurationVar(&o.length, "for", o.length, "how long each measurement takes")
	f.IntVar(&o.connections, "connections", o.connections, "of the closed loop")
	f.IntVar(&o.threads, "threads", o.threads, "how many customers write")
	f.IntSliceVar(&o.batches, "batches", o.batches, "events in a webhook, for each closed loop, 1 to 1000")
	f.IntSliceVar(&o.rates, "rates", nil, "events a second of the open loops; by default they follow from what the closed loop reached")
	f.IntVar(&o.steps, "steps", o.steps, "how many of those by default, 0 to 20")
	f.DurationVar(&o.graphDelay, "graph-delay", 0, "how long the Graph API takes to answer")
	f.IntVar(&o.replicas, "replicas", o.replicas, "how many Ushers share the work")
	f.IntVar(&o.sendRate, "send-rate", o.sendRate, "messages that each of them may send a second, 1 to 100000; Meta wants 300 at most for a Page")
	f.BoolVar(&o.baseline, "baseline", false, "also measure the yardsticks")
	f.StringVar(&o.profiles, "profiles", "", "also write a CPU profile of Usher for each closed loop to this folder")
	f.StringVar(&o.url, "url", "", "webhook of a running Usher")
	f.StringVar(&o.secret, "secret", o.secret, "its app secret")
	f.StringVar(&o.page, "page", o.page, "its Page")
	f.StringVar(&o.graph, "graph", o.graph, "where the Graph API listens")
	return c
}

func (o *loadOptions) validate() error {
	var faults []error
	must := func(ok bool, flag string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: --%s %v: want %s", errFlag, flag, value, want))
		}
	}
	must(o.length >= 100*time.Millisecond, "for", o.length, "100ms or more")
	must(o.connections >= 1 && o.connections <= 10_000, "connections", o.connections, "1 to 10000")
	must(o.threads >= 1, "threads", o.threads, "1 or more")
	must(len(o.batches) > 0 && slices.Min(o.batches) >= 1 && slices.Max(o.batches) <= 1000, "batches", o.batches, "1 to 1000 each")
	must(len(o.rates) == 0 || slices.Min(o.rates) >= 1, "rates", o.rates, "1 or more each")
	must(o.replicas >= 1 && o.replicas <= 64, "replicas", o.replicas, "1 to 64")
	must(o.sendRate >= 1 && o.sendRate <= unboundedRate, "send-rate", o.sendRate, "1 to 100000")
	must(o.steps >= 0 && o.steps <= 20, "steps", o.steps, "0 to 20")
	must(o.url == "" || !o.baseline, "baseline", o.baseline, "no --url: the yardsticks want the same Redis")
	must(o.url == "" || o.profiles == "", "profiles", o.profiles, "no --url: its private listener is not known")
	return errors.Join(faults...)
}

// measured is one row of the table.
type measured struct {
	Case    string  `json:"case"`
	Batch   int     `json:"batch"`
	Asked   float64 `json:"asked_per_second,omitempty"` // of an open loop
	Acked   float64 `json:"acked_per_second"`
	Replied float64 `json:"replied_per_second"` // up to the last reply
	Ack     latency `json:"ack_ms"`
	Reply   latency `json:"reply_ms"`
	Failed  int     `json:"failed"`  // not answered with 200
	Missing int     `json:"missing"` // acknowledged, and no reply came
	Strays  int     `json:"strays"`  // replies that nobody waited for
	// What an event costs, and what there is at the end.
	ServerCPU float64 `json:"server_cpu_us_per_event"`
	RedisCPU  float64 `json:"redis_cpu_us_per_event"`
	Trips     float64 `json:"redis_round_trips_per_event,omitempty"` // of Usher
	ServerMB  float64 `json:"server_resident_mb"`
	RedisMB   float64 `json:"redis_used_mb"`
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

// bench is what a load run needs.
type bench struct {
	o     loadOptions
	p     *program
	dir   string
	d     *driver
	graph *graphServer
	redis *redisRig
	fleet *fleet
	rows  []measured
}

// load carries out `usher-bench load`.
func (p *program) load(ctx context.Context, o loadOptions) (err error) {
	b := &bench{o: o, p: p, d: &driver{
		secret: o.secret, page: o.page, threads: o.threads, graphDelay: o.graphDelay,
	}}
	b.d.reset()
	defer func() { err = errors.Join(err, b.close()) }()
	if b.graph, err = listenGraph(ctx, o.graph, b.d.graphDelay, b.d.answer); err != nil {
		return fmt.Errorf("--graph: %w", err)
	}
	if o.url == "" {
		err = b.startUsher(ctx)
	} else if err = b.d.to(o.url); err != nil {
		err = fmt.Errorf("--url: %w", err)
	}
	if err != nil {
		return err
	}
	if err := b.measureUsher(ctx); err != nil {
		return err
	}
	if o.baseline {
		for _, name := range []string{baselineRedis, baselineEcho, baselineSketch} {
			if err := b.measureBaseline(ctx, name); err != nil {
				return err
			}
		}
	}
	return errors.Join(b.write(), p.writeJSON(b.rows))
}

// unboundedRate is a rate of messages that nothing here reaches.
const unboundedRate = 100_000

// startUsher starts Redis and the replicas with the settings of every day, but that Meta's rate
// is no bound.
func (b *bench) startUsher(ctx context.Context) error {
	usher, err := b.p.findUsher()
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "usher-bench-"); err != nil {
		return err
	}
	if b.redis, err = startRedis(ctx, redisPlain, b.dir, fsyncs[redisstore.Standard], 0); err != nil {
		return err
	}
	settings := fmt.Sprintf(`listen: "127.0.0.1:0"
private_listen: "127.0.0.1:0"
redis: {url: "%s"}
outbox: {send_rate: %d}
messenger:
  app_id: "%s"
  app_secret: %s
  verify_token: any
  graph_url: http://%s
  pages: [{id: "%s", name: Harbour, access_token: %s}]
bot: {script: bot.yaml}
log: {format: json}
`, b.redis.url, cmp.Or(b.o.sendRate, unboundedRate), appID, appSecret, b.graph.address(), pageID, pageToken)
	for name, text := range map[string]string{"usher.yaml": settings, "bot.yaml": loadScript} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	b.fleet = newFleet(usher, b.dir, nil)
	var urls []string
	for n := range max(b.o.replicas, 1) {
		began := now()
		if err := b.fleet.launch(ctx, n); err != nil {
			return err
		}
		r := b.fleet.replica(n)
		if r == nil {
			return fmt.Errorf("%s serve: %w: %s", usher, errEnded, b.fleet.lastLine())
		}
		urls = append(urls, r.webhook)
		fmt.Fprintf(b.p.stderr, "replica %d serves %d ms after its start\n", n, now().Sub(began).Milliseconds())
	}
	return b.d.to(urls...)
}

// measureUsher measures closed loops, and then rates up to the knee.
func (b *bench) measureUsher(ctx context.Context) error {
	var server []int
	for n := 0; b.fleet != nil && n < b.o.replicas; n++ {
		server = append(server, b.fleet.replica(n).cmd.Process.Pid)
	}
	if err := b.warmUp(ctx); err != nil {
		return err
	}
	for _, batch := range b.o.batches {
		profiled := b.profile(ctx, batch)
		if err := errors.Join(b.closed(ctx, "usher, closed loop", batch, server), <-profiled); err != nil {
			return err
		}
	}
	rates := b.o.rates
	if len(rates) == 0 {
		best := b.rows[0].Replied
		for n := range b.o.steps { // from an eighth of what it reached to a little more
			rates = append(rates, int(best/8*(1+float64(n)*8/float64(max(b.o.steps-1, 1)))))
		}
	}
	for _, rate := range rates {
		row, err := b.measure(ctx, "usher, open loop", 1, float64(rate), server, func() { b.d.open(ctx, float64(rate), b.o.length) })
		if err != nil {
			return err
		}
		if row.knee() {
			fmt.Fprintf(b.p.stderr, "%d events a second are beyond the knee\n", rate)
			break
		}
	}
	return nil
}

// profile writes a CPU profile of Usher while a closed loop runs, if asked to. It
// costs Usher some per cent: compare figures with figures that were profiled.
func (b *bench) profile(ctx context.Context, batch int) <-chan error {
	done := make(chan error, 1)
	if b.o.profiles == "" {
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

// warmUp fills caches and pools, and finds what does not answer at all.
func (b *bench) warmUp(ctx context.Context) error {
	b.d.batch = 1
	b.d.reset()
	b.d.closed(ctx, min(b.o.connections, 8), 500*time.Millisecond)
	missing, err := b.d.answered(ctx)
	if err == nil && (b.d.acked == 0 || missing == b.d.acked) {
		err = fmt.Errorf("%w: of %d events at %s %d were acknowledged, and %d replies came to %s", errSilent, b.d.acked+b.d.failed, b.d.hooks[0].address, b.d.acked, b.d.replied, b.graph.address())
	}
	return err
}

var errSilent = errors.New("nobody answers")

func (b *bench) closed(ctx context.Context, name string, batch int, server []int) error {
	_, err := b.measure(ctx, name, batch, 0, server, func() { b.d.closed(ctx, b.o.connections, b.o.length) })
	return err
}

// measure does one measurement.
func (b *bench) measure(ctx context.Context, name string, batch int, asked float64, server []int, do func()) (measured, error) {
	b.d.batch = batch
	b.d.reset()
	ours := len(server) > 0 && strings.HasPrefix(name, "usher")
	var tripsBefore, tripsAfter float64
	var err error
	if ours {
		if tripsBefore, err = b.trips(ctx); err != nil {
			return measured{}, err
		}
	}
	serverBefore, redisBefore := usageOf(server...), b.redisUsage()
	do()
	sent := now()
	missing := 0
	if name != baselineEcho && name != baselineRedis { // they send none
		missing, err = b.d.answered(ctx)
	}
	if err := errors.Join(err, context.Cause(ctx)); err != nil {
		return measured{}, err
	}
	after, redisAfter := usageOf(server...), b.redisUsage()
	if ours {
		if tripsAfter, err = b.trips(ctx); err != nil {
			return measured{}, err
		}
	}
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	t := b.d.tally
	events := float64(max(t.acked, 1))
	row := measured{
		Case: name, Batch: batch, Asked: asked, Acked: float64(t.acked) / sent.Sub(t.began).Seconds(),
		Ack: latencyOf(t.ack), Reply: latencyOf(t.reply), Failed: t.failed, Missing: missing, Strays: t.strays,
		ServerCPU: float64((after.cpu - serverBefore.cpu).Microseconds()) / events, RedisCPU: float64((redisAfter.cpu - redisBefore.cpu).Microseconds()) / events,
		ServerMB: float64(after.resident) / 1e6, Trips: (tripsAfter - tripsBefore) / events,
	}
	if t.replied > 0 {
		row.Replied = float64(t.replied) / max(t.lastReply.Sub(t.began), sent.Sub(t.began)).Seconds()
	}
	if b.redis != nil {
		row.RedisMB = float64(b.redis.memory(ctx)) / 1e6
	}
	b.rows = append(b.rows, row)
	fmt.Fprintf(b.p.stderr, "%s, batches of %d: %.0f acknowledged a second, %.0f replies a second\n", name, batch, row.Acked, row.Replied)
	return row, nil
}

// trips asks the replicas how often they took a connection to Redis, which is how many
// round trips they made.
func (b *bench) trips(ctx context.Context) (n float64, err error) {
	for i := range b.d.hooks {
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

// measureBaseline measures a yardstick as Usher is.
func (b *bench) measureBaseline(ctx context.Context, name string) (err error) {
	if name == baselineRedis {
		return b.measureRedis(ctx)
	}
	c, url, err := startBaseline(ctx, name, b.redis.url, "http://"+b.graph.address())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.kill()) }()
	if err := b.d.to(url); err != nil {
		return err
	}
	for _, batch := range b.o.batches {
		if err := b.closed(ctx, name, batch, []int{c.cmd.Process.Pid}); err != nil {
			return err
		}
	}
	return nil
}

// measureRedis measures the Redis that Usher uses, without anything before it.
func (b *bench) measureRedis(ctx context.Context) error {
	o, err := redis.ParseURL(b.redis.url)
	if err != nil {
		return err
	}
	o.PoolSize = b.o.connections
	rdb := redis.NewClient(o)
	b.d.instead = func(ctx context.Context, body []byte) bool {
		events, err := webhook.Decode(body)
		return err == nil && appendTo(ctx, rdb, events) == nil
	}
	defer func() { b.d.instead = nil }()
	for _, batch := range b.o.batches {
		if err := b.closed(ctx, baselineRedis, batch, nil); err != nil {
			return errors.Join(err, rdb.Close())
		}
	}
	return rdb.Close()
}

// write writes the table.
func (b *bench) write() error {
	t := tabwriter.NewWriter(b.p.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) } // Flush reports it
	say("\tbatch\tasked/s\tacked/s\treplies/s\tack p50\tp99\tmax ms\treply p50\tp99\tmax ms\tCPU µs\tRedis µs\ttrips\tRSS MB\tRedis MB\tfailed\tmissing\t\n")
	for _, m := range b.rows {
		say("%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%d\t%d\t\n", m.Case, m.Batch, m.Asked, m.Acked, m.Replied,
			m.Ack.P50, m.Ack.P99, m.Ack.Max, m.Reply.P50, m.Reply.P99, m.Reply.Max, m.ServerCPU, m.RedisCPU, m.Trips, m.ServerMB, m.RedisMB, m.Failed, m.Missing)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range b.rows {
		if m.Case != baselineRedis && m.Case != baselineEcho && m.Case != baselineSketch {
			continue
		}
		ours := b.rows[slices.IndexFunc(b.rows, func(r measured) bool { return r.Batch == m.Batch })]
		fmt.Fprintf(b.p.stdout, "batches of %d: Usher acknowledges %.2f of what %s does", m.Batch, ours.Acked/m.Acked, m.Case)
		if m.Replied > 0 {
			fmt.Fprintf(b.p.stdout, ", and replies %.2f", ours.Replied/m.Replied)
		}
		fmt.Fprintln(b.p.stdout)
	}
	return nil
}

// close ends everything.
func (b *bench) close() error {
	var errs []error
	if b.fleet != nil {
		errs = append(errs, b.fleet.close())
	}
	if b.redis != nil {
		errs = append(errs, b.redis.close())
	}
	if b.graph != nil {
		errs = append(errs, b.graph.close())
	}
	errs = append(errs, b.d.to())
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}
