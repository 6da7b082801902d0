package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"usher/handover"
	"usher/handover/engine"
	"usher/handover/metrics"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/webhook"
)

const (
	page   messenger.PageID = "1000000000000001"
	second messenger.PageID = "1000000000000002"
	psid   messenger.PSID   = "7000000000000001"
)

// scrape returns what Prometheus gets.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("GET /metrics is answered %d:\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

// want wants samples, each as it is printed.
func want(t *testing.T, m *metrics.Metrics, samples ...string) {
	t.Helper()
	text := "\n" + scrape(t, m)
	for _, sample := range samples {
		if !strings.Contains(text, "\n"+sample+"\n") {
			name, _, _ := strings.Cut(sample, "{")
			t.Errorf("lacks %s; has\n%s", sample, strings.Join(regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(text, 20), "\n"))
		}
	}
}

func thread(page messenger.PageID) messenger.ThreadKey {
	return messenger.ThreadKey{Page: page, PSID: psid}
}

// What the observers are told is counted under its words.
func TestCounts(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", []messenger.PageID{page})
	event := func(kind messenger.Kind) messenger.Event { return messenger.Event{Thread: thread(page), Kind: kind} }
	m.Delivery(webhook.Delivery{Status: 200, Events: []messenger.Event{event(messenger.KindMessage), event(messenger.KindEcho)}, Took: 30 * time.Millisecond})
	m.Delivery(webhook.Delivery{Status: 503, Events: []messenger.Event{event(messenger.KindMessage)}, Took: 3 * time.Second})
	m.Delivery(webhook.Delivery{Status: 401, Took: time.Hour})

	line := thread(page).String()
	m.Line(engine.Line{Thread: line, What: "postback", Moved: true, From: handover.Bot, To: handover.Waiting, Cause: handover.CauseButton})
	m.Line(engine.Line{Thread: line, What: "call", Call: "say_and_pass handoff to 263902037430900", Outcome: "ok"})
	m.Line(engine.Line{Thread: line, What: "call", Call: "answer", Outcome: "failed, given up"})
	m.Line(engine.Line{Thread: line, What: "call", Call: "answer", Outcome: "expired: Meta's 24 hours for answers are over"})
	m.Line(engine.Line{Thread: line, What: "call", Alarm: string(handover.AlarmLoop)})
	m.Line(engine.Line{Thread: line, What: "buried", Error: "panic"})
	asked := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	m.Line(engine.Line{Thread: line, What: "timer", Episode: &handover.Episode{Asked: asked, Closed: asked.Add(time.Hour), Ended: handover.CauseTimeLimit}})
	m.Line(engine.Line{Thread: line, What: "pass", Episode: &handover.Episode{
		Asked: asked, FirstReply: asked.Add(time.Minute), Closed: asked.Add(time.Hour), Ended: handover.CauseDone,
	}})

	m.Measure(engine.Measure{What: engine.Lag, Took: 70 * time.Millisecond})
	m.Measure(engine.Measure{What: engine.Reply, Page: page, Took: 700 * time.Millisecond})
	m.Measure(engine.Measure{What: engine.FirstReply, Page: page, Took: time.Minute})
	m.Measure(engine.Measure{What: engine.Late, Took: -time.Second})
	m.Measure(engine.Measure{What: engine.Commit, Took: 2 * time.Millisecond})
	m.Request(page, graph.Call{Edge: "messages", Took: 200 * time.Millisecond})
	m.Request(page, graph.Call{Edge: "take_thread_control", Err: context.Canceled})

	const of = `page="1000000000000001"`
	want(t, m,
		`usher_deliveries_total{result="stored"} 1`, `usher_deliveries_total{result="not_stored"} 1`, `usher_deliveries_total{result="forged"} 1`,
		`usher_delivery_duration_seconds_count 2`, `usher_delivery_duration_seconds_sum 3.03`, // what was forged is not Meta's
		`usher_events_total{kind="message",`+of+`} 1`, `usher_events_total{kind="echo",`+of+`} 1`, // what was not stored comes again
		`usher_phase_changes_total{cause="button",`+of+`,to="waiting"} 1`,
		`usher_calls_total{call="say_and_pass",outcome="ok",`+of+`} 1`,
		`usher_calls_total{call="answer",outcome="given_up",`+of+`} 1`,
		`usher_calls_total{call="answer",outcome="expired",`+of+`} 1`,
		`usher_alarms_total{alarm="handover_loop",`+of+`} 1`, `usher_alarms_total{alarm="take_failed",`+of+`} 0`,
		`usher_buried_total{`+of+`} 1`,
		`usher_episodes_total{ended="time_limit",`+of+`} 1`, `usher_episodes_total{ended="done",`+of+`} 1`,
		`usher_unanswered_seconds_sum{`+of+`} 3600`, `usher_unanswered_seconds_count{`+of+`} 1`,
		`usher_event_lag_seconds_bucket{le="0.1"} 1`, `usher_event_lag_seconds_bucket{le="0.05"} 0`,
		`usher_reply_duration_seconds_sum{`+of+`} 0.7`, `usher_first_reply_seconds_sum{`+of+`} 60`,
		`usher_timer_lateness_seconds_sum 0`, `usher_commit_duration_seconds_sum 0.002`,
		`usher_graph_requests_total{edge="messages",outcome="ok",`+of+`} 1`,
		`usher_graph_requests_total{edge="take_thread_control",outcome="not_made",`+of+`} 1`,
		`usher_graph_request_duration_seconds_sum{edge="messages"} 0.2`,
	)
}

