package redisstore_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/handover/redisstore"
	"usher/handover/storetest"
	"usher/handover/storetest/redistest"
	"usher/messenger"
)

// limits are the options that the conformance suite wants.
func limits(prefix string) redisstore.Options {
	return redisstore.Options{
		Prefix: prefix, Partitions: storetest.Partitions, HistoryCap: storetest.HistoryCap, BuriedCap: storetest.BuriedCap,
		EpisodesCap: storetest.EpisodesCap, Retention: storetest.Retention, Horizon: storetest.Horizon, Durability: redisstore.Memory,
	}
}

// prefixes keeps the tests that share a server apart.
var prefixes atomic.Int64

func newPrefix() string { return "t" + strconv.FormatInt(prefixes.Add(1), 10) }

// open returns an opened store.
func open(tb testing.TB, rdb redis.UniversalClient, o redisstore.Options) *redisstore.Store {
	tb.Helper()
	store, err := redisstore.New(rdb, o)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := store.Open(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return store
}

// dial returns a client that ends with the test.
func dial(tb testing.TB, o redis.Options) *redis.Client {
	tb.Helper()
	rdb := redis.NewClient(&o)
	tb.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// mini returns a client of a miniredis of its own, whose clock stands still.
func mini(tb testing.TB) (*redis.Client, *miniClock) {
	tb.Helper()
	m := miniredis.RunT(tb)
	clock := &miniClock{mini: m, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)}
	m.SetTime(clock.now)
	return dial(tb, redis.Options{Addr: m.Addr()}), clock
}

// miniClock is the clock of a miniredis.
type miniClock struct {
	mini *miniredis.Miniredis
	now  time.Time
}

func (c *miniClock) Advance(d time.Duration) {
	c.now = c.now.Add(d)
	c.mini.SetTime(c.now)
	c.mini.FastForward(d)
}

// agingClock makes time pass for a server whose clock cannot be set: it makes
// everything stored older.
type agingClock struct {
	t      *testing.T
	rdb    redis.UniversalClient
	prefix string
}

var ageScript = redis.NewScript(`
local ms = tonumber(ARGV[1])
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'zset' then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    redis.call('ZINCRBY', KEYS[1], -ms, member)
  end -- scores are times
end
for _, field in ipairs(kind == 'hash' and { 'expiry', 'marked' } or {}) do
  if redis.call('HEXISTS', KEYS[1], field) == 1 then
    redis.call('HINCRBY', KEYS[1], field, -ms)
  end -- no other field is a time
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then
  redis.call('PEXPIRE', KEYS[1], left - ms)
end
return 1`)

func (c *agingClock) Advance(d time.Duration) {
	c.t.Helper()
	for _, key := range keysOf(c.t, c.rdb, c.prefix) {
		if err := ageScript.Run(c.t.Context(), c.rdb, []string{key}, d.Milliseconds()).Err(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// keysOf returns all keys under a prefix, on all nodes, sorted.
func keysOf(tb testing.TB, rdb redis.UniversalClient, prefix string) []string {
	tb.Helper()
	var mu sync.Mutex
	var keys []string
	scan := func(ctx context.Context, node *redis.Client) error {
		found, err := node.Keys(ctx, prefix+":*").Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, found...)
		return err
	}
	var err error
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(tb.Context(), scan)
	} else {
		err = scan(tb.Context(), rdb.(*redis.Client)) //nolint:errcheck // it would panic
	}
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// dump returns everything under a prefix, with the time at which it expires.
func dump(tb testing.TB, rdb *redis.Client, prefix string) map[string]string {
	tb.Helper()
	ctx := tb.Context()
	all := make(map[string]string)
	for _, key := range keysOf(tb, rdb, prefix) {
		var value any
		kind, err := rdb.Type(ctx, key).Result()
		check(tb, err)
		switch kind {
		case "string":
			value, err = rdb.Get(ctx, key).Result()
		case "hash":
			value, err = rdb.HGetAll(ctx, key).Result()
		case "zset":
			value, err = rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "set":
			var members []string
			members, err = rdb.SMembers(ctx, key).Result()
			slices.Sort(members)
			value = members
		case "list":
			value, err = rdb.LRange(ctx, key, 0, -1).Result()
		case "stream":
			value, err = rdb.XRange(ctx, key, "-", "+").Result()
		default:
			tb.Fatalf("%s is a %s", key, kind)
		}
		check(tb, err)
		expires, err := rdb.PExpireTime(ctx, key).Result()
		check(tb, err)
		all[key] = fmt.Sprintf("%s %v until %v", kind, value, expires)
	}
	return all
}

// servers are a miniredis and each server there is, by name: each call starts one.
func servers() map[string]func(tb testing.TB) *redis.Client {
	all := map[string]func(tb testing.TB) *redis.Client{
		"miniredis": func(tb testing.TB) *redis.Client {
			tb.Helper()
			rdb, _ := mini(tb)
			return rdb
		},
	}
	for _, server := range redistest.Servers() {
		all[server] = func(tb testing.TB) *redis.Client {
			tb.Helper()
			return dial(tb, redis.Options{Addr: redistest.StartServer(tb, server)})
		}
	}
	return all
}

// losing returns options under which the reply to every script is lost: the
// connection breaks once the server has answered, and go-redis sends again. Only
// every second run of the same call gets through.
func losing(addr string, lost *atomic.Int64) redis.Options {
	var mu sync.Mutex
	runs := make(map[[32]byte]int)
	return redis.Options{
		Addr: addr, MinRetryBackoff: -1, MaxRetries: 50, // concurrent calls take turns in getting through
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &losingConn{Conn: conn, lose: func(request []byte) bool {
				mu.Lock()
				defer mu.Unlock()
				sum := sha256.Sum256(request)
				runs[sum]++
				if runs[sum]%2 == 0 {
					return false
				}
				lost.Add(1)
				return true
			}}, nil
		},
	}
}

type losingConn struct {
	net.Conn

	lose    func(request []byte) bool
	pending bool
}

func (c *losingConn) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "\r\nevalsha\r\n") && c.lose(b) {
		c.pending = true
	}
	return c.Conn.Write(b)
}

