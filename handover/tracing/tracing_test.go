package tracing_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"usher/handover/engine"
	"usher/handover/tracing"
	"usher/messenger"
	"usher/messenger/graph"
)

// traced runs what is to be traced and returns the spans that a collector got.
func traced(t *testing.T, o tracing.Options, do func(*tracing.Tracer)) []*otlp.Span {
	t.Helper()
	var mu sync.Mutex
	var spans []*otlp.Span
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var told collect.ExportTraceServiceRequest
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(b, &told)
		}
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range told.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				spans = append(spans, scope.GetSpans()...)
			}
		}
	}))
	defer collector.Close()
	o.Endpoint, o.Log, o.Now = collector.URL, zerolog.New(zerolog.NewTestWriter(t)), time.Now
	tracer, err := tracing.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	do(tracer)
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return spans
}

// store keeps events, or fails.
type store struct {
	err    error
	events []messenger.Event
}

func (s *store) Append(_ context.Context, events []messenger.Event) error {
	s.events = append(s.events, events...)
	return s.err
}

// deliver lets the tracer see a delivery of two events.
func deliver(t *testing.T, tracer *tracing.Tracer, s *store) {
	t.Helper()
	in := tracer.Inbox(s)
	h := tracer.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := in.Append(r.Context(), make([]messenger.Event, 2)); !errors.Is(err, s.err) {
			t.Errorf("Append() = %v, want %v", err, s.err)
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", http.NoBody))
}

// A delivery that is not stored shows, without the words of the error.
func TestNotStored(t *testing.T) {
	t.Parallel()
	s := &store{err: errors.New("words of an error")}
	spans := traced(t, tracing.Options{}, func(tracer *tracing.Tracer) { deliver(t, tracer, s) })
	if len(spans) != 2 {
		t.Fatalf("there are %d spans, want two", len(spans))
	}
	for _, span := range spans {
		if span.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR || strings.Contains(span.String(), "words") {
			t.Errorf("it is told as %v", span)
		}
	}
}

// What nobody delivered has no trace: a command, or a test's events.
func TestNoDelivery(t *testing.T) {
	t.Parallel()
	s := &store{}
	spans := traced(t, tracing.Options{}, func(tracer *tracing.Tracer) {
		if err := tracer.Inbox(s).Append(t.Context(), make([]messenger.Event, 1)); err != nil {
			t.Error(err)
		}
		tracer.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	})
	if len(spans) != 0 || len(s.events) != 1 || s.events[0].Trace != "" {
		t.Errorf("there are %d spans and events %+v, want one without a trace", len(spans), s.events)
	}
}

// Of some deliveries nothing is traced, and their events carry nothing.
func TestSample(t *testing.T) {
	t.Parallel()
	const deliveries = 2000
	s := &store{}
	spans := traced(t, tracing.Options{Percent: 5}, func(tracer *tracing.Tracer) {
		for range deliveries {
			deliver(t, tracer, s)
		}
	})
	sampled := 0
	for i := 0; i < len(s.events); i += 2 {
		if s.events[i].Trace != s.events[i+1].Trace {
			t.Fatal("the events of a delivery have two traces")
		}
		if s.events[i].Trace != "" {
			sampled++
		}
	}
	// 100 are expected; less than 40 or more than 200 come once in a million years.
	if sampled < 40 || sampled > 200 || len(spans) != 2*sampled {
		t.Errorf("of %d deliveries %d are traced with %d spans, want about 100, with two each", deliveries, sampled, len(spans))
	}
}

// What has no trace that we wrote begins none.
func TestOddTrace(t *testing.T) {
	t.Parallel()
	spans := traced(t, tracing.Options{}, func(tracer *tracing.Tracer) {
		for _, odd := range []string{"", "odd", "00-0-0-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"} {
			tracer.Span(engine.Span{Trace: odd, Name: "step"})
		}
	})
	if len(spans) != 0 {
		t.Errorf("there are %d spans, want none", len(spans))
	}
}

// What the engine did stands below the delivery, with its times and without words.
func TestSpan(t *testing.T) {
	t.Parallel()
	const trace, delivery = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	begin := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	spans := traced(t, tracing.Options{Percent: 1}, func(tracer *tracing.Tracer) {
		tracer.Span(engine.Span{
			Trace: "00-" + trace + "-" + delivery + "-01", Name: "graph send", Thread: "e730855f67", Begin: begin, End: begin.Add(time.Second),
			Call: "answer", Effect: "lja4EMQOurVuI6", Attempt: 2, Err: &graph.Error{Status: 400, Code: 551, Message: "words of Meta"},
		})
	})
	if len(spans) != 1 {
		t.Fatalf("there are %d spans, want one: its delivery was among the one of a hundred", len(spans))
	}
	s := spans[0].String()
	for _, want := range []string{"graph send", "e730855f67", "answer", "lja4EMQOurVuI6", "blocked"} {
		if !strings.Contains(s, want) {
			t.Errorf("the span lacks %q: %s", want, s)
		}
	}
	if took := spans[0].GetEndTimeUnixNano() - spans[0].GetStartTimeUnixNano(); took != uint64(time.Second) || strings.Contains(s, "words") {
		t.Errorf("the span took %d ns, or has Meta's words: %s", took, s)
	}
	if string(spans[0].GetParentSpanId()) != "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7" {
		t.Errorf("its parent is %x, want the delivery's %s", spans[0].GetParentSpanId(), delivery)
	}
}
