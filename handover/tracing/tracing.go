// Package tracing shows OpenTelemetry what becomes of a delivery.
//
//	receive ──┬─ store            the webhook, until Meta has its answer
//	          ├─ step, commit     for each event, by whoever owns its partition
//	          └─ graph send, …    for each request that it led to
//
// The trace context travels inside the event and inside the effects that it leads
// to, so that a trace goes on in another process, and after a crash. Where nothing
// is traced nobody calls this package.
//
// A span names a thread by its alias. It holds no text, no name, no id of a person
// and no secret.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
)

// Options say where spans go. Endpoint is required.
type Options struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP, without
	// /v1/traces. What else the exporter can be told comes from the environment:
	// OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES and so on.
	//
	// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
	Endpoint string
	// Percent is how many of a hundred deliveries are traced. Defaults to all.
	Percent int
	Version string
	// Log is told, now and then, that spans cannot be delivered.
	Log zerolog.Logger
	Now func() time.Time
}

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	now      func() time.Time
}

// New returns a Tracer, which sends what it has until Close. It does not talk to
// the collector yet, and never waits for it: where that is gone, spans are dropped.
func New(ctx context.Context, o Options) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(o.Endpoint+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("trace to %s: %w", o.Endpoint, err)
	}
	what, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "usher"), attribute.String("service.version", o.Version),
	))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("trace to %s: %w", o.Endpoint, err), exporter.Shutdown(ctx))
	}
	percent := o.Percent
	if percent == 0 {
		percent = 100
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(teller{exporter, o.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute})}), sdktrace.WithResource(what),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(float64(percent)/100))),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("usher"), now: o.Now}, nil
}

// teller is an exporter that logs what it could not deliver: the SDK has one place
// for errors in the whole process, and writes them as text.
type teller struct {
	sdktrace.SpanExporter

	log zerolog.Logger
}

// ExportSpans delivers spans, or drops them.
func (t teller) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := t.SpanExporter.ExportSpans(ctx, spans); err != nil {
		t.log.Warn().Err(err).Int("spans", len(spans)).Msg("Traces not delivered")
	}
	return nil
}

// Close sends what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// delivery is a POST that may become a trace: of a stranger's none is made.
type delivery struct {
	begun time.Time
	span  trace.Span // nil as long as nothing was to be stored
}

type deliveryKey struct{}

// Handler lets the deliveries that next takes become traces; see [Tracer.Inbox].
func (t *Tracer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := &delivery{begun: t.now()}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), deliveryKey{}, d)))
		if d.span != nil {
			d.span.End()
		}
	})
}

// Inbox keeps events, as package webhook wants it.
type Inbox interface {
	Append(ctx context.Context, events []messenger.Event) error
}

// Inbox returns an Inbox that puts events into next, each with the trace of its
// delivery.
func (t *Tracer) Inbox(next Inbox) Inbox { return inbox{t, next} }

type inbox struct {
	*Tracer

	next Inbox
}

// Append stores events.
func (in inbox) Append(ctx context.Context, events []messenger.Event) error {
	d, ok := ctx.Value(deliveryKey{}).(*delivery)
	if !ok {
		return in.next.Append(ctx, events)
	}
	ctx, d.span = in.tracer.Start(ctx, "receive", trace.WithTimestamp(d.begun), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.Int("usher.events", len(events))))
	if d.span.SpanContext().IsSampled() {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		for i := range events {
			events[i].Trace = carrier.Get(parent)
		}
	}
	storing, store := in.tracer.Start(ctx, "store")
	defer store.End()
	err := in.next.Append(storing, events)
	if err != nil { // its text is in the log
		store.SetStatus(codes.Error, "not stored")
		d.span.SetStatus(codes.Error, "not stored")
	}
	return err
}

// parent is the header by which a trace context travels.
//
// https://www.w3.org/TR/trace-context/
const parent = "traceparent"

// Span takes what the engine did for an event; for [engine.Options].
func (t *Tracer) Span(s engine.Span) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{parent: s.Trace})
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return // not written by us
	}
	attributes := []attribute.KeyValue{attribute.String("usher.thread", s.Thread)}
	kind := trace.SpanKindInternal
	if s.Call != "" {
		kind = trace.SpanKindClient
		attributes = append(attributes, attribute.String("usher.call", s.Call), attribute.String("usher.effect", s.Effect),
			attribute.Int("usher.attempt", s.Attempt), attribute.String("usher.outcome", graph.Outcome(s.Err)))
	}
	_, span := t.tracer.Start(ctx, s.Name, trace.WithTimestamp(s.Begin), trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	if s.Err != nil { // its text may be anything
		span.SetStatus(codes.Error, graph.Outcome(s.Err))
	}
	span.End(trace.WithTimestamp(s.End))
}
