package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"
)

// takeovers measures how long partitions wait for an owner. Where theirs is gone: from
// its last renewal until another one has them. Where it has given them back: from then
// on. What a fault of Redis delays is not counted.
type takeovers struct {
	client redis.UniversalClient
	lease  time.Duration
	fine   func(since time.Time) bool // nothing was wrong with Redis

	seen [partitions]struct {
		token         string
		expiry        time.Time
		looked, freed time.Time // when last; when it was first seen to be nobody's
	}
	took, moved *hdr.Histogram // µs
}

func newTakeovers(s *saboteur) *takeovers {
	return &takeovers{client: s.redis.client, lease: s.times.Lease, fine: s.redisFine, took: hdr.New(leastLatency, mostLatency, digits), moved: hdr.New(leastLatency, mostLatency, digits)}
}

// watch looks every few milliseconds until ctx ends.
func (t *takeovers) watch(ctx context.Context) {
	for pause(ctx, 20*time.Millisecond) {
		replies := make([]*redis.SliceCmd, partitions)
		_, _ = t.client.Pipelined(ctx, func(p redis.Pipeliner) error { // each reply has its own error
			for n := range replies {
				replies[n] = p.HMGet(ctx, fmt.Sprintf("usher:{p%d}:meta", n), "token", "expiry")
			}
			return nil
		})
		at := now()
		for n, reply := range replies {
			if is, err := reply.Result(); err == nil && len(is) == 2 {
				token, _ := is[0].(string) // nobody's is nil
				expiry, _ := is[1].(string)
				t.look(n, at, token, expiry)
			}
		}
	}
}

// look notes whose a partition is. One that was given back has no expiry; one whose
// lease had lapsed was waited for.
func (t *takeovers) look(n int, at time.Time, token, expiry string) {
	seen := &t.seen[n]
	changed := token != "" && seen.token != "" && token != seen.token
	switch {
	case changed && at.After(seen.expiry):
		t.note(t.took, seen.expiry.Add(-t.lease), at)
	case changed: // it was nobody's in between
		t.note(t.moved, seen.looked, at)
	case token == "" && seen.token != "":
		seen.freed = seen.looked
	case token != "" && seen.token == "" && !seen.freed.IsZero():
		t.note(t.moved, seen.freed, at)
	}
	seen.token, seen.looked = token, at
	if ms, err := strconv.ParseInt(expiry, 10, 64); err == nil {
		seen.expiry = time.UnixMilli(ms)
	}
}

// note notes how long something took, unless something was wrong with Redis.
func (t *takeovers) note(in *hdr.Histogram, from, to time.Time) {
	if t.fine(from) {
		_ = in.RecordValue(min(to.Sub(from).Microseconds(), mostLatency)) // within its bounds
	}
}