// Whatever comes from outside, there are no more series than the code knows.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", []messenger.PageID{page})
	odd := func(n int) {
		s := fmt.Sprint("odd", n)
		m.Delivery(webhook.Delivery{Status: 200, Events: []messenger.Event{{Thread: thread(messenger.PageID(s)), Kind: messenger.Kind(s)}}})
		m.Delivery(webhook.Delivery{Status: 600 + n})
		m.Line(engine.Line{Thread: s + ":" + s, What: s, Call: s, Outcome: s, Alarm: s, Moved: true, Cause: handover.Cause(s), Episode: &handover.Episode{Ended: handover.Cause(s)}})
		m.Measure(engine.Measure{What: engine.Reply, Page: messenger.PageID(s)})
		m.Request(messenger.PageID(s), graph.Call{Edge: s, Err: errors.New(s)})
	}
	odd(0)
	before, err := testutil.GatherAndCount(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		odd(n)
	}
	if after, err := testutil.GatherAndCount(m.Registry()); after != before || err != nil {
		t.Errorf("strange words made %d series, %v, want none", after-before, err)
	}
	if text := scrape(t, m); strings.Contains(text, "odd") {
		t.Error("a strange word became a label")
	}
	want(t, m, `usher_calls_total{call="other",outcome="other",page="other"} 101`)
}

// Every word of the code is a label: none of them ends as other.
func TestWordsAreKnown(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", []messenger.PageID{page})
	constants := func(files, kind string) (values []string) {
		for file := range strings.FieldsSeq(files) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range regexp.MustCompile(`(?m)^\s\w+\s+`+kind+`\s+= "([^"]+)"`).FindAllSubmatch(src, -1) {
				values = append(values, string(found[1]))
			}
		}
		if len(values) < 4 {
			t.Errorf("found only %q of %s: this test tests nothing", values, kind)
		}
		return values
	}
	line := thread(page).String()
	for _, kind := range constants("../../messenger/event.go", "Kind") {
		m.Delivery(webhook.Delivery{Status: 200, Events: []messenger.Event{{Thread: thread(page), Kind: messenger.Kind(kind)}}})
	}
	for _, cause := range constants("../handover.go", "Cause") {
		m.Line(engine.Line{Thread: line, Moved: true, Cause: handover.Cause(cause), Episode: &handover.Episode{Ended: handover.Cause(cause)}})
	}
	for _, alarm := range constants("../effect.go", "AlarmReason") {
		m.Line(engine.Line{Thread: line, Alarm: alarm})
	}
	for _, call := range constants("../engine/record.go", "call") {
		m.Line(engine.Line{Thread: line, Call: call, Outcome: "ok"})
	}
	src, err := os.ReadFile("../engine/measure.go")
	if err != nil {
		t.Fatal(err)
	}
	outcomes := regexp.MustCompile(`(?m)^\toutcome\w+\s+= "([^"]+)"`).FindAllSubmatch(src, -1)
	if len(outcomes) < 4 {
		t.Errorf("found only %q: this test tests nothing", outcomes)
	}
	for _, outcome := range outcomes {
		m.Line(engine.Line{Thread: line, Call: "pass", Outcome: string(outcome[1])})
	}
	for _, edge := range graph.Edges() {
		m.Request(page, graph.Call{Edge: edge})
	}
	if other := regexp.MustCompile(`(?m)^.*"other".*$`).FindAllString(scrape(t, m), -1); other != nil {
		t.Errorf("words that are not known:\n%s", strings.Join(other, "\n"))
	}
}

