package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/handover/engine"
	"usher/handover/redisstore"
)

// Engine is asked at each scrape how it stands.
type Engine interface {
	Status() []engine.PageStatus
	Stats() engine.Stats
}

// Store is asked for what waits in it, at most once in [sampleAge].
type Store interface {
	Backlog(ctx context.Context) (entries, effects int64, err error)
	Oldest(ctx context.Context) (time.Duration, error)
	Refused() int64
	Pool() redisstore.Pool
}

// Bounds of what a scrape asks of the store. A scrape must be answered also, and
// above all, while Redis is not.
const (
	sampleAge     = 5 * time.Second
	sampleTimeout = time.Second
)

// Watch shows, from now on, how the engine and the store stand. Partitions is how
// many there are in all.
func (m *Metrics) Watch(e Engine, s Store, partitions int, now func() time.Time) {
	m.registry.MustRegister(&watcher{engine: e, store: s, partitions: partitions, now: now})
}

// watcher is a [prometheus.Collector].
type watcher struct {
	engine     Engine
	store      Store
	partitions int
	now        func() time.Time

	mu     sync.Mutex
	taken  time.Time
	sample sample
}

// sample is what waits in the store.
type sample struct {
	entries, effects int64
	oldest           time.Duration
	err              error
}

//nolint:gochecknoglobals // a table
var (
	pageState = desc("page_state", "1 for how it stands with the calls of a Page: open, slow, unreachable, limited or suspended.", "page", "state")
	pageWait  = desc("page_waiting_calls", "Calls of the Page that wait for their turn in this process.", "page")
	pageUsage = desc("page_usage_ratio", "How much of Meta's allowance is spent, 0 to 1 and above.", "page")

	partitions = desc("partitions", "Partitions that there are in all.")
	owned      = desc("partitions_owned", "Partitions that this process owns.")
	lost       = desc("leases_lost_total", "Leases that another process took: this one was frozen, or cut off from Redis.")
	reloaded   = desc("partitions_reloaded_total", "Partitions loaded anew, as Redis had forgotten commits: a failover.")
	refused    = desc("commits_refused_total", "Commits that Redis refused, as the lease was another's.")
	slowed     = desc("deliveries_slowed_total", "Deliveries that were answered up to a second later, as replies could not keep up.")
	pending    = desc("outbox_effects", "Calls in the outbox of the partitions that this process owns.")
	oldest     = desc("outbox_oldest_seconds", "Age of the oldest of them; 0 where there is none.")

	redisUp     = desc("redis_up", "1 where Redis answered the latest sample, else 0.")
	entries     = desc("backlog_entries", "Accepted entries of all partitions that wait for a decision.")
	effects     = desc("backlog_effects", "Calls in the outbox of all partitions.")
	entryAge    = desc("backlog_oldest_seconds", "How long the oldest accepted entry waits; 0 where there is none.")
	connections = desc("redis_pool_connections", "Open connections to Redis.")
	idle        = desc("redis_pool_idle_connections", "Those of them that are free.")
	hits        = desc("redis_pool_hits_total", "Times that a free connection was found.")
	misses      = desc("redis_pool_misses_total", "Times that none was.")
	timeouts    = desc("redis_pool_timeouts_total", "Times that none became free in time.")
	stale       = desc("redis_pool_stale_total", "Connections that were closed, being broken or old.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("usher_"+name, help, labels, nil)
}

// Describe tells what Collect gives.
func (*watcher) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		pageState, pageWait, pageUsage, partitions, owned, lost, reloaded, refused, slowed, pending, oldest,
		redisUp, entries, effects, entryAge, connections, idle, hits, misses, timeouts, stale,
	} {
		out <- d
	}
}

// Collect asks how it stands.
func (w *watcher) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n int64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	for _, p := range w.engine.Status() {
		page := string(p.Page)
		for _, state := range []engine.State{engine.Open, engine.Slow, engine.Unreachable, engine.Limited, engine.Suspended} {
			gauge(pageState, is(p.State == state), page, state.String())
		}
		gauge(pageWait, float64(p.Waiting), page)
		gauge(pageUsage, p.Usage/100, page)
	}
	e := w.engine.Stats()
	gauge(partitions, float64(w.partitions))
	gauge(owned, float64(e.Partitions))
	count(lost, e.Lost)
	count(reloaded, e.Reloaded)
	count(refused, w.store.Refused())
	count(slowed, e.Slowed)
	gauge(pending, float64(e.Pending))
	gauge(oldest, e.Oldest.Seconds())

	s := w.latest()
	gauge(redisUp, is(s.err == nil))
	if s.err == nil { // what is not known is not 0
		gauge(entries, float64(s.entries))
		gauge(effects, float64(s.effects))
		gauge(entryAge, max(s.oldest, 0).Seconds())
	}
	p := w.store.Pool()
	gauge(connections, float64(p.Connections))
	gauge(idle, float64(p.Idle))
	count(hits, p.Hits)
	count(misses, p.Misses)
	count(timeouts, p.Timeouts)
	count(stale, p.Stale)
}

// latest returns a sample that is not older than sampleAge.
func (w *watcher) latest() sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); w.taken.IsZero() || now.Sub(w.taken) >= sampleAge {
		w.taken, w.sample = now, w.take()
	}
	return w.sample
}

func (w *watcher) take() (s sample) {
	ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout) // it is for all who scrape
	defer cancel()
	if s.entries, s.effects, s.err = w.store.Backlog(ctx); s.err == nil {
		s.oldest, s.err = w.store.Oldest(ctx)
	}
	return s
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