func (c *losingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.pending && err == nil { // the server has run it
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

// startCluster starts a Redis Cluster of three nodes and returns a client of it.
func startCluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	const nodes, slots = 3, 16384
	addrs := make([]string, nodes)
	clients := make([]*redis.Client, nodes)
	for i := range addrs {
		addrs[i] = redistest.Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")
		clients[i] = dial(t, redis.Options{Addr: addrs[i]})
		check(t, clients[i].ClusterAddSlotsRange(t.Context(), i*slots/nodes, (i+1)*slots/nodes-1).Err())
		// Nodes with the same epoch would first have to agree who is older.
		check(t, clients[i].Do(t.Context(), "cluster", "set-config-epoch", i+1).Err())
	}
	for _, other := range addrs[1:] {
		host, port, err := net.SplitHostPort(other)
		check(t, err)
		check(t, clients[0].ClusterMeet(t.Context(), host, port).Err())
	}
	for _, c := range clients {
		until(t, "the cluster is ready", func() bool {
			info := c.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = cluster.Close() })
	return cluster
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// threadIn returns the n-th thread of a partition.
func threadIn(p, n int) messenger.ThreadKey {
	for psid := 7_000_000_000_000_000; ; psid++ {
		key := messenger.ThreadKey{Page: "1000000000000001", PSID: messenger.PSID(strconv.Itoa(psid))}
		if key.Partition(storetest.Partitions) == p {
			if n == 0 {
				return key
			}
			n--
		}
	}
}

func event(key messenger.ThreadKey, id string) messenger.Event {
	return messenger.Event{ID: "message:" + id, Thread: key, Kind: messenger.KindMessage, MID: messenger.MessageID(id), Text: "hello"}
}

// whole returns a commit that leaves something under every key of a partition.
func whole(lease handover.Lease, key messenger.ThreadKey) handover.Commit {
	name := key.String()
	return handover.Commit{
		Lease:    lease,
		Threads:  []handover.ThreadWrite{{Thread: name, Body: []byte("{}"), Wake: time.Now().Add(time.Hour)}},
		Put:      []handover.Pending{{ID: "effect", Body: []byte("{}")}},
		Echoed:   []string{"echo"},
		History:  []handover.HistoryWrite{{Thread: name, Body: []byte("line")}},
		Buried:   []handover.Buried{{Thread: name, Cause: "panic", Body: []byte("{}"), At: time.Now()}},
		Episodes: [][]byte{[]byte("{}")},
	}
}
