package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
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

// maxIdleRedis is how many connections to a node are kept that nobody uses, of 64 kB
// each: callers share round trips, and more are needed only when partitions are
// acquired.
const maxIdleRedis = 8

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
		ContextTimeoutEnabled: true, PoolSize: 64, MinIdleConns: 2, MaxIdleConns: maxIdleRedis,
	}
	if c.Server.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	client := redis.NewUniversalClient(o)
	return client, client.Close, nil
}

// joinRedis is connectRedis for who does not serve: an embedded server is not
// started but found, as long as usher serve runs.
func joinRedis(ctx context.Context, c config.Redis) (redis.UniversalClient, func() error, error) {
	if c.Server.Kind != config.Embedded {
		return connectRedis(ctx, c, zerolog.Nop())
	}
	logging.Disable()
	socket := filepath.Join(c.Data, embeddedSocket)
	client := embeddedClient(socket)
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w, with its data in %s: %w", errNotServed, c.Data, err), client.Close())
	}
	return client, client.Close, nil
}

// embeddedSocket is where an embedded server listens, in its data directory.
const embeddedSocket = "redis.sock"

func embeddedClient(socket string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Network: "unix", Addr: socket, DialTimeout: redisDialTimeout, ReadTimeout: redisCallTimeout,
		WriteTimeout: redisCallTimeout, ContextTimeoutEnabled: true, PoolSize: 64, MaxIdleConns: maxIdleRedis,
	})
}

var (
	// errNotServed reports that nobody runs the embedded server.
	errNotServed = errors.New("redis.url is embedded, and no usher serve runs")
	// errNoServer reports that there is no server to embed.
	errNoServer = errors.New("redis.url is embedded, but neither redis-server nor valkey-server is on PATH: install one, or name a running Redis in redis.url")
	// errInUse reports that another process has the embedded server.
	errInUse = errors.New("another usher runs on this embedded Redis: several need a Redis of their own, named in redis.url")
)

// startRedis starts a server of our own, with an append-only file in dir. It
// listens on a socket in dir alone.
func startRedis(ctx context.Context, dir string, log zerolog.Logger) (redis.UniversalClient, func() error, error) {
	path, err := osexec.LookPath("redis-server")
	if err != nil {
		if path, err = osexec.LookPath("valkey-server"); err != nil {
			return nil, nil, errNoServer
		}
	}
	data, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(data, 0o700)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make %s for the embedded Redis: %w", dir, err)
	}
	socket := filepath.Join(data, embeddedSocket)
	if len(socket) > 100 { // the kernel's bound is 108
		return nil, nil, fmt.Errorf("%s is too long a path for a socket: choose a shorter redis.data", socket) //nolint:err113 // shown once, to a person
	}
	if err := endOrphan(ctx, socket); err != nil {
		return nil, nil, fmt.Errorf("embedded Redis in %s: %w", data, err)
	}
	// The server outlives ctx: it must serve the drain, and is ended by stop.
	cmd := osexec.CommandContext(context.WithoutCancel(ctx), path, //nolint:gosec // found on PATH by name
		"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", data,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
		"--daemonize", "no", "--logfile", filepath.Join(data, "redis.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us: we still need Redis
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }() // its log tells more than its exit code
	c := embeddedClient(socket)
	stop := func() error {
		err := c.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-exited
		return err
	}
	if err := awaitRedis(ctx, c, exited); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("embedded Redis: %w: see %s", err, filepath.Join(data, "redis.log")), stop())
	}
	log.Info().Str("data", data).Msg("Embedded Redis started")
	return c, stop, nil
}

// endOrphan ends the server that an usher which crashed has left behind: two on
// the same files would spoil them. One that somebody else uses is left alone.
func endOrphan(ctx context.Context, socket string) error {
	// One connection, so that it finds itself alone in the list.
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, PoolSize: 1, MaxRetries: -1, DialerRetries: 1})
	defer c.Close() //nolint:errcheck // nothing depends on it
	clients, err := c.ClientList(ctx).Result()
	refused, ok := errors.AsType[*net.OpError](err)
	switch {
	case ok && refused.Op == "dial":
		return nil // nobody is there, as it should be
	case err != nil:
		return fmt.Errorf("ask who uses it: %w", err)
	case strings.Count(clients, "\n") > 1:
		return errInUse
	}
	if err := c.Shutdown(ctx).Err(); err != nil {
		return fmt.Errorf("end the server left behind: %w", err)
	}
	return nil
}

var (
	errEnded    = errors.New("it ended at once")
	errNoAnswer = errors.New("it does not answer")
)

// answerWithin bounds the start of a server that says nothing.
const answerWithin = 10 * time.Second

// awaitRedis returns once the server answers. While it loads its data it takes the
// time that it needs.
func awaitRedis(ctx context.Context, c *redis.Client, exited <-chan struct{}) error {
	tick, deadline := time.NewTicker(20*time.Millisecond), time.NewTimer(answerWithin)
	defer tick.Stop()
	defer deadline.Stop()
	for {
		err := c.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		if redis.HasErrorPrefix(err, "LOADING") {
			deadline.Reset(answerWithin)
		}
		select {
		case <-exited:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return errNoAnswer
		case <-tick.C:
		}
	}
}
