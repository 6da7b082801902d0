package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/handover/redisstore"
	"usher/handover/storetest"
	"usher/handover/storetest/redistest"
	"usher/messenger"
)

// acquire returns the lease of a partition.
func acquire(t *testing.T, store *redisstore.Store, p int, token string) handover.Lease {
	t.Helper()
	lease, held, err := store.Acquire(t.Context(), p, token, 20*time.Second)
	if err != nil || !held {
		t.Fatalf("Acquire() = %v, %v", held, err)
	}
	return lease
}

// After a restart or a failover Redis knows no script.
func TestScriptsAreSentAgain(t *testing.T) {
	t.Parallel()
	for name, connect := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			ctx, store, key := t.Context(), open(t, rdb, limits("a")), threadIn(1, 0)
			var lease handover.Lease
			steps := []struct {
				name string
				do   func() error
			}{
				{"append", func() error {
					return store.Append(ctx, []messenger.Event{event(key, "a"), event(threadIn(2, 0), "b")})
				}},
				{"command", func() error { return store.Command(ctx, key, "c", []byte("{}")) }},
				{"heartbeat", func() error { _, err := store.Heartbeat(ctx, "me", time.Minute); return err }},
				{"leave", func() error { return store.Leave(ctx, "me") }},
				{"pause", func() error { return store.Pause(ctx, "1", time.Minute, "why") }},
				{"pauses", func() error { _, err := store.Pauses(ctx, []messenger.PageID{"1", "2"}); return err }},
				{"acquire", func() (err error) { lease, _, err = store.Acquire(ctx, 1, "owner", time.Minute); return err }},
				{"renew", func() error { _, _, err := store.Renew(ctx, []handover.Lease{lease, lease}, time.Minute); return err }},
				{"read", func() error { _, err := store.Read(ctx, 1, 10); return err }},
				{"commit", func() error { _, err := store.Commit(ctx, whole(lease, key)); return err }},
				{"release", func() error { return store.Release(ctx, lease, true) }},
			}
			for _, step := range steps {
				check(t, rdb.ScriptFlush(ctx).Err())
				if err := step.do(); err != nil {
					t.Errorf("%s after the scripts were flushed: %v", step.name, err)
				}
			}
			if got := rdb.XLen(ctx, "a:{p1}:in").Val(); got != 2 {
				t.Errorf("%d entries are stored, want 2", got)
			}
		})
	}
}

// Seen from Redis itself: not a byte of a refused commit is written.
func TestARefusedCommitWritesNothing(t *testing.T) {
	t.Parallel()
	for name, connect := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			store, key := open(t, rdb, limits("a")), threadIn(1, 0)
			lease := acquire(t, store, 1, "owner")
			_, err := store.Commit(t.Context(), whole(lease, key))
			check(t, err)
			check(t, store.Append(t.Context(), []messenger.Event{event(key, "a")}))
			before := dump(t, rdb, "a")
			if len(before) != 10 { // nine of the partition, and install
				t.Fatalf("there are %d keys, want all 10: %v", len(before), before)
			}
			refusals := map[string]struct {
				lease handover.Lease
				want  error
			}{
				"zombie": {handover.Lease{Partition: 1, Token: "zombie", Seq: 1}, handover.ErrLeaseLost},
				"nobody": {handover.Lease{Partition: 1, Seq: 1}, handover.ErrLeaseLost},
				"ahead":  {handover.Lease{Partition: 1, Token: "owner", Seq: 2}, handover.ErrStale},
				"behind": {handover.Lease{Partition: 1, Token: "owner", Seq: 0}, handover.ErrStale},
			}
			for name, r := range refusals {
				c := whole(r.lease, key)
				c.Put[0].Body, c.Threads[0].Body = []byte("other"), nil
				c.Consumed = []handover.Entry{{ID: "9999999999999-0", Marks: strings.Repeat("m", 16)}}
				if _, err := store.Commit(t.Context(), c); !errors.Is(err, r.want) {
					t.Errorf("commit of %s = %v, want %v", name, err, r.want)
				}
				if got := dump(t, rdb, "a"); !reflect.DeepEqual(got, before) {
					t.Errorf("after the commit of %s there is %v, want %v", name, got, before)
				}
			}
		})
	}
}

