// Package metrics counts what Usher does and shows it to Prometheus.
//
//	webhook, engine, graph ─tell─▶ counters, histograms ─┐
//	                                                     ├─▶ GET /metrics
//	engine, store ◀─asked at each scrape─ sampled ───────┘
//
// Everything begins with usher_. Labels are few and bounded whatever Meta sends:
// a Page that is configured, a word that the code knows, or "other". There is
// never a thread, a person or a text.
//
// docs/operations.md explains each metric; deploy has alert rules and a dashboard.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"usher/handover"
	"usher/messenger"
)

// Metrics are the figures of one process. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	pages    words

	deliveries, events, sights, changes, episodes, calls, alarms, buried, requests *prometheus.CounterVec

	ack, commit, lag, late                  prometheus.Histogram
	reply, firstReply, requestTook, waiting *prometheus.HistogramVec
}

// Buckets, in seconds. Meta wants its answer within 5 s, and a customer is not
// surprised by one within a second or two.
//
//nolint:gochecknoglobals // tables
var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 4, 8}
	slow  = []float64{.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200}
	human = []float64{30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400}
)

// New returns the metrics of a process that answers for pages. Until [Metrics.Watch]
// there is nothing in them that must be asked for.
func New(version string, pages []messenger.PageID) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), pages: words{}}
	for _, p := range pages {
		m.pages[string(p)] = string(p)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "usher_" + name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "usher_" + name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	plain := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "usher_" + name, Help: help, Buckets: buckets})
		m.registry.MustRegister(h)
		return h
	}

	m.deliveries = counter("deliveries_total", "POSTs to the webhook, by what became of them.", "result")
	m.events = counter("events_total", "Events in deliveries that were stored, repeats among them.", "page", "kind")
	m.sights = counter("delivery_watch_total", "What was seen of a Page's deliveries: alarms, and what was set right.", "page", "saw")
	m.ack = plain("delivery_duration_seconds", "From the headers of a delivery that Meta signed to the answer.", quick)

	m.lag = plain("event_lag_seconds", "From the acceptance of an event to the commit of what it led to.", slow)
	m.commit = plain("commit_duration_seconds", "From the first attempt at a commit until its outcome was known.", quick)
	m.late = plain("timer_lateness_seconds", "From when a timer was due to its decision.", slow)
	m.changes = counter("phase_changes_total", "Threads that changed hands: the phase they came to, and why.", "page", "to", "cause")
	m.episodes = counter("episodes_total", "Episodes with people that ended, by why.", "page", "ended")
	m.firstReply = histogram("first_reply_seconds", "From a handoff to the agent's first message.", human, "page")
	m.waiting = histogram("unanswered_seconds", "From a handoff to the end of an episode in which no agent wrote.", human, "page")
	m.reply = histogram("reply_duration_seconds", "From the acceptance of an event until Meta took the first words that it led to.", slow, "page")
	m.calls = counter("calls_total", "Calls of the outbox, by what they do and how an attempt ended.", "page", "call", "outcome")
	m.alarms = counter("alarms_total", "Alarms: a handover needs an operator.", "page", "alarm")
	m.buried = counter("buried_total", "Events and calls set aside in the dlq.", "page")

	m.requests = counter("graph_requests_total", "Requests to the Graph API, by edge and what the answer meant.", "page", "edge", "outcome")
	m.requestTook = histogram("graph_request_duration_seconds", "Requests to the Graph API until the answer was read.", quick, "edge")

	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "usher_build_info", Help: "1; the version stands in the labels."}, []string{"version", "go_version"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.begin()
	return m
}

// begin shows from the start, as 0, what alerts look at: the step from nothing to 1
// is no increase.
func (m *Metrics) begin() {
	for _, result := range results {
		m.deliveries.WithLabelValues(result)
	}
	for page := range m.pages {
		m.buried.WithLabelValues(page)
		for saw := range saws {
			m.sights.WithLabelValues(page, saw)
		}
		m.reply.WithLabelValues(page)
		for _, alarm := range []handover.AlarmReason{
			handover.AlarmTakeRefused, handover.AlarmTakeFailed, handover.AlarmHandoffFailed, handover.AlarmLoop,
		} {
			m.alarms.WithLabelValues(page, string(alarm))
		}
		for call := range calls {
			m.calls.WithLabelValues(page, call, "ok")
			m.calls.WithLabelValues(page, call, "given_up")
			m.calls.WithLabelValues(page, call, "expired")
		}
	}
}

// Handler answers with all metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Registry is where all metrics are.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// words are the values that a label may have.
type words map[string]string

const other = "other"

// of returns word where it is known, so that nobody outside can make series.
func (w words) of(word string) string {
	if known, ok := w[word]; ok {
		return known
	}
	return other
}

func wordsOf[S ~string](all ...S) words {
	w := make(words, len(all))
	for _, s := range all {
		w[string(s)] = string(s)
	}
	return w
}
