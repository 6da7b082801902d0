package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/handover/redisstore"
	"usher/messenger"
)

// queue is a partition's entries as its owner and others see them.
type queue struct {
	*testing.T

	key           messenger.ThreadKey
	owner, others *redisstore.Store // two processes
	lease         handover.Lease
}

func newQueue(t *testing.T, rdb redis.UniversalClient, ttl time.Duration) *queue {
	t.Helper()
	o := limits(newPrefix())
	q := &queue{T: t, key: threadIn(3, 0), owner: open(t, rdb, o), others: open(t, rdb, o)}
	lease, held, err := q.owner.Acquire(t.Context(), 3, "owner", ttl)
	if !held || err != nil {
		t.Fatal(held, err)
	}
	q.lease = lease
	return q
}

func (q *queue) append(by *redisstore.Store, ids ...string) {
	q.Helper()
	for _, id := range ids {
		if err := by.Append(q.Context(), []messenger.Event{event(q.key, id)}); err != nil {
			q.Fatalf("Append(%s) = %v", id, err)
		}
	}
}

// read returns the ids of new entries, and the batch.
func (q *queue) read(by *redisstore.Store, limit int) (ids string, batch handover.Batch) {
	q.Helper()
	batch, err := by.Read(q.Context(), 3, limit)
	if err != nil {
		q.Fatalf("Read() = %v", err)
	}
	var all []string
	for _, e := range batch.Entries {
		ev, err := messenger.UnmarshalEvent(e.Body)
		if err != nil {
			q.Fatal(err)
		}
		if !e.Known {
			all = append(all, strings.TrimPrefix(ev.ID, "message:"))
		}
	}
	return strings.Join(all, " "), batch
}

func (q *queue) want(what, want string) {
	q.Helper()
	if got, _ := q.read(q.owner, 100); got != want {
		q.Errorf("%s: the owner reads %q, want %q", what, got, want)
	}
}

// take reads and consumes up to limit entries, and returns the new ones, and whether
// more may be left.
func (q *queue) take(limit int) (ids string, left bool) {
	q.Helper()
	ids, batch := q.read(q.owner, limit)
	done, err := q.owner.Commit(q.Context(), handover.Commit{Lease: q.lease, Consumed: batch.Entries})
	if err != nil {
		q.Fatalf("Commit() = %v", err)
	}
	q.lease.Seq = done.Seq
	return ids, done.Left
}

// What an owner has appended himself he does not read back: it is there although the
// stream has lost it. What others append he reads in its place.
func TestAnOwnersEntriesAreAtHand(t *testing.T) {
	t.Parallel()
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := server(t)
			q := newQueue(t, rdb, time.Minute)
			q.want("at first", "")
			q.append(q.owner, "a", "b")
			if n := rdb.XTrimMaxLen(t.Context(), q.owner.Prefix+":{p3}:in", 0).Val(); n != 2 {
				t.Fatalf("the stream had %d entries, want 2", n)
			}
			q.want("of what he appended", "a b")
			q.append(q.owner, "a")
			if ids, left := q.take(100); ids != "a b" || left {
				t.Errorf("he takes %q, more is left: %v; want a and b, and no more", ids, left)
			}
			q.append(q.owner, "c")
			q.append(q.others, "d")
			q.append(q.owner, "e")
			if ids, left := q.take(2); ids != "c d" || !left {
				t.Errorf("he takes %q, more is left: %v; want c and d, and more", ids, left)
			}
			q.append(q.owner, "f", "a", "d")
			if ids, left := q.take(100); ids != "e f" || left {
				t.Errorf("he takes %q, more is left: %v; want e and f, and no more", ids, left)
			}
			q.append(q.owner, "g")
			q.append(q.others, "h")
			if _, batch := q.read(q.owner, 1); len(batch.Entries) != 1 {
				t.Errorf("he reads %d entries, want 1", len(batch.Entries))
			}
			if ids, left := q.take(100); ids != "g h" || left {
				t.Errorf("he takes %q, more is left: %v; want g and h, and no more", ids, left)
			}
			q.append(q.others, "i")
			if _, left := q.take(0); !left {
				t.Error("no entry is left, want the one that another appended")
			}
		})
	}
}

// What waits is read from the stream where it is too much to be kept at hand.
func TestManyEntriesAreRead(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	q := newQueue(t, rdb, time.Minute)
	q.want("at first", "")
	var want []string
	for i := range 600 {
		want = append(want, fmt.Sprint("m", i))
	}
	q.append(q.owner, want...)
	var got []string
	for left := true; left && len(got) < len(want); {
		var ids string
		ids, left = q.take(128)
		got = append(got, strings.Fields(ids)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %d entries, want all %d in order", len(got), len(want))
	}
}

// An owner whose lease has run out, and who does not know that another has taken the
// partition, tells of what he appends before it is acknowledged.
func TestAnOwnerOutOfTimeTellsOfWhatHeAppends(t *testing.T) {
	t.Parallel()
	rdb, clock := mini(t)
	q := newQueue(t, rdb, time.Nanosecond)
	clock.Advance(time.Minute)
	stale := q.owner
	lease, held, err := q.others.Acquire(t.Context(), 3, "others", time.Minute)
	if !held || err != nil {
		t.Fatal(held, err)
	}
	q.owner, q.lease = q.others, lease
	q.want("at first", "")
	q.append(stale, "a")
	q.append(q.owner, "b")
	q.want("after both have appended", "a b")
}

// Whatever two processes append, and however much of it the owner reads at a time, he
// gets all of it in the order in which it was acknowledged.
func TestEntriesOfAllComeInOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			rdb, clock := mini(t)
			q := newQueue(t, rdb, time.Minute)
			random := rand.New(rand.NewPCG(seed, 0))
			var want, got []string
			for range 300 {
				switch random.IntN(6) {
				case 0, 1, 2:
					by := q.owner
					if random.IntN(4) == 0 {
						by = q.others
					}
					want = append(want, fmt.Sprint("m", len(want)))
					q.append(by, want[len(want)-1])
				case 3:
					clock.Advance(time.Duration(random.IntN(2)) * time.Millisecond)
				case 4:
					ids, _ := q.take(1 + random.IntN(5))
					got = append(got, strings.Fields(ids)...)
				case 5: // it is given away, and taken back
					from, to := q.owner, q.others
					if err := from.Release(t.Context(), q.lease, true); err != nil {
						t.Fatal(err)
					}
					lease, held, err := to.Acquire(t.Context(), 3, fmt.Sprint("token", random.Uint64()), time.Minute)
					if !held || err != nil {
						t.Fatal(held, err)
					}
					q.owner, q.others, q.lease = to, from, lease
				}
			}
			ids, left := q.take(1000)
			if got = append(got, strings.Fields(ids)...); !slices.Equal(got, want) || left {
				first := 0
				for first < min(len(got), len(want)) && got[first] == want[first] {
					first++
				}
				t.Errorf("read %d of %d entries, and more is left: %v; the first %d as they were appended, and then %q", len(got), len(want), left, first, got[first:min(first+5, len(got))])
			}
		})
	}
}
