package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// How Redis is set up, as --redis has it.
const (
	redisSingle   = "single"
	redisSentinel = "sentinel"
	redisCluster  = "cluster"
	redisPlain    = "plain" // single, and no proxy before it: for measurements
)

// redisMaster is what sentinels call the primary.
const redisMaster = "usher"

// redisRig is a Redis of our own: one server, a primary with two replicas under
// three sentinels, or a cluster of three nodes.
type redisRig struct {
	mode      string
	fsync     string // of the append-only file: always or everysec
	path      string
	dir       string
	nodes     []*redisNode
	sentinels []*redisNode
	// url is what Usher is told; through the proxies. Under sentinels the replicas
	// speak with their primary through its proxy as well.
	url string
	// client goes the same way.
	client redis.UniversalClient
	// What sentinels told last: the primary, and how often there was a new one.
	told      atomic.Pointer[redisNode]
	epochTold atomic.Int64
}

// redisNode is one server process with its files.
type redisNode struct {
	*child

	port   int
	conf   string
	proxy  *proxy        // nil for sentinels, and where nothing goes wrong
	direct *redis.Client // past the proxy
}

// startRedis starts the servers and waits until they serve.
//
// Fsync is how often the append-only file is synced, and confirm how many of the
// replicas under sentinels must confirm a write.
func startRedis(ctx context.Context, mode, dir, fsync string, confirm int) (*redisRig, error) {
	path, err := findRedis()
	if err != nil {
		return nil, err
	}
	signal.Ignore(syscall.SIGXFSZ) // as the servers then do, see fillDisk
	r := &redisRig{mode: mode, fsync: fsync, path: path, dir: dir}
	switch mode {
	case redisSentinel:
		err = r.startSentinel(ctx, confirm)
	case redisCluster:
		err = r.startCluster(ctx)
	default:
		err = r.startSingle(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Redis: %w", err), r.close())
	}
	return r, nil
}

func (r *redisRig) startSingle(ctx context.Context) error {
	n, err := r.node(ctx, "redis", r.mode == redisSingle)
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", n.announced())
	r.url = "redis://" + address + "/0"
	r.client = redis.NewClient(&redis.Options{Addr: address, PoolSize: 8})
	return nil
}

func (r *redisRig) startSentinel(ctx context.Context, confirm int) error {
	lines := []string{fmt.Sprintf("min-replicas-to-write %d", confirm), "min-replicas-max-lag 2", "repl-diskless-sync-delay 0"}
	primary, err := r.node(ctx, "redis 0", true, lines...)
	if err != nil {
		return err
	}
	lines = append(lines, "replicaof 127.0.0.1 "+primary.announced())
	for i := range 2 {
		if _, err := r.node(ctx, fmt.Sprintf("redis %d", i+1), true, lines...); err != nil {
			return err
		}
	}
	var addresses []string
	for i := range 3 {
		n, err := r.sentinel(ctx, fmt.Sprintf("sentinel %d", i), primary.announced())
		if err != nil {
			return err
		}
		addresses = append(addresses, n.address())
	}
	r.url = "redis-sentinel://" + strings.Join(addresses, ",") + "/" + redisMaster
	r.client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: redisMaster, SentinelAddrs: addresses, PoolSize: 8})
	return await(ctx, "two replicas follow and three sentinels agree", func() bool {
		follow, err := primary.direct.Info(ctx, "replication").Result()
		agree, sentinelErr := r.sentinels[0].direct.Do(ctx, "SENTINEL", "CKQUORUM", redisMaster).Text()
		return err == nil && strings.Count(follow, "state=online") == 2 && sentinelErr == nil && strings.HasPrefix(agree, "OK 3 ")
	})
}

// slots is how many a cluster has.
const slots = 16384

func (r *redisRig) startCluster(ctx context.Context) error {
	const nodes = 3
	var addresses []string
	for i := range nodes {
		n, err := r.node(ctx, fmt.Sprintf("redis %d", i), true, "cluster-enabled yes", "cluster-node-timeout 2000")
		if err != nil {
			return err
		}
		if err := n.direct.ClusterAddSlotsRange(ctx, i*slots/nodes, (i+1)*slots/nodes-1).Err(); err != nil {
			return err
		}
		if err := n.direct.ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(r.nodes[0].port)).Err(); err != nil {
			return err
		}
		addresses = append(addresses, n.proxy.address())
	}
	r.url = "redis-cluster://" + strings.Join(addresses, ",")
	r.client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, PoolSize: 8})
	return r.whole(ctx)
}

