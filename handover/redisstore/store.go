// Package redisstore keeps a partition's life in Redis: what was accepted, who
// owns it, its threads, timers, outbox and history.
//
//	Append ─▶ in ─Read─▶ owner ─Commit─▶ threads, timers, outbox, history
//
// Everything of a partition shares a hash tag, and every change is one Lua script
// that tests before it writes: it happens entirely, or not at all. The scripts
// stand in .lua files beside the Go that runs them; keys.go names the keys.
//
// Every script may run twice without harm, since go-redis sends a command again
// whose reply was lost.
//
// It runs on Redis 6.2 and later and on Valkey, alone, under Sentinel or as a
// Redis Cluster, and on miniredis.
package redisstore

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// schema is the version of what is stored. A process does not touch what a newer
// one has written.
const schema = 1

// Durability is what an accepted event survives.
type Durability string

// The words for it.
const (
	// Memory promises nothing beyond a running Redis.
	Memory Durability = "memory"
	// Standard survives a crash of Redis, and loses up to a second when the whole
	// machine fails: appendonly yes, appendfsync everysec.
	Standard Durability = "standard"
	// Strict survives the machine's failure: appendfsync always.
	Strict Durability = "strict"
	// Replicated survives the loss of the primary: what is not confirmed by
	// Options.Replicas is reported as not stored.
	Replicated Durability = "replicated"
)

// Options say how a [Store] stores. The zero value has all defaults.
type Options struct {
	// Prefix begins every key, so that several Ushers can share a Redis. Letters,
	// digits and _ . : - only. Defaults to "usher".
	Prefix string
	// Partitions is how many partitions there are, for ever: [Store.Open] compares
	// it with what was installed. From 1 to 1024. Defaults to 64.
	Partitions int
	// Retention is how long a thread and its history are kept after the last
	// change. At least an hour. Defaults to 30 days.
	Retention time.Duration
	// Horizon is how long an event's id and the echo of an effect are remembered, and at
	// most twice that. At least an hour, which is for how long Meta repeats a delivery. Defaults to
	// 48 h.
	//
	// https://developers.facebook.com/docs/messenger-platform/webhooks
	Horizon time.Duration
	// HistoryCap is how many lines of a thread's history are kept and told, the newest.
	// Up to an eighth more may be stored. Defaults to 200.
	HistoryCap int
	// BuriedCap bounds what a partition keeps that was set aside. Defaults to 1000.
	BuriedCap int
	// EpisodesCap bounds the ended episodes that a partition keeps. Defaults to
	// 10,000.
	EpisodesCap int
	// Durability defaults to Standard.
	Durability Durability
	// Replicas is how many replicas must confirm an accepted event when Durability
	// is Replicated. Defaults to 1.
	Replicas int
	// WaitTimeout bounds the wait for them. At most 2 s, as it must be less than
	// the client's ReadTimeout. Defaults to 1 s.
	WaitTimeout time.Duration
}

// Store is the durable store of the engine and the webhook. It is safe for
// concurrent use, and so are several stores on the same Redis.
type Store struct {
	Options

	rdb        redis.UniversalClient
	doors      lanes // for what comes in
	loops      lanes // for what owners do
	keys       keys
	partitions []partition
	shelves    []shelf          // by partition
	now        func() time.Time // of which only the monotonic part is used
	marks      marker
	refused    atomic.Int64
	listeners  sync.Map // *func(partition int), whom Wakes calls
}

// errOption reports an option out of its bounds.
var errOption = errors.New("redisstore option")

// New returns a Store on rdb. It does not talk to Redis: see [Store.Open].
func New(rdb redis.UniversalClient, o Options) (*Store, error) {
	o.Prefix = cmp.Or(o.Prefix, "usher")
	o.Partitions = cmp.Or(o.Partitions, 64)
	o.Retention = cmp.Or(o.Retention, 30*24*time.Hour)
	o.Horizon = cmp.Or(o.Horizon, 48*time.Hour)
	o.HistoryCap = cmp.Or(o.HistoryCap, 200)
	o.BuriedCap = cmp.Or(o.BuriedCap, 1000)
	o.EpisodesCap = cmp.Or(o.EpisodesCap, 10_000)
	o.Durability = cmp.Or(o.Durability, Standard)
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.WaitTimeout = cmp.Or(o.WaitTimeout, time.Second)
	if err := o.validate(); err != nil {
		return nil, err
	}
	write, err := writer(rdb)
	if err != nil {
		return nil, err
	}
	k := keys(o.Prefix)
	s := &Store{
		Options: o, rdb: rdb, keys: k, partitions: k.partitions(o.Partitions),
		shelves: make([]shelf, o.Partitions), now: time.Now, //nolint:forbidigo // the monotonic clock
		marks: marker{process: rand.Text()},
	}
	s.doors.find, s.loops.find = write, write
	if o.Durability == Replicated {
		s.doors.wait = s.wait
	}
	return s, nil
}

// validate reports all that is out of bounds.
func (o Options) validate() error {
	var faults []error
	must := func(ok bool, name string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: %s is %v, want %s", errOption, name, value, want))
		}
	}
	must(regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`).MatchString(o.Prefix), "Prefix", o.Prefix, "letters, digits and _ . : - only")
	must(o.Partitions >= 1 && o.Partitions <= 1024, "Partitions", o.Partitions, "1 to 1024")
	must(o.Retention >= time.Hour, "Retention", o.Retention, "1h at least")
	must(o.Horizon >= time.Hour, "Horizon", o.Horizon, "1h at least")
	must(o.HistoryCap >= 1, "HistoryCap", o.HistoryCap, "1 at least")
	must(o.BuriedCap >= 1, "BuriedCap", o.BuriedCap, "1 at least")
	must(o.EpisodesCap >= 1, "EpisodesCap", o.EpisodesCap, "1 at least")
	must(o.Replicas >= 1, "Replicas", o.Replicas, "1 at least")
	must(o.WaitTimeout >= time.Millisecond && o.WaitTimeout <= 2*time.Second, "WaitTimeout", o.WaitTimeout, "1ms to 2s")
	switch o.Durability {
	case Memory, Standard, Strict, Replicated:
	default:
		must(false, "Durability", o.Durability, "memory, standard, strict or replicated")
	}
	return errors.Join(faults...)
}

// Refused returns how many commits of this Store were refused because its lease
// was another's. It counts here and not in Redis: a refused commit writes nothing.
func (s *Store) Refused() int64 { return s.refused.Load() }

// forgotten tells whether Redis does not know a script: after a restart, a
// failover or SCRIPT FLUSH. Outside of pipelines [redis.Script.Run] sees to it.
func forgotten(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

// unixMilli reads milliseconds, which a score may print as a float.
func unixMilli(s string) (time.Time, error) {
	ms, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("time: %w", err)
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}
