package redisstore_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/handover/redisstore"
	"usher/handover/storetest/redistest"
)

func TestNew(t *testing.T) {
	t.Parallel()
	rdb, _ := mini(t)
	store, err := redisstore.New(rdb, redisstore.Options{})
	check(t, err)
	want := redisstore.Options{
		Prefix: "usher", Partitions: 64, Retention: 720 * time.Hour, Horizon: 48 * time.Hour, HistoryCap: 200, BuriedCap: 1000,
		EpisodesCap: 10_000, Durability: redisstore.Standard, Replicas: 1, WaitTimeout: time.Second,
	}
	if store.Options != want {
		t.Errorf("defaults = %+v, want %+v", store.Options, want)
	}

	tests := map[string]struct {
		options redisstore.Options
		names   []string
	}{
		"braces_would_move_the_hash_tag": {redisstore.Options{Prefix: "a{b}"}, []string{"Prefix"}},
		"stars_would_match_others":       {redisstore.Options{Prefix: "a*"}, []string{"Prefix"}},
		"negative_partitions":            {redisstore.Options{Partitions: -1}, []string{"Partitions"}},
		"too_many_partitions":            {redisstore.Options{Partitions: 1025}, []string{"Partitions"}},
		"short_retention":                {redisstore.Options{Retention: time.Minute}, []string{"Retention"}},
		"short_horizon":                  {redisstore.Options{Horizon: time.Minute}, []string{"Horizon"}},
		"unknown_durability":             {redisstore.Options{Durability: "eternal"}, []string{"Durability"}},
		"long_wait":                      {redisstore.Options{WaitTimeout: time.Minute}, []string{"WaitTimeout"}},
		"all_at_once": {
			redisstore.Options{HistoryCap: -1, BuriedCap: -1, EpisodesCap: -1, Replicas: -1},
			[]string{"HistoryCap", "BuriedCap", "EpisodesCap", "Replicas"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := redisstore.New(rdb, tt.options)
			for _, n := range tt.names {
				if err == nil || !strings.Contains(err.Error(), n+" is") {
					t.Errorf("New(%+v) = %v, want a word on %s", tt.options, err, n)
				}
			}
		})
	}
	type ring struct{ redis.UniversalClient } // say
	if _, err := redisstore.New(ring{rdb}, redisstore.Options{}); err == nil {
		t.Error("New(ring) = nil, want an error: nobody knows which node confirms")
	}
}

func TestOpenComparesWithWhatIsInstalled(t *testing.T) {
	t.Parallel()
	for name, connect := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			open(t, rdb, limits("a"))
			open(t, rdb, limits("a"))
			before := dump(t, rdb, "a")
			other := limits("a")
			other.Partitions = 32
			store, err := redisstore.New(rdb, other)
			check(t, err)
			_, err = store.Open(t.Context())
			if !errors.Is(err, handover.ErrPartitions) || !strings.Contains(err.Error(), "64") || !strings.Contains(err.Error(), "32") {
				t.Errorf("Open() with other partitions = %v, want %v with both numbers", err, handover.ErrPartitions)
			}
			check(t, rdb.HSet(t.Context(), "a:install", "schema", 2).Err())
			_, err = store.Open(t.Context())
			if !errors.Is(err, handover.ErrNewerSchema) || !errors.Is(err, handover.ErrPartitions) {
				t.Errorf("Open() of a newer schema = %v, want %v too", err, handover.ErrNewerSchema)
			}
			check(t, rdb.HSet(t.Context(), "a:install", "schema", 0).Err())
			open(t, rdb, limits("a"))
			if got := dump(t, rdb, "a"); !reflect.DeepEqual(got, before) {
				t.Errorf("after Open() there is %v, want %v", got, before)
			}
			other.Prefix = "b"
			open(t, rdb, other) // another installation
		})
	}
}

// A partition that a newer version has owned is not touched, whatever was
// installed.
func TestAcquireRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	for name, connect := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			store := open(t, rdb, limits("a"))
			check(t, rdb.HSet(t.Context(), "a:{p1}:meta", "schema", 2).Err())
			before := dump(t, rdb, "a")
			lease, held, err := store.Acquire(t.Context(), 1, "owner", time.Second)
			if !errors.Is(err, handover.ErrNewerSchema) || held {
				t.Errorf("Acquire() = %v, %v, %v, want %v", lease, held, err, handover.ErrNewerSchema)
			}
			if got := dump(t, rdb, "a"); !reflect.DeepEqual(got, before) {
				t.Errorf("after Acquire() there is %v, want %v", got, before)
			}
		})
	}
}

func TestOpenChecksTheSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		server     []string
		durability redisstore.Durability
		want       []string // what the error says; none for no error
	}{
		"memory":                {nil, redisstore.Memory, nil},
		"eviction":              {[]string{"--maxmemory-policy", "allkeys-lru"}, redisstore.Memory, []string{`maxmemory-policy is "allkeys-lru"`, "maxmemory-policy noeviction"}},
		"standard":              {[]string{"--appendonly", "yes"}, redisstore.Standard, nil},
		"standard_without_file": {nil, redisstore.Standard, []string{`appendonly is "no"`}},
		"standard_never_synced": {
			[]string{"--appendonly", "yes", "--appendfsync", "no"},
			redisstore.Standard,
			[]string{`appendfsync is "no"`, "appendfsync everysec"},
		},
		"strict":                    {[]string{"--appendonly", "yes", "--appendfsync", "always"}, redisstore.Strict, nil},
		"strict_synced_by_second":   {[]string{"--appendonly", "yes"}, redisstore.Strict, []string{`appendfsync is "everysec"`, "appendfsync always"}},
		"replicated":                {[]string{"--min-replicas-to-write", "1"}, redisstore.Replicated, nil},
		"replicated_without_a_must": {nil, redisstore.Replicated, []string{`min-replicas-to-write is "0"`}},
		"all_faults_at_once": {
			[]string{"--maxmemory-policy", "volatile-ttl", "--appendfsync", "no"},
			redisstore.Strict,
			[]string{"maxmemory-policy", "appendonly", "appendfsync"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := redistest.Start(t, tt.server...)
			o := limits("a")
			o.Durability = tt.durability
			store, err := redisstore.New(dial(t, redis.Options{Addr: addr}), o)
			check(t, err)
			warnings, err := store.Open(t.Context())
			if len(tt.want) == 0 && tt.durability == redisstore.Replicated {
				// Without its replica this server refuses to install anything, rightly.
				if !redis.HasErrorPrefix(err, "NOREPLICAS") || errors.Is(err, redisstore.ErrSettings) {
					t.Errorf("Open() = %v, want NOREPLICAS alone", err)
				}
				return
			}
			if len(warnings) > 0 || errors.Is(err, redisstore.ErrSettings) != (len(tt.want) > 0) {
				t.Fatalf("Open() = %q, %v, want an error: %v", warnings, err, len(tt.want) > 0)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Open() = %v, want a word on %s", err, want)
				}
			}
		})
	}
}

// Where Redis does not tell its settings, that is no fault.
func TestOpenWarnsOfWhatItCannotCheck(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, rdb *redis.Client) {
		t.Helper()
		o := limits("a")
		o.Durability = redisstore.Standard
		store, err := redisstore.New(rdb, o)
		if err != nil {
			t.Fatal(err)
		}
		warnings, err := store.Open(t.Context())
		if err != nil {
			t.Errorf("Open() = %v, want warnings alone", err)
		}
		all := strings.Join(warnings, "\n")
		for _, want := range []string{"maxmemory-policy noeviction", "appendonly yes", "appendfsync everysec"} {
			if !strings.Contains(all, want) {
				t.Errorf("warnings are %s, want a word on %s", all, want)
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		rdb, _ := mini(t)
		check(t, rdb)
	})
	t.Run("managed", func(t *testing.T) {
		t.Parallel()
		check(t, dial(t, redis.Options{Addr: redistest.Start(t, "--rename-command", "CONFIG", "")}))
	})
	t.Run("forbidden", func(t *testing.T) {
		t.Parallel()
		check(t, dial(t, redis.Options{Addr: redistest.Start(t, "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-config")}))
	})
}

func TestOpenWithoutRedis(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	rdb := dial(t, redis.Options{
		Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, away },
	})
	store, err := redisstore.New(rdb, limits("a"))
	check(t, err)
	if _, err := store.Open(t.Context()); !errors.Is(err, away) {
		t.Errorf("Open() = %v, want %v", err, away)
	}
}
