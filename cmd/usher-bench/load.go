package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"usher/handover/redisstore"
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
	rounds      int
	profiles    string // folder

	// Of a running Usher.
	url, secret, page, graph string
}

// loadCommand is `usher-bench load`.
func (p *program) loadCommand() *cobra.Command {
	o := loadOptions{
		length: 5 * time.Second, connections: 64, threads: 1000, batches: []int{1, 10, 100}, steps: 6,
		rounds: 3, replicas: 1, sendRate: unboundedRate, secret: appSecret, page: string(pageID), graph: "127.0.0.1:0",
	}
	c := &cobra.Command{
		Use:   "load",
		Short: "Measure how much Usher takes, and how fast it answers",
		Long: `Sends webhooks as fast as they are answered (closed loop), for each size of batch, and
then at rates that grow up to the knee (open loop), where latencies count from the time
an event was due. Usher, Redis and a Graph API that answers at once are started here;
or name a running Usher whose graph_url is --graph.

Each closed loop is measured --rounds times, and the middle one is told.

With --baseline three yardsticks are measured in turn with it, round by round, and what
Usher does of what each does: only that compares across machines, and across the moods
of one. They are Redis alone, which is asked to append each event to a stream; a bare
POST, which is read and answered; and a bare sketch of a bot, which verifies, appends,
answers 200, and replies to what it reads back, in order, without state or
deduplication. It has nothing of Usher's.`,
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
	f.IntVar(&o.rounds, "rounds", o.rounds, "how often each closed loop is measured, 1 to 99")
	f.BoolVar(&o.baseline, "baseline", false, "also measure the yardsticks")
	f.StringVar(&o.profiles, "profiles", "", "also write a CPU profile of Usher for each closed loop to this folder, of its last round")
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
	must(o.rounds >= 1 && o.rounds <= 99, "rounds", o.rounds, "1 to 99")
	must(len(o.rates) == 0 || slices.Min(o.rates) >= 1, "rates", o.rates, "1 or more each")
	must(o.replicas >= 1 && o.replicas <= 64, "replicas", o.replicas, "1 to 64")
	must(o.sendRate >= 1 && o.sendRate <= unboundedRate, "send-rate", o.sendRate, "1 to 100000")
	must(o.steps >= 0 && o.steps <= 20, "steps", o.steps, "0 to 20")
	must(o.url == "" || !o.baseline, "baseline", o.baseline, "no --url: the yardsticks want the same Redis")
	must(o.url == "" || o.profiles == "", "profiles", o.profiles, "no --url: its private listener is not known")
	return errors.Join(faults...)
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
	all   []*subject // Usher, and the yardsticks
	rows  []measured // as told
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
	} else {
		b.all = append(b.all, &subject{name: usherSubject, urls: []string{o.url}})
	}
	if err == nil && o.baseline {
		err = b.startYardsticks(ctx)
	}
	if err != nil {
		return err
	}
	if err := b.closedLoops(ctx); err != nil {
		return err
	}
	if err := b.openLoops(ctx); err != nil {
		return err
	}
	return errors.Join(b.write(), p.writeJSON(b.rows))
}

// unboundedRate is a rate of messages that nothing here reaches.
const unboundedRate = 100_000

// startUsher starts Redis and the replicas with the settings of every day, but that
// Meta's rate is no bound. What is sent goes to them.
func (b *bench) startUsher(ctx context.Context) error {
	binary, err := b.p.findUsher()
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
	b.fleet = newFleet(binary, b.dir, nil)
	usher := &subject{name: usherSubject}
	for n := range max(b.o.replicas, 1) {
		began := now()
		if err := b.fleet.launch(ctx, n); err != nil {
			return err
		}
		r := b.fleet.replica(n)
		if r == nil {
			return fmt.Errorf("%s serve: %w: %s", binary, errEnded, b.fleet.lastLine())
		}
		usher.urls, usher.pids = append(usher.urls, r.webhook), append(usher.pids, r.cmd.Process.Pid)
		fmt.Fprintf(b.p.stderr, "replica %d serves %d ms after its start\n", n, now().Sub(began).Milliseconds())
	}
	b.all = append(b.all, usher)
	return b.aim(usher)
}

// close ends everything.
func (b *bench) close() error {
	var errs []error
	for _, s := range b.all {
		errs = append(errs, s.close())
	}
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
