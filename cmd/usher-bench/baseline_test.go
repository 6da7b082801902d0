package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover/redisstore"
	"usher/messenger/webhook"
)

// The sketch is worth comparing with: it answers each customer in order and all of them
// at once, and what it had acknowledged when it died its next life answers.
func TestSketch(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Parallel()
	const customers, each = 40, 5
	r, err := startRedis(t.Context(), redisPlain, t.TempDir(), fsyncs[redisstore.Standard], 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})

	var mu sync.Mutex
	calls, most, replies, both := map[string]int{}, 0, 0, 0
	all := make(chan struct{}) // closed when so many customers have a call at a time
	graph := startGraph(t, func(body []byte) []byte {
		_, rest, _ := bytes.Cut(body, []byte(`"recipient":{"id":"`))
		id, _, _ := bytes.Cut(rest, []byte(`"`))
		mu.Lock()
		calls[string(id)]++
		if calls[string(id)] > 1 {
			both++
		}
		if most = max(most, len(calls)); most == customers {
			select {
			case <-all:
			default:
				close(all)
			}
		}
		mu.Unlock()
		<-all
		mu.Lock()
		defer mu.Unlock()
		calls[string(id)]--
		if calls[string(id)] == 0 {
			delete(calls, string(id))
		}
		replies++
		return []byte(`{}`)
	})
	replied := func(want int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return replies >= want
		}
	}

	first := newSketch(t.Context(), clientOf(t, r), "http://"+graph.address())
	for n := range each {
		var items []string
		for c := range customers {
			items = append(items, fmt.Sprintf(`{"sender":{"id":"%d"},"message":{"mid":"m%d-%d","text":"hi"}}`, c, c, n))
		}
		body := `{"object":"page","entry":[{"id":"1","messaging":[` + strings.Join(items, ",") + `]}]}`
		if got := deliver(t, first, body, webhook.Sign([]byte(appSecret), []byte(body))); got != http.StatusOK {
			t.Fatalf("a delivery is answered with %d", got)
		}
	}
	if got := deliver(t, first, `{}`, "sha256=00"); got != http.StatusUnauthorized {
		t.Errorf("a forged delivery is answered with %d, want 401", got)
	}
	if !answers(t, replied(customers*each)) || both > 0 {
		t.Errorf("%d replies to %d events, %d customers had a call at once; %d calls were made beside one to the same customer, want 0", replies, customers*each, most, both)
	}
	newSketch(t.Context(), clientOf(t, r), "http://"+graph.address())
	if !answers(t, replied(2*customers*each)) {
		t.Errorf("%d replies after another start, want each of %d events answered once more", replies, customers*each)
	}
}

func deliver(t *testing.T, to http.Handler, body, signature string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", strings.NewReader(body))
	r.Header.Set("X-Hub-Signature-256", signature)
	w := httptest.NewRecorder()
	to.ServeHTTP(w, r)
	return w.Code
}

// clientOf returns a client of a Redis, which ends with the test.
func clientOf(t *testing.T, r *redisRig) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.nodes[0].address()})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func answers(t *testing.T, done func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return poll(ctx, done) == nil
}
