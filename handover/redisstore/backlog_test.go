package redisstore_test

import (
	"testing"
	"time"

	"usher/handover"
	"usher/handover/redisstore"
	"usher/messenger"
)

// How long the oldest entry waits is told by Redis's clock, of all partitions, until
// it is decided.
func TestOldest(t *testing.T) {
	t.Parallel()
	rdb, clock := mini(t)
	s, err := redisstore.New(rdb, redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, want time.Duration) {
		t.Helper()
		if got, err := s.Oldest(t.Context()); got != want || err != nil {
			t.Errorf("%s: Oldest() = %v, %v, want %v", what, got, err, want)
		}
	}
	accept := func(psid messenger.PSID) int {
		key := messenger.ThreadKey{Page: "1", PSID: psid}
		if err := s.Append(t.Context(), []messenger.Event{{ID: string(psid), Thread: key, Kind: messenger.KindRead}}); err != nil {
			t.Fatal(err)
		}
		return key.Partition(64)
	}
	want("nothing waits", 0)
	first := accept("1")
	clock.Advance(time.Hour)
	if accept("2") == first {
		t.Fatal("both are in one partition: this test tests nothing")
	}
	clock.Advance(time.Second)
	want("two wait", time.Hour+time.Second)

	lease, held, err := s.Acquire(t.Context(), first, "token", time.Minute)
	if !held || err != nil {
		t.Fatal(held, err)
	}
	batch, err := s.Read(t.Context(), first, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), handover.Commit{Lease: lease, Consumed: batch.Entries}); err != nil {
		t.Fatal(err)
	}
	want("the older one is decided", time.Second)
}

// The pool's figures are those of the client.
func TestPool(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	s, err := redisstore.New(rdb, redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := rdb.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Pool()
	if before.Connections < 1 || before.Hits+before.Misses < 3 || before.Idle > before.Connections {
		t.Errorf("Pool() = %+v after three calls", before)
	}
	for range 3 {
		pipe := rdb.Pipeline()
		pipe.Ping(t.Context())
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if p := s.Pool(); p.Hits+p.Misses != before.Hits+before.Misses+3 || p.Connections != before.Connections+1 || p.Idle != before.Idle+1 {
		t.Errorf("Pool() = %+v after three pipelines more than %+v", p, before)
	}
}