// node starts a server of data; more are further lines of its configuration.
func (r *redisRig) node(ctx context.Context, name string, proxied bool, more ...string) (*redisNode, error) {
	lines := append([]string{
		"appendonly yes", "appendfsync " + r.fsync, `save ""`, "maxmemory-policy noeviction", "auto-aof-rewrite-min-size 256mb",
	}, more...)
	n, err := r.configure(ctx, name, proxied, lines)
	if err != nil {
		return nil, err
	}
	r.nodes = append(r.nodes, n)
	return n, r.launch(ctx, n)
}

func (r *redisRig) sentinel(ctx context.Context, name, primary string) (*redisNode, error) {
	n, err := r.configure(ctx, name, false, []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 2", redisMaster, primary),
		"sentinel down-after-milliseconds " + redisMaster + " 1000",
		"sentinel failover-timeout " + redisMaster + " 4000",
	})
	if err != nil {
		return nil, err
	}
	r.sentinels = append(r.sentinels, n)
	return n, r.launch(ctx, n, "--sentinel")
}

// configure writes a server's configuration. It is a file because sentinels
// rewrite it.
func (r *redisRig) configure(ctx context.Context, name string, proxied bool, lines []string) (*redisNode, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.dir, strings.ReplaceAll(name, " ", "-"))
	n := &redisNode{port: port, conf: filepath.Join(dir, "redis.conf"), child: &child{name: name}}
	n.direct = redis.NewClient(&redis.Options{Addr: n.address(), PoolSize: 4})
	lines = append([]string{"bind 127.0.0.1", fmt.Sprintf("port %d", port), "dir " + dir, "daemonize no"}, lines...)
	if proxied {
		if n.proxy, err = newProxy(ctx, n.address()); err != nil {
			return nil, err
		}
		switch r.mode { // where others are sent to
		case redisCluster:
			lines = append(lines, "cluster-announce-ip 127.0.0.1", "cluster-announce-port "+n.announced(),
				fmt.Sprintf("cluster-announce-bus-port %d", port+busOffset))
		case redisSentinel:
			lines = append(lines, "replica-announce-ip 127.0.0.1", "replica-announce-port "+n.announced())
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return n, os.WriteFile(n.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (n *redisNode) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// announced is the port at which others find the server.
func (n *redisNode) announced() string {
	if n.proxy != nil {
		return strconv.Itoa(n.proxy.port())
	}
	return strconv.Itoa(n.port)
}

// launch starts a server, for the first time or again. While it was away, anybody's
// connection may have been given its port for a moment.
func (r *redisRig) launch(ctx context.Context, n *redisNode, args ...string) error {
	within, cancel := context.WithTimeoutCause(ctx, startWithin, errTimeout)
	defer cancel()
	for {
		err := r.launchOnce(ctx, n, args...)
		if !errors.Is(err, errEnded) || !pause(within, 100*time.Millisecond) {
			return err
		}
	}
}

func (r *redisRig) launchOnce(ctx context.Context, n *redisNode, args ...string) error {
	var last string
	c, err := start(n.name, os.Environ(), func(line string) { last = line }, r.path, append([]string{n.conf}, args...)...) //nolint:forbidigo // its own environment is ours
	if err != nil {
		return err
	}
	n.child = c
	err = await(ctx, n.name+" answers", func() bool { return !c.running() || n.direct.Ping(ctx).Err() == nil })
	if err == nil && !c.running() {
		err = fmt.Errorf("%w: %s: %s", errEnded, n.name, last)
	}
	return err
}

var errEnded = errors.New("the server ended by itself")

// primary returns the node that is the primary; under sentinels that changes. Where
// they do not answer, it is the last one that they told of.
func (r *redisRig) primary(ctx context.Context) *redisNode {
	if r.mode != redisSentinel {
		return r.nodes[0]
	}
	at, err := r.sentinels[0].direct.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", redisMaster).StringSlice()
	for _, n := range r.nodes {
		if err == nil && len(at) == 2 && at[1] == n.announced() {
			r.told.Store(n)
			return n
		}
	}
	return cmp.Or(r.told.Load(), r.nodes[0])
}

// epoch counts the failovers of sentinels: it grows with each new primary. Where they do
// not answer, it is what they told last.
func (r *redisRig) epoch(ctx context.Context) int64 {
	master := redis.NewMapStringStringCmd(ctx, "sentinel", "master", redisMaster)
	if r.sentinels[0].direct.Process(ctx, master) == nil {
		if n, err := strconv.ParseInt(master.Val()["config-epoch"], 10, 64); err == nil {
			r.epochTold.Store(n)
		}
	}
	return r.epochTold.Load()
}

// moveSlots moves the slots of n partitions to other nodes, key by key, as
// redis-cli does.
func (r *redisRig) moveSlots(ctx context.Context, first, n int) error {
	for i := range n {
		key := fmt.Sprintf("usher:{p%d}:in", (first+i)%64)
		if err := r.moveSlot(ctx, key); err != nil {
			return fmt.Errorf("move the slot of %s: %w", key, err)
		}
	}
	return nil
}

func (r *redisRig) moveSlot(ctx context.Context, key string) error {
	slot, err := r.nodes[0].direct.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return err
	}
	from, ids, err := r.slotOwner(ctx, slot)
	if err != nil {
		return err
	}
	to := (from + 1) % len(r.nodes)
	source, target := r.nodes[from].direct, r.nodes[to]
	if err := target.direct.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]).Err(); err != nil {
		return err
	}
	if err := source.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]).Err(); err != nil {
		return err
	}
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, int(slot), 50).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS"}
		for _, k := range keys {
			args = append(args, k)
		}
		if err := source.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	for _, i := range []int{to, from, 3 - from - to} { // the new owner first
		if err := r.nodes[i].direct.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]).Err(); err != nil {
			return err
		}
	}
	return nil
}

