package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"usher/messenger"
	"usher/messenger/webhook"
)

// batch is a delivery of n messages of about 300 bytes each.
func batch(n int) []byte {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"sender":{"id":"70%014d"},"recipient":{"id":"1000000000000001"},"timestamp":%d,`+
			`"message":{"mid":"m_%0130d","text":"How late are you open on Sunday? %d","nlp":{"intents":[],"entities":{},"traits":{}}}}`,
			i, 1458692752478+i, i, i)
	}
	return []byte(delivery(items...))
}

// BenchmarkDecode is one delivery of so many events.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		body := batch(n)
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if events, err := webhook.Decode(body); err != nil || len(events) != n {
					b.Fatalf("%d events, %v", len(events), err)
				}
			}
		})
	}
}

// BenchmarkReceive is one delivery from request to answer: read, verify, decode,
// and an inbox that costs nothing.
func BenchmarkReceive(b *testing.B) {
	h := newHandler(b, webhook.Options{Inbox: inboxFunc(func(context.Context, []messenger.Event) error { return nil })})
	for _, n := range []int{1, 10, 100} {
		body := batch(n)
		signature := webhook.Sign([]byte(secret), body)
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			r := httptest.NewRequest(http.MethodPost, "/webhook", http.NoBody)
			r.Header.Set("X-Hub-Signature-256", signature)
			reader := bytes.NewReader(body)
			r.Body, r.ContentLength = readCloser{reader}, int64(len(body))
			w := &discard{header: make(http.Header)}
			for b.Loop() {
				reader.Reset(body)
				h.ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// discard is a ResponseWriter that keeps the status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header       { return d.header }
func (d *discard) WriteHeader(status int)    { d.status = status }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
