package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	peers "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// A Redis that still loads its data is waited for; one that refuses otherwise is
// not.
func TestServeWaitsForARedisThatLoads(t *testing.T) {
	t.Parallel()
	cfg, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	mini := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	refused := false
	mini.Server().SetPreHook(func(c *peers.Peer, command string, _ ...string) bool {
		if refused || command != "SCRIPT" {
			return false
		}
		refused = true
		c.WriteError("LOADING Redis is loading the dataset in memory")
		return true
	})
	var out bytes.Buffer
	if _, err := openStore(t.Context(), cfg, rdb, zerolog.New(&out)); err != nil {
		t.Errorf("openStore() = %v, want it to wait", err)
	}
	if !strings.Contains(out.String(), "loading its data") {
		t.Errorf("log = %s, want what is waited for", &out)
	}

	mini.Server().SetPreHook(func(c *peers.Peer, _ string, _ ...string) bool {
		c.WriteError("NOPERM this user has no permissions")
		return true
	})
	if _, err := openStore(t.Context(), cfg, rdb, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("openStore() = %v, want the refusal", err)
	}

	mini.Server().SetPreHook(func(c *peers.Peer, _ string, _ ...string) bool {
		c.WriteError("LOADING Redis is loading the dataset in memory")
		return true
	})
	ctx, stop := context.WithCancel(t.Context())
	stopped := zerolog.New(writerFunc(func(b []byte) (int, error) { stop(); return len(b), nil }))
	if _, err := openStore(ctx, cfg, rdb, stopped); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("openStore() stopped while it waits = %v, want an error", err)
	}
}

// writerFunc is a writer that is a function.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
