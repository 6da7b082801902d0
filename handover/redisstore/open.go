package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"usher/handover"
)

// Open prepares Redis for use, and refuses one that Usher must not run on: one
// that was installed with another number of partitions
// ([handover.ErrPartitions]), that holds what a newer version wrote
// ([handover.ErrNewerSchema]), or that does not keep what Options.Durability
// promises ([ErrSettings]). All faults are reported at once, with their mend.
//
// Warnings tell what could not be checked: managed Redis often hides its
// settings. Open may be repeated.
func (s *Store) Open(ctx context.Context) (warnings []string, err error) {
	for _, script := range []*redis.Script{
		ingestScript, acquireScript, renewScript, releaseScript, readScript, commitScript, heartbeatScript, leaveScript,
		pauseScript,
	} {
		if err := script.Load(ctx, s.rdb).Err(); err != nil {
			return nil, fmt.Errorf("load scripts into Redis: %w", err)
		}
	}
	warnings, err = s.inspect(ctx)
	return warnings, errors.Join(err, s.install(ctx))
}

// Ready returns nil where what comes in can be stored: Redis answers, takes writes,
// and holds the installation that was opened. The error is Redis's own or one of
// [Store.Open].
func (s *Store) Ready(ctx context.Context) error { return s.install(ctx) }

// install stores what must never change, or compares with what is stored. The
// first to come decides.
func (s *Store) install(ctx context.Context) error {
	var stored *redis.SliceCmd
	key := s.keys.install()
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSetNX(ctx, key, "partitions", len(s.partitions))
		p.HSetNX(ctx, key, "schema", schema)
		stored = p.HMGet(ctx, key, "partitions", "schema")
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	var is struct {
		Partitions int `redis:"partitions"`
		Schema     int `redis:"schema"`
	}
	if err := stored.Scan(&is); err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	var faults []error
	if is.Partitions != len(s.partitions) {
		faults = append(faults, fmt.Errorf("%w: Redis has %d under prefix %q, this process was given %d; the number cannot change after installation: use %d, or another prefix",
			handover.ErrPartitions, is.Partitions, s.Prefix, len(s.partitions), is.Partitions))
	}
	if is.Schema > schema {
		faults = append(faults, fmt.Errorf("%w: Redis has schema %d under prefix %q, this version knows up to %d: update Usher, or use another prefix",
			handover.ErrNewerSchema, is.Schema, s.Prefix, schema))
	}
	if len(faults) == 0 && is.Schema < schema {
		if err := s.rdb.HSet(ctx, key, "schema", schema).Err(); err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	return errors.Join(faults...)
}

// ErrSettings reports settings of Redis under which it does not keep what was
// promised.
var ErrSettings = errors.New("settings of Redis")

// need is a setting of Redis that something depends on.
type need struct {
	name string
	ok   func(value string) bool
	why  string
	mend string // for redis.conf
}

// needs are what Options.Durability needs.
func (s *Store) needs() []need {
	is := func(values ...string) func(string) bool {
		return func(value string) bool { return slices.Contains(values, value) }
	}
	aof := need{"appendonly", is("yes"), "what was accepted must survive a restart of Redis", "appendonly yes"}
	needs := []need{{
		"maxmemory-policy", is("noeviction"),
		"any other policy deletes threads when memory runs out, and nobody would know who answers them", "maxmemory-policy noeviction",
	}}
	switch s.Durability {
	case Memory:
	case Standard:
		needs = append(needs, aof, need{
			"appendfsync", is("everysec", "always"), "a failure of the machine may lose a second, not more", "appendfsync everysec",
		})
	case Strict:
		needs = append(needs, aof, need{
			"appendfsync", is("always"), "what was accepted must survive a failure of the machine", "appendfsync always",
		})
	case Replicated:
		needs = append(needs, need{
			"min-replicas-to-write",
			func(v string) bool { n, err := strconv.Atoi(v); return err == nil && n >= s.Replicas },
			"a primary without its replicas must not accept what it would take with it", "min-replicas-to-write " + strconv.Itoa(s.Replicas),
		})
	}
	return needs
}

// inspect compares the settings of each primary with what is needed.
func (s *Store) inspect(ctx context.Context) (warnings []string, err error) {
	nodes, err := s.primaries(ctx)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, node := range nodes {
		at := node.Options().Addr
		for _, n := range s.needs() {
			is, err := node.ConfigGet(ctx, n.name).Result()
			var refused redis.Error
			switch value, known := is[n.name]; {
			case errors.As(err, &refused), err == nil && !known:
				warnings = append(warnings, fmt.Sprintf("Redis at %s does not tell its %s (durability %s needs %q: %s); make sure of it yourself",
					at, n.name, s.Durability, n.mend, n.why))
			case err != nil:
				return warnings, fmt.Errorf("read settings of Redis at %s: %w", at, err)
			case !n.ok(value):
				faults = append(faults, fmt.Errorf("%w at %s: %s is %q, and durability %s needs %q: %s; set it in redis.conf or with CONFIG SET, or choose another redis.durability",
					ErrSettings, at, n.name, value, s.Durability, n.mend, n.why))
			}
		}
	}
	return warnings, errors.Join(faults...)
}

// primaries returns the nodes that writes go to.
func (s *Store) primaries(ctx context.Context) (nodes []*redis.Client, err error) {
	cluster, ok := s.rdb.(*redis.ClusterClient)
	if !ok {
		node, err := s.doors.find(ctx, s.keys.install())
		return []*redis.Client{node}, err
	}
	var mu sync.Mutex
	err = cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the nodes of the cluster: %w", err)
	}
	return nodes, nil
}
