package main

import (
	"strconv"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Only a lease that lapsed while Redis was fine tells how long a take-over takes, and one
// that was given back how long a move does.
func TestTakeovers(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	began := time.UnixMilli(1_700_000_000_000)
	type look struct {
		at     time.Duration
		token  string
		expiry time.Duration // 0 for none
	}
	tests := map[string]struct {
		looks       []look
		trouble     bool
		want, moved []time.Duration
	}{
		"renewed":             {looks: []look{{0, "a", 2 * time.Second}, {time.Second, "a", 3 * time.Second}, {4 * time.Second, "a", 6 * time.Second}}},
		"given_back":          {looks: []look{{0, "a", 2 * time.Second}, {time.Second, "", 0}, {1100 * time.Millisecond, "b", 3100 * time.Millisecond}}, moved: []time.Duration{1100 * time.Millisecond}},
		"given_back_unseen":   {looks: []look{{0, "a", 2 * time.Second}, {time.Second, "b", 3 * time.Second}}, moved: []time.Duration{time.Second}},
		"waited_out":          {looks: []look{{0, "a", 2 * time.Second}, {2 * time.Second, "a", 2 * time.Second}, {2100 * time.Millisecond, "b", 4 * time.Second}}, want: []time.Duration{2100 * time.Millisecond}},
		"while_redis_fails":   {looks: []look{{0, "a", 2 * time.Second}, {9 * time.Second, "b", 11 * time.Second}}, trouble: true},
		"taken_for_the_first": {looks: []look{{0, "", 0}, {9 * time.Second, "b", 11 * time.Second}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := &takeovers{
				lease: lease, fine: func(time.Time) bool { return !tt.trouble },
				took: hdr.New(leastLatency, mostLatency, digits), moved: hdr.New(leastLatency, mostLatency, digits),
			}
			for _, l := range tt.looks {
				expiry := ""
				if l.expiry > 0 {
					expiry = strconv.FormatInt(began.Add(l.expiry).UnixMilli(), 10)
				}
				to.look(7, began.Add(l.at), l.token, expiry)
			}
			compare := func(what string, got *hdr.Histogram, want []time.Duration) {
				if got.TotalCount() != int64(len(want)) {
					t.Fatalf("%d %s, want %d", got.TotalCount(), what, len(want))
				}
				for _, w := range want {
					if !got.ValuesAreEquivalent(got.Max(), w.Microseconds()) {
						t.Errorf("%s: it took %d µs, want %v", what, got.Max(), w)
					}
				}
			}
			compare("take-overs", to.took, tt.want)
			compare("moves", to.moved, tt.moved)
		})
	}
}