// A script is not rolled back: a commit must not fail half-way. Who owns a partition
// knows that its keys are what they should be.
func TestAKeyOfAnotherTypeStopsEverything(t *testing.T) {
	t.Parallel()
	for name, connect := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			ctx, key := t.Context(), threadIn(1, 0)
			for _, name := range []string{"in", "dd0", "dd1", "tm", "ob", "dlq", "ep"} {
				prefix := newPrefix()
				store := open(t, rdb, limits(prefix))
				check(t, rdb.Set(ctx, prefix+":{p1}:"+name, "not ours", 0).Err())
				before := dump(t, rdb, prefix)
				if _, _, err := store.Acquire(ctx, 1, "owner", time.Minute); !strings.Contains(fmt.Sprint(err), "WRONGTYPE") {
					t.Errorf("Acquire() where %s is of another type = %v, want WRONGTYPE", name, err)
				}
				if name == "in" {
					for _, events := range [][]messenger.Event{{event(key, "a")}, {event(key, "a"), event(key, "b")}} {
						if err := store.Append(ctx, events); !strings.Contains(fmt.Sprint(err), "WRONGTYPE") {
							t.Errorf("append of %d where %s is of another type = %v, want WRONGTYPE", len(events), name, err)
						}
					}
				}
				if got := dump(t, rdb, prefix); !reflect.DeepEqual(got, before) {
					t.Errorf("where %s is of another type there is %v, want %v", name, got, before)
				}
			}
		})
	}
}

// A thread's own keys are looked at by nobody before a commit writes them.
func TestAThreadsKeysAreReplacedWhateverTheyHold(t *testing.T) {
	t.Parallel()
	for name, connect := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			ctx, key := t.Context(), threadIn(1, 0)
			store := open(t, rdb, limits("a"))
			lease := acquire(t, store, 1, "owner")
			check(t, rdb.Set(ctx, "a:{p1}:h:"+key.String(), "not ours", 0).Err())
			check(t, rdb.RPush(ctx, "a:{p1}:t:"+key.String(), "not ours").Err())
			if lines, _, err := store.History(ctx, 1, key.String()); err != nil || len(lines) > 0 {
				t.Errorf("History() of what is no list = %q, %v, want none", lines, err)
			}
			c := whole(lease, key)
			if _, err := store.Commit(ctx, c); err != nil {
				t.Fatalf("Commit() = %v", err)
			}
			body, history, _, _, err := store.Thread(ctx, key)
			check(t, err)
			if !bytes.Equal(body, c.Threads[0].Body) || len(history) != len(c.History) {
				t.Errorf("thread = %q with %d lines, want %q with %d", body, len(history), c.Threads[0].Body, len(c.History))
			}
		})
	}
}

// What an owner stores is announced to nobody, as it wakes itself. Where it was not
// the owner any more, the new one must hear of it: from whom stored it, once it
// learns so.
func TestEntriesOfAnOwnerThatWasAreAnnounced(t *testing.T) {
	t.Parallel()
	learns := map[string]func(s *redisstore.Store, lease handover.Lease) error{
		"by_reading": func(s *redisstore.Store, _ handover.Lease) error { _, err := s.Read(t.Context(), 1, 1); return err },
		"by_renewing": func(s *redisstore.Store, lease handover.Lease) error {
			_, _, err := s.Renew(t.Context(), []handover.Lease{lease}, time.Minute)
			return err
		},
		"by_committing": func(s *redisstore.Store, lease handover.Lease) error {
			if _, err := s.Commit(t.Context(), handover.Commit{Lease: lease}); !errors.Is(err, handover.ErrLeaseLost) {
				return fmt.Errorf("Commit() = %w, want %w", err, handover.ErrLeaseLost)
			}
			return nil
		},
	}
	for name, learn := range learns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb, clock := mini(t)
			was, is := open(t, rdb, limits("a")), open(t, rdb, limits("a"))
			old := acquire(t, was, 1, "old")
			clock.Advance(time.Hour)
			acquire(t, is, 1, "new")
			heard := listen(t, is)
			check(t, was.Append(t.Context(), []messenger.Event{event(threadIn(1, 0), "a")}))
			check(t, learn(was, old))
			if got := <-heard; got != 1 {
				t.Errorf("announcement = %d, want 1", got)
			}
			check(t, was.Append(t.Context(), []messenger.Event{event(threadIn(2, 0), "b")}))
			if got := <-heard; got != 2 {
				t.Errorf("next announcement = %d, want 2: one is told once", got)
			}
		})
	}
}

