package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"usher/messenger/simulator"
)

// collector takes traces as an OpenTelemetry collector does.
type collector struct {
	*httptest.Server

	mu    sync.Mutex
	raw   bytes.Buffer
	spans []*otlp.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var told collect.ExportTraceServiceRequest
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(b, &told)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("POST %s is no export of traces: %v", r.URL.Path, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(b)
		for _, resource := range told.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// told returns all that was sent, as bytes.
func (c *collector) told() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// traces returns the names of the spans, sorted, by trace.
func (c *collector) traces() map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string][]string{}
	for _, s := range c.spans {
		id := hex.EncodeToString(s.GetTraceId())
		all[id] = append(all[id], s.GetName())
		slices.Sort(all[id])
	}
	return all
}

func attribute(s *otlp.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// One trace follows an event from its delivery to the calls that it led to, also
// into another process; whoever is not Meta makes none.
func TestTrace(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	w := newMetaWorld(t, "USHER_TELEMETRY_OTLP_ENDPOINT", c.URL)
	const psid = "7000000000000001"
	w.meta.FailNext(simulator.EdgeMessages, simulator.Failure{Code: 1, PSID: psid})
	must(t)(w.meta.Customer(psid).Says("human"))
	w.settle(t)
	body := live(says(psid, "m_1", "hello"))
	if status := w.postSigned(t, body, http.Header{"X-Hub-Signature-256": {"sha256=" + hmacHex("forged", body)}}); status != http.StatusUnauthorized {
		t.Errorf("a forged delivery is answered %d, want 401", status)
	}
	_, figures := get(t, w.private+"/metrics", nil)
	if code := w.stop(); code != exitOK {
		t.Fatalf("usher serve exits %d, want 0", code)
	}

	want := []string{"commit", "graph send", "graph send", "receive", "step", "store"}
	var id string
	for trace, names := range c.traces() {
		if slices.Equal(names, want) {
			id = trace
		}
	}
	if id == "" {
		t.Fatalf("traces are %q, want one of %q", c.traces(), want)
	}
	all := c.traces()
	if count := fmt.Sprintf("usher_deliveries_total{result=\"stored\"} %d\n", len(all)); len(all) < 2 || !strings.Contains(figures, count) {
		t.Errorf("there are %d traces, want one for each delivery that was stored: %q", len(all), all)
	}
	var root *otlp.Span
	var outcomes []string
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) != id {
			continue
		}
		switch s.GetName() {
		case "receive":
			root = s
		case "graph send":
			outcomes = append(outcomes, attribute(s, "usher.outcome"))
			if attribute(s, "usher.call") != "say_and_pass" || attribute(s, "usher.effect") == "" {
				t.Errorf("a call is told as %v", s.GetAttributes())
			}
		}
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
			t.Errorf("%s ends before it begins", s.GetName())
		}
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == id && s != root && !bytes.Equal(s.GetParentSpanId(), root.GetSpanId()) {
			t.Errorf("%s does not stand below the delivery", s.GetName())
		}
	}
	slices.Sort(outcomes)
	if !slices.Equal(outcomes, []string{"ok", "transient"}) {
		t.Errorf("the calls ended %q, want one in vain and one well", outcomes)
	}
	alias := w.usher(t, "thread", "show", psid)
	if i := slices.IndexFunc(c.spans, func(s *otlp.Span) bool { return s.GetName() == "step" }); i < 0 || !strings.Contains(alias, attribute(c.spans[i], "usher.thread")) {
		t.Errorf("usher thread show does not tell the alias that the trace has:\n%s", alias)
	}
}

// Without a collector nothing of a trace is stored.
func TestNoTrace(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	hold := make(chan struct{})
	w.meta.FailNext(simulator.EdgeMessages, simulator.Failure{Hold: hold, PSID: "7000000000000001"})
	must(t)(w.meta.Customer("7000000000000001").Says("hello"))
	var waits string
	eventually(t, "the answer waits", func() bool { waits = w.dumpOf(t, "ob"); return waits != "" })
	close(hold)
	if strings.Contains(waits, "trace") {
		t.Errorf("the outbox holds a trace: %s", waits)
	}
	w.settle(t)
}

// A collector that is gone costs nothing but its traces.
func TestCollectorIsGone(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.Close()
	w := newMetaWorld(t, "USHER_TELEMETRY_OTLP_ENDPOINT", c.URL)
	const psid = "7000000000000001"
	must(t)(w.meta.Customer(psid).Says("hello"))
	w.settle(t)
	if n := len(w.calls(psid, simulator.EdgeMessages)); n != 1 {
		t.Errorf("she was answered %d times, want once", n)
	}
	if code := w.stop(); code != exitOK {
		t.Errorf("usher serve exits %d, want 0", code)
	}
	if !strings.Contains(w.logs.String(), "races not delivered") && !strings.Contains(w.logs.String(), "traces were not delivered") {
		t.Errorf("the log does not tell of it:\n%s", w.logs)
	}
}