// slotOwner returns which node has a slot, and the ids of all nodes.
func (r *redisRig) slotOwner(ctx context.Context, slot int64) (owner int, ids []string, err error) {
	for _, n := range r.nodes {
		id, err := n.direct.Do(ctx, "CLUSTER", "MYID").Text()
		if err != nil {
			return 0, nil, err
		}
		ids = append(ids, id)
	}
	shards, err := r.nodes[0].direct.ClusterShards(ctx).Result()
	if err != nil {
		return 0, nil, err
	}
	for _, shard := range shards {
		for _, s := range shard.Slots {
			if s.Start <= slot && slot <= s.End && len(shard.Nodes) > 0 {
				return slices.Index(ids, shard.Nodes[0].ID), ids, nil
			}
		}
	}
	return 0, nil, errNoSlot
}

var errNoSlot = errors.New("no node has the slot")

// memory returns what the servers of data use, in bytes.
func (r *redisRig) memory(ctx context.Context) (sum int64) {
	for _, n := range r.nodes {
		info, err := n.direct.Info(ctx, "memory").Result()
		if err != nil {
			continue // it is down
		}
		_, rest, _ := strings.Cut(info, "used_memory:")
		used, _, _ := strings.Cut(rest, "\r")
		bytes, err := strconv.ParseInt(used, 10, 64)
		if err == nil {
			sum += bytes
		}
	}
	return sum
}

// version returns the name and version of the servers.
func (r *redisRig) version(ctx context.Context) string {
	info, err := r.nodes[0].direct.Info(ctx, "server").Result()
	if err != nil {
		return "unknown: " + err.Error()
	}
	for _, name := range []string{"valkey", "redis"} { // Valkey tells a redis_version too
		if _, rest, ok := strings.Cut(info, name+"_version:"); ok {
			version, _, _ := strings.Cut(rest, "\r")
			return name + " " + version
		}
	}
	return "unknown"
}

// close ends all servers.
func (r *redisRig) close() error {
	var errs []error
	if r.client != nil {
		errs = append(errs, r.client.Close())
	}
	for _, n := range append(r.sentinels, r.nodes...) {
		if n.cmd != nil {
			errs = append(errs, n.kill())
		}
		errs = append(errs, n.direct.Close())
		if n.proxy != nil {
			n.proxy.close()
		}
	}
	return errors.Join(errs...)
}

// busOffset is how far the port of the cluster bus is above a node's own.
const busOffset = 10_000

// The ports that servers get. Systems give connections higher ones: a server that is
// away for a while, or starts, would find its own taken, for as long as the connection
// is there.
const (
	lowestPort  = 10_000
	highestPort = 32_767 - busOffset
)

// freePort returns a port that is free now, as is that of its bus.
func freePort(ctx context.Context) (port int, err error) {
	for range 1000 {
		port = lowestPort + rand.IntN(highestPort-lowestPort+1)
		if err = errors.Join(tryPort(ctx, port), tryPort(ctx, port+busOffset)); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port is free: %w", err)
}

func tryPort(ctx context.Context, port int) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// startWithin bounds every start, on a busy machine.
const startWithin = time.Minute

// endWithin bounds the end of a server that has data to write.
const endWithin = 20 * time.Second

// await waits for a condition.
func await(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errTimeout)
	defer cancel()
	if err := poll(ctx, done); err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

var errTimeout = errors.New("it took too long")