// Its owner gives a partition back while something is on its way there.
func TestEntriesStoredDuringAReleaseAreAnnounced(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	was, is := open(t, rdb, limits("a")), open(t, rdb, limits("a"))
	lease := acquire(t, was, 1, "old")
	heard := listen(t, is)
	released := false
	rdb.AddHook(&failing{fail: func(_ int, cmd redis.Cmder) error {
		if cmd.Name() == "xadd" && !released {
			released = true
			return was.Release(t.Context(), lease, true)
		}
		return nil
	}})
	check(t, was.Append(t.Context(), []messenger.Event{event(threadIn(1, 0), "a")}))
	for _, of := range []string{"release", "entry"} {
		if got := <-heard; got != 1 {
			t.Errorf("announcement of the %s = %d, want 1", of, got)
		}
	}
}

// listen returns the announcements that a Store hears, once they flow.
func listen(t *testing.T, store *redisstore.Store) <-chan int {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	heard, ended := make(chan int, 100), make(chan error, 1)
	go func() { ended <- store.Wakes(ctx, func(p int) { heard <- p }) }()
	t.Cleanup(func() { cancel(); check(t, <-ended) })
	if got := <-heard; got != -1 {
		t.Fatalf("first announcement = %d, want -1", got)
	}
	return heard
}

// When memory runs out nothing more is accepted, but what was goes on its way,
// which makes room.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	rdb := dial(t, redis.Options{Addr: redistest.Start(t)})
	ctx, store, key := t.Context(), open(t, rdb, limits("a")), threadIn(1, 0)
	check(t, store.Append(ctx, []messenger.Event{event(key, "a")}))
	lease := acquire(t, store, 1, "owner")
	second := acquire(t, store, 2, "owner")
	entries, err := store.Read(ctx, 1, 10)
	check(t, err)

	check(t, rdb.ConfigSet(ctx, "maxmemory", "1").Err())
	before := dump(t, rdb, "a")
	for _, err := range []error{
		store.Append(ctx, []messenger.Event{event(key, "b"), event(threadIn(3, 0), "c")}),
		store.Command(ctx, key, "c", []byte("{}")),
	} {
		if !redis.IsOOMError(err) {
			t.Errorf("storing without memory = %v, want OOM", err)
		}
	}
	if got := dump(t, rdb, "a"); !reflect.DeepEqual(got, before) {
		t.Errorf("without memory there is %v, want %v", got, before)
	}
	c := whole(lease, key)
	c.Consumed = entries.Entries
	if _, err := store.Commit(ctx, c); err != nil {
		t.Errorf("Commit() without memory = %v", err)
	}
	if _, lost, err := store.Renew(ctx, []handover.Lease{lease}, time.Minute); err != nil || len(lost) > 0 {
		t.Errorf("Renew() without memory = %v, %v", lost, err)
	}
	if _, err := store.Heartbeat(ctx, "me", time.Minute); err != nil {
		t.Errorf("Heartbeat() without memory = %v", err)
	}
	check(t, store.Leave(ctx, "me"))
	if err := store.Pause(ctx, "1", time.Minute, "why"); err != nil {
		t.Errorf("Pause() without memory = %v", err)
	}
	if err := store.Release(ctx, second, true); err != nil {
		t.Errorf("Release() without memory = %v", err)
	}
	if _, held, err := store.Acquire(ctx, 2, "next", time.Minute); err != nil || !held {
		t.Errorf("Acquire() without memory = %v, %v", held, err)
	}

	check(t, rdb.ConfigSet(ctx, "maxmemory", "0").Err())
	check(t, store.Append(ctx, []messenger.Event{event(key, "a"), event(key, "b")}))
	entries, err = store.Read(ctx, 1, 10)
	check(t, err)
	if got := entries.Entries; len(got) != 2 || !got[0].Known || got[1].Known {
		t.Errorf("entries = %+v, want b alone to be new", got)
	}
}

// A history grows by an eighth beyond what is shown of it, and is trimmed then.
func TestAHistoryIsTrimmedNowAndThen(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	store, key := open(t, rdb, limits("a")), threadIn(1, 0)
	lease := acquire(t, store, 1, "owner")
	var longest int64
	for range 3 * storetest.HistoryCap {
		done, err := store.Commit(t.Context(), handover.Commit{Lease: lease, History: []handover.HistoryWrite{{Thread: key.String(), Body: []byte("line")}}})
		check(t, err)
		lease.Seq = done.Seq
		longest = max(longest, rdb.LLen(t.Context(), "a:{p1}:h:"+key.String()).Val())
	}
	if want := int64(storetest.HistoryCap + storetest.HistoryCap/8); longest != want {
		t.Errorf("the history was %d lines long at most, want %d", longest, want)
	}
}