// parts are an engine and a store that stand as they are told.
type parts struct {
	status       []engine.PageStatus
	stats        engine.Stats
	err          error
	asked        int
	refusedCount int64
}

func (p *parts) Status() []engine.PageStatus { return p.status }
func (p *parts) Stats() engine.Stats         { return p.stats }
func (p *parts) Refused() int64              { return p.refusedCount }

func (p *parts) Backlog(context.Context) (entries, effects int64, err error) {
	p.asked++
	return 5, 7, p.err
}
func (p *parts) Oldest(context.Context) (time.Duration, error) { return 90 * time.Second, p.err }
func (*parts) Pool() redisstore.Pool {
	return redisstore.Pool{Connections: 9, Idle: 4, Hits: 100, Misses: 3, Timeouts: 2, Stale: 1}
}

// A scrape shows how engine and store stand, and does not ask the store each time.
func TestScrape(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", []messenger.PageID{page, second})
	var clock time.Time
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	clock = now
	p := &parts{
		status: []engine.PageStatus{{Page: page, State: engine.Suspended, Waiting: 3, Usage: 120}, {Page: second}},
		stats:  engine.Stats{Partitions: 40, Lost: 2, Reloaded: 1, Slowed: 4, Pending: 6, Oldest: 1500 * time.Millisecond}, refusedCount: 8,
	}
	m.Watch(p, p, 64, func() time.Time { return clock })
	want(t, m,
		`usher_page_state{page="1000000000000001",state="suspended"} 1`, `usher_page_state{page="1000000000000001",state="open"} 0`,
		`usher_page_state{page="1000000000000002",state="open"} 1`, `usher_page_waiting_calls{page="1000000000000001"} 3`,
		`usher_page_usage_ratio{page="1000000000000001"} 1.2`,
		`usher_partitions 64`, `usher_partitions_owned 40`, `usher_leases_lost_total 2`, `usher_partitions_reloaded_total 1`,
		`usher_commits_refused_total 8`, `usher_deliveries_slowed_total 4`, `usher_outbox_effects 6`, `usher_outbox_oldest_seconds 1.5`,
		`usher_redis_up 1`, `usher_backlog_entries 5`, `usher_backlog_effects 7`, `usher_backlog_oldest_seconds 90`,
		`usher_redis_pool_connections 9`, `usher_redis_pool_idle_connections 4`, `usher_redis_pool_hits_total 100`,
		`usher_redis_pool_misses_total 3`, `usher_redis_pool_timeouts_total 2`, `usher_redis_pool_stale_total 1`,
	)
	clock = now.Add(4 * time.Second)
	scrape(t, m)
	if p.asked != 1 {
		t.Errorf("within 5 s the store was asked %d times, want once", p.asked)
	}
	p.err, clock = errors.New("down"), now.Add(5*time.Second)
	want(t, m, `usher_redis_up 0`, `usher_partitions_owned 40`)
	if strings.Contains(scrape(t, m), "\nusher_backlog_entries ") {
		t.Error("without Redis the backlog is told, want that nothing is known of it")
	}
}

// What is counted for each event costs no memory.
func TestCountingAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the whole process
	m := metrics.New("v1", []messenger.PageID{page})
	events := []messenger.Event{{Thread: thread(page), Kind: messenger.KindMessage}}
	line := engine.Line{
		Thread: thread(page).String(), What: "call", Call: "say_and_pass handoff to 263902037430900", Outcome: "ok",
		Moved: true, To: handover.Waiting, Cause: handover.CauseButton,
	}
	for name, count := range map[string]func(){
		"Delivery": func() { m.Delivery(webhook.Delivery{Status: 200, Events: events, Took: time.Millisecond}) },
		"Line":     func() { m.Line(line) },
		"Measure":  func() { m.Measure(engine.Measure{What: engine.Reply, Page: page, Took: time.Millisecond}) },
		"Request":  func() { m.Request(page, graph.Call{Edge: "messages", Took: time.Millisecond}) },
	} {
		if n := testing.AllocsPerRun(100, count); n != 0 {
			t.Errorf("%s allocates %v times, want never", name, n)
		}
	}
}

// The registry is sound by Prometheus's own rules.
func TestLint(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", []messenger.PageID{page})
	p := &parts{status: []engine.PageStatus{{Page: page}}}
	m.Watch(p, p, 64, func() time.Time { return time.Time{} })
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "usher_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

var (
	requestOK  = graph.Call{Edge: "messages"}
	deliveryOK = webhook.Delivery{Status: 200, Events: []messenger.Event{{Thread: thread(page), Kind: messenger.KindMessage}}}
)
