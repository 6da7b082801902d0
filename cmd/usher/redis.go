package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/rs/zerolog"

	"usher/config"
)

// Timeouts of Redis: long enough for a fork or a failover's first seconds, short
// enough to answer Meta within its five seconds.
const (
	redisDialTimeout = 2 * time.Second
	redisCallTimeout = 3 * time.Second
)

// connectRedis returns a client for a server, and what ends it. Nothing is sent
// yet, but that an embedded server is started.
func connectRedis(ctx context.Context, c config.Redis, log zerolog.Logger) (redis.UniversalClient, func() error, error) {
	// Its errors come back to us. It would write them to stderr as well, as text
	// and a line for each connection.
	logging.Disable()
	if c.Server.Kind == config.Embedded {
		return startRedis(ctx, c.Data, log)
	}
	o := &redis.UniversalOptions{
		Addrs: c.Server.Addresses, MasterName: c.Server.Master, DB: c.Server.DB, IsClusterMode: c.Server.Kind == config.Cluster,
		Username: c.Server.Username, Password: c.Server.Password.Reveal(),
		DialTimeout: redisDialTimeout, ReadTimeout: redisCallTimeout, WriteTimeout: redisCallTimeout,
		ContextTimeoutEnabled: true, PoolSize: 64, MinIdleConns: 2,
	}
	if c.Server.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	client := redis.NewUniversalClient(o)
	return client, client.Close, nil
}

// errNoServer reports that there is no server to embed.
var errNoServer = errors.New("redis.url is embedded, but neither redis-server nor valkey-server is on PATH: install one, or name a running Redis in redis.url")

// startRedis starts a server of our own, with an append-only file in dir. It
// listens on a socket in dir alone.
func startRedis(ctx context.Context, dir string, log zerolog.Logger) (redis.UniversalClient, func() error, error) {
	path, err := osexec.LookPath("redis-server")
	if err != nil {
		if path, err = osexec.LookPath("valkey-server"); err != nil {
			return nil, nil, errNoServer
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make %s for the embedded Redis: %w", dir, err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("find %s for the embedded Redis: %w", dir, err)
	}
	socket := filepath.Join(dir, "redis.sock")
	if len(socket) > 100 { // the kernel's bound is 108
		return nil, nil, fmt.Errorf("%s is too long a path for a socket: choose a shorter redis.data", socket) //nolint:err113 // shown once, to a person
	}
	// The server outlives ctx: it must serve the drain, and is ended by stop.
	cmd := osexec.CommandContext(context.WithoutCancel(ctx), path, //nolint:gosec // found on PATH by name
		"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
		"--daemonize", "no", "--logfile", filepath.Join(dir, "redis.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us: we still need Redis
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	c := redis.NewClient(&redis.Options{
		Network: "unix", Addr: socket, DialTimeout: redisDialTimeout, ReadTimeout: redisCallTimeout,
		WriteTimeout: redisCallTimeout, ContextTimeoutEnabled: true, PoolSize: 64,
	})
	stop := func() error {
		err := c.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-exited                                //nolint:errcheck // it was told to end
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.NewTimer(10 * time.Second); ; {
		if c.Ping(ctx).Err() == nil {
			log.Info().Str("data", dir).Msg("Embedded Redis started")
			return c, stop, nil
		}
		select {
		case err := <-exited:
			return nil, nil, fmt.Errorf("embedded Redis ended at once (%w): see %s", err, filepath.Join(dir, "redis.log"))
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), stop())
		case <-deadline.C:
			return nil, nil, errors.Join(fmt.Errorf("embedded Redis does not answer: see %s", filepath.Join(dir, "redis.log")), stop()) //nolint:err113 // shown once, to a person
		case <-tick.C:
		}
	}
}
