package redisstore_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"usher/handover/redisstore"
	"usher/handover/storetest"
	"usher/handover/storetest/redistest"
	"usher/messenger"
)

var _ storetest.Store = (*redisstore.Store)(nil)

// The store does what stores must on miniredis, on every server there is, and in
// a cluster.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) (storetest.Store, storetest.Clock) {
			t.Helper()
			rdb, clock := mini(t)
			return open(t, rdb, limits("usher")), clock
		})
	})
	for _, server := range redistest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			rdb := dial(t, redis.Options{Addr: redistest.StartServer(t, server)})
			runOn(t, rdb, rdb)
		})
	}
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		rdb := startCluster(t)
		runOn(t, rdb, rdb)
	})
}

// The same holds when every reply is lost once, so that every script runs twice.
func TestConformanceWhenRepliesAreLost(t *testing.T) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		lost := atLeast(t, 500)
		storetest.Run(t, func(t *testing.T) (storetest.Store, storetest.Clock) {
			t.Helper()
			_, clock := mini(t)
			return open(t, dial(t, losing(clock.mini.Addr(), lost)), limits("usher")), clock
		})
	})
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		addr := redistest.Start(t)
		runOn(t, dial(t, losing(addr, atLeast(t, 500))), dial(t, redis.Options{Addr: addr}))
	})
}

// atLeast checks, when the test ends, that so many replies were lost: else it
// has shown nothing.
func atLeast(t *testing.T, want int64) *atomic.Int64 {
	t.Helper()
	lost := new(atomic.Int64)
	t.Cleanup(func() {
		if got := lost.Load(); got < want && !t.Skipped() {
			t.Errorf("%d replies were lost, want %d at least", got, want)
		}
	})
	return lost
}

// runOn runs the suite on a server that is shared by its tests, and ages what is
// stored through a client of its own.
func runOn(t *testing.T, rdb, aging redis.UniversalClient) {
	t.Helper()
	storetest.Run(t, func(t *testing.T) (storetest.Store, storetest.Clock) {
		t.Helper()
		prefix := newPrefix()
		return open(t, rdb, limits(prefix)), &agingClock{t: t, rdb: aging, prefix: prefix}
	})
}

// A cluster refuses a script whose keys are in several slots; here it is asked.
func TestKeysOfAPartitionShareASlot(t *testing.T) {
	t.Parallel()
	rdb := dial(t, redis.Options{Addr: redistest.Start(t, "--cluster-enabled", "yes")})
	used := make(map[int64]bool)
	_, clock := mini(t)
	miniRDB := dial(t, redis.Options{Addr: clock.mini.Addr()})
	store := open(t, miniRDB, limits("some.prefix"))
	for p := range storetest.Partitions {
		key := threadIn(p, 0)
		lease, _, err := store.Acquire(t.Context(), p, "owner", 1e9)
		check(t, err)
		check(t, store.Append(t.Context(), []messenger.Event{event(key, "a")}))
		_, err = store.Commit(t.Context(), whole(lease, key))
		check(t, err)

		slots := make(map[int64]string)
		keys := keysOf(t, miniRDB, "some.prefix:{p"+strconv.Itoa(p)+"}")
		for _, k := range keys {
			slot, err := rdb.ClusterKeySlot(t.Context(), k).Result()
			check(t, err)
			slots[slot] = k
			used[slot] = true
		}
		if len(keys) != 9 || len(slots) != 1 {
			t.Errorf("keys of partition %d: %s, in %d slots, want 9 in one", p, strings.Join(keys, " "), len(slots))
		}
	}
	if len(used) != storetest.Partitions {
		t.Errorf("%d slots are used, want %d: partitions can move one by one", len(used), storetest.Partitions)
	}
}