// What is forgotten is forgotten at once, by a renewal that has nothing to count; a
// repeat of it forgets nothing more.
func TestForgetting(t *testing.T) {
	t.Parallel()
	rdb, clock := mini(t)
	store := open(t, rdb, limits("a"))
	lease := acquire(t, store, 1, "owner")
	wants := func(what string, first, second int64) {
		t.Helper()
		for range 2 {
			_, _, err := store.Renew(t.Context(), []handover.Lease{lease}, time.Minute)
			check(t, err)
			if a, b := rdb.SCard(t.Context(), "a:{p1}:dd0").Val(), rdb.SCard(t.Context(), "a:{p1}:dd1").Val(); a != first || b != second {
				t.Errorf("%s: %d and %d ids are known, want %d and %d", what, a, b, first, second)
			}
		}
	}
	decide := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			check(t, store.Append(t.Context(), []messenger.Event{event(threadIn(1, 0), id)}))
		}
		batch, err := store.Read(t.Context(), 1, 100)
		check(t, err)
		done, err := store.Commit(t.Context(), handover.Commit{Lease: lease, Consumed: batch.Entries})
		check(t, err)
		lease.Seq = done.Seq
	}
	wants("at first", 0, 0)
	decide("a", "b")
	clock.Advance(47 * time.Hour)
	wants("within the horizon", 2, 0)
	decide("c")
	clock.Advance(time.Hour)
	wants("at the horizon", 3, 0)
	decide("d")
	wants("after it", 3, 1)
	clock.Advance(47 * time.Hour)
	decide("e")
	wants("within the next", 3, 2)
	clock.Advance(time.Hour)
	wants("at the next", 0, 2)
	decide("f")
	wants("after the next", 1, 2)
}

// A thread, its history and nothing else expire.
func TestTimesToLive(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	store, key := open(t, rdb, limits("a")), threadIn(1, 0)
	lease := acquire(t, store, 1, "owner")
	check(t, store.Append(t.Context(), []messenger.Event{event(key, "a")}))
	c := whole(lease, key)
	c.Threads[0].Wake = time.Time{}
	_, err := store.Commit(t.Context(), c)
	check(t, err)
	for _, k := range keysOf(t, rdb, "a") {
		want := -time.Nanosecond // none
		if strings.Contains(k, ":t:") || strings.Contains(k, ":h:") {
			want = 30 * 24 * time.Hour
		}
		if got := rdb.PTTL(t.Context(), k).Val(); got != want {
			t.Errorf("time to live of %s = %v, want %v", k, got, want)
		}
	}
}

// An announcement may be missed while there is no connection, so each connect is
// told.
func TestWakesAfterReconnect(t *testing.T) {
	t.Parallel()
	rdb := dial(t, redis.Options{Addr: redistest.Start(t)})
	store := open(t, rdb, limits("a"))
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan int, 100), make(chan error, 1)
	go func() { ended <- store.Wakes(ctx, func(p int) { heard <- p }) }()
	next := func() int {
		select {
		case p := <-heard:
			return p
		case <-time.After(30 * time.Second):
			t.Fatal("no announcement came")
			return 0
		}
	}
	for round := range 3 {
		if got := next(); got != -1 {
			t.Fatalf("announcement after connect %d = %d, want -1", round, got)
		}
		check(t, store.Append(ctx, []messenger.Event{event(threadIn(round, 0), "a")}))
		if got := next(); got != round {
			t.Fatalf("announcement = %d, want %d", got, round)
		}
		check(t, rdb.ClientKillByFilter(ctx, "TYPE", "pubsub").Err())
	}
	for _, strange := range []string{"64", "x", ""} {
		if got := next(); got != -1 { // of the last kill, then of the strange ones
			t.Fatalf("announcement = %d, want -1", got)
		}
		check(t, rdb.Publish(ctx, "a:wake", strange).Err())
	}
	cancel()
	check(t, <-ended)
}

func TestWakesTellsThatTheClientWasClosed(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	store := open(t, rdb, limits("a"))
	check(t, rdb.Close())
	if err := store.Wakes(t.Context(), func(int) {}); err == nil {
		t.Error("Wakes() = nil, want an error: nobody would be told of anything")
	}
}
