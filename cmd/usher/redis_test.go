package main

import (
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"usher/config"
	"usher/handover/storetest/redistest"
)

// An embedded Redis keeps what was written over a stop and a start.
func TestEmbeddedRedisKeepsItsData(t *testing.T) {
	t.Parallel()
	if _, err := osexec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on PATH")
	}
	dir, err := os.MkdirTemp("", "usher") //nolint:usetesting // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	settings := config.Redis{Data: dir, Server: config.Server{Kind: config.Embedded}}
	for i, want := range []string{"", "kept"} {
		rdb, stop, err := connectRedis(t.Context(), settings, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		got, _ := rdb.Get(t.Context(), "key").Result() // nil the first time
		if got != want {
			t.Errorf("start %d: key = %q, want %q", i+1, got, want)
		}
		if err := rdb.Set(t.Context(), "key", "kept", 0).Err(); err != nil {
			t.Fatal(err)
		}
		beside, leave, err := joinRedis(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := beside.Get(t.Context(), "key").Result(); got != "kept" {
			t.Errorf("start %d: who joined reads %q, want %q", i+1, got, "kept")
		}
		if err := errors.Join(leave(), stop()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := joinRedis(t.Context(), settings); !errors.Is(err, errNotServed) {
			t.Errorf("joinRedis() after the end = %v, want %v", err, errNotServed)
		}
	}
}

// The server that a crashed usher leaves behind is ended, with its data kept; one
// that another usher runs on is not.
func TestEmbeddedRedisLeftBehind(t *testing.T) {
	t.Parallel()
	if len(redistest.Servers()) == 0 {
		t.Skip("neither redis-server nor valkey-server is on PATH: apt-get install redis-server")
	}
	dir, err := os.MkdirTemp("", "usher") //nolint:usetesting // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	settings := config.Redis{Data: dir, Server: config.Server{Kind: config.Embedded}}
	first, stopFirst, err := connectRedis(t.Context(), settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Set(t.Context(), "key", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := connectRedis(t.Context(), settings, zerolog.Nop()); !errors.Is(err, errInUse) {
		t.Errorf("beside another usher connectRedis() error = %v, want %v", err, errInUse)
	}
	if err := first.Close(); err != nil { // as a crash does
		t.Fatal(err)
	}
	eventually(t, "the connections of the first have ended", func() bool {
		c := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(dir, "redis.sock")})
		defer c.Close() //nolint:errcheck // only asked
		clients, err := c.ClientList(t.Context()).Result()
		return err == nil && strings.Count(clients, "\n") == 1
	})
	second, stop, err := connectRedis(t.Context(), settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := second.Get(t.Context(), "key").Result(); got != "kept" || err != nil {
		t.Errorf("key = %q, %v, want what the first one wrote", got, err)
	}
	if err := errors.Join(stop(), stopFirst()); err != nil && !errors.Is(err, redis.ErrClosed) {
		t.Error(err)
	}
}

// Where there is no server to embed, the error says what to do.
func TestEmbeddedRedisNeedsAServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, _, err := connectRedis(t.Context(), config.Redis{Data: t.TempDir(), Server: config.Server{Kind: config.Embedded}}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "install one") {
		t.Errorf("connectRedis() error = %v, want what to install", err)
	}
}
