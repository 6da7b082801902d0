package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger/webhook"
)

// A delivery may be long, but not endless, whatever it says of its length.
func TestBodyLength(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	padded := func(n int) string { return delivery(read) + strings.Repeat(" ", n-len(delivery(read))) }
	tests := map[string]struct {
		size   int
		length int64 // what the request says; 0 for the truth
		want   int
	}{
		"small":           {size: 300, want: 200},
		"one_megabyte":    {size: 1 << 20, want: 200},
		"at_the_turn":     {size: 256 << 10, want: 200},
		"limit":           {size: limit, want: 200},
		"over":            {size: limit + 1, want: 413},
		"over_and_hidden": {size: limit + 1, length: -1, want: 413},
		"over_and_lied":   {size: limit + 1, length: 300, want: 413},
		"said_to_be_over": {size: 300, length: limit + 1, want: 413},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &inbox{}
			r := post(padded(tt.size))
			if tt.length != 0 {
				r.ContentLength = tt.length
			}
			w := serve(newHandler(t, webhook.Options{Inbox: in}), r)
			if w.Code != tt.want || (len(in.events) == 1) != (tt.want == 200) {
				t.Errorf("answer = %d with %d events stored, want %d", w.Code, len(in.events), tt.want)
			}
		})
	}
}

// A body that breaks off is not stored, even if the rest of it could be read.
func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	in := &inbox{}
	r := post(delivery(read))
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(delivery(read)), brokenReader{io.ErrUnexpectedEOF}))
	if w := serve(newHandler(t, webhook.Options{Inbox: in}), r); w.Code != http.StatusBadRequest || len(in.events) != 0 {
		t.Errorf("answer = %d with %d events stored, want 400 and none", w.Code, len(in.events))
	}
}

// brokenReader fails.
type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// Who cannot have signed is not listened to.
func TestUnsignedBodyIsNotRead(t *testing.T) {
	t.Parallel()
	body := strings.NewReader(delivery(read))
	r := httptest.NewRequest(http.MethodPost, "/webhook", body)
	if w := serve(newHandler(t, webhook.Options{Inbox: &inbox{}}), r); w.Code != http.StatusUnauthorized || body.Len() != len(delivery(read)) {
		t.Errorf("answer = %d with %d bytes unread, want 401 with all", w.Code, body.Len())
	}
}

// Eight large bodies at a time; a ninth waits its turn, not for ever, and small
// ones do not wait at all.
func TestLargeBodiesTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, webhook.Options{Inbox: &inbox{}})
		large := func(rest io.Reader) *http.Request {
			body := delivery(read) + strings.Repeat(" ", 300<<10)
			r := post(body)
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(body), rest)), -1
			return r
		}
		var ends []*io.PipeWriter
		var wg sync.WaitGroup
		codes := make([]int, 8)
		for i := range codes {
			rest, end := io.Pipe()
			ends = append(ends, end)
			wg.Go(func() { codes[i] = serve(h, large(rest)).Code })
		}
		synctest.Wait()
		began := time.Now()
		if w := serve(h, post(delivery(read))); w.Code != http.StatusOK || time.Since(began) != 0 {
			t.Errorf("small delivery = %d after %v, want 200 at once", w.Code, time.Since(began))
		}
		if w := serve(h, large(strings.NewReader(""))); w.Code != http.StatusServiceUnavailable || time.Since(began) != 4*time.Second {
			t.Errorf("ninth large delivery = %d after %v, want 503 after 4s", w.Code, time.Since(began))
		}
		for _, end := range ends {
			_ = end.Close()
		}
		wg.Wait()
		if want := []int{200, 200, 200, 200, 200, 200, 200, 200}; !cmp.Equal(codes, want) {
			t.Errorf("large deliveries = %v, want %v", codes, want)
		}
		if w := serve(h, large(strings.NewReader(""))); w.Code != http.StatusOK {
			t.Errorf("large delivery afterwards = %d, want 200", w.Code)
		}
	})
}

// What was signed is what is read: no other encoding.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		encodings []string
		want      int
	}{
		"none":              {want: 200},
		"identity":          {encodings: []string{"identity"}, want: 200},
		"identity_capital":  {encodings: []string{"Identity"}, want: 200},
		"gzip":              {encodings: []string{"gzip"}, want: 415},
		"identity_and_gzip": {encodings: []string{"identity", "gzip"}, want: 415},
		"list":              {encodings: []string{"identity, gzip"}, want: 415},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := post(delivery(read))
			r.Header["Content-Encoding"] = tt.encodings
			if w := serve(newHandler(t, webhook.Options{Inbox: &inbox{}}), r); w.Code != tt.want {
				t.Errorf("answer = %d, want %d", w.Code, tt.want)
			}
		})
	}
}
