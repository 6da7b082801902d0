package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"usher/cmd/usher-bench/check"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What Meta knows Usher by.
const (
	appID     messenger.AppID  = "1517776481860111"
	pageID    messenger.PageID = "1000000000000077"
	appSecret                  = "bench-app-secret-5ab0"
	pageToken                  = "bench-page-token-91fe"
)

// partitions is how many there are, as by default.
const partitions = 64

// stage is everything that a run under faults needs: Redis, replicas of Usher,
// and Meta, each a network away from the other.
type stage struct {
	dir     string
	redis   *redisRig
	store   *redisstore.Store // to look, past the replicas
	meta    *simulator.Meta
	graph   *proxy // before Meta's Graph API
	fleet   *fleet
	witness *witness
	times   check.Times
	renew   time.Duration
	durable redisstore.Durability

	settings string // usher.yaml
	servers  []*http.Server
}

// stageOptions say how to set one up.
type stageOptions struct {
	usher    string // path of the program
	redis    string // its mode
	durable  redisstore.Durability
	confirm  int // how many replicas of Redis confirm a write; under sentinels
	replicas int
	lease    time.Duration
	limit    time.Duration
	batch    int // events in a delivery
	seed     uint64
}

// fsyncs are what Redis must do for a word of durability.
//
//nolint:gochecknoglobals // a table
var fsyncs = map[redisstore.Durability]string{redisstore.Standard: "everysec", redisstore.Strict: "always"}

// newStage sets a stage up. Close it whatever happens.
func newStage(ctx context.Context, o stageOptions) (*stage, error) {
	dir, err := os.MkdirTemp("", "usher-bench-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, renew: o.lease / 7, times: check.Times{
		Limit: o.limit, Lease: o.lease, CallTimeout: o.lease * 3 / 5, StopTimeout: 15 * time.Second,
	}}
	if err := s.build(ctx, o); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) build(ctx context.Context, o stageOptions) (err error) {
	if s.redis, err = startRedis(ctx, o.redis, s.dir, fsyncs[o.durable], o.confirm); err != nil {
		return err
	}
	s.durable = o.durable
	if o.redis == redisSentinel && o.confirm > 0 {
		s.durable = redisstore.Replicated
	}
	if s.store, err = redisstore.New(s.redis.client, redisstore.Options{Durability: s.durable, Partitions: partitions}); err != nil {
		return err
	}
	s.witness = &witness{app: appID, page: pageID, guests: map[messenger.PSID]*guest{}}
	s.fleet = newFleet(o.usher, s.dir, s.witness, appSecret, pageToken, customersMark, agentsMark, botsMark)
	front, err := s.serve(ctx, s.fleet)
	if err != nil {
		return err
	}
	s.meta, err = simulator.New(simulator.Options{
		App: appID, AppSecret: appSecret, Page: pageID, PageToken: pageToken, WebhookURL: "http://" + front + "/webhook",
		Batch: o.batch, Retries: []time.Duration{10 * time.Millisecond, 50 * time.Millisecond}, LedgerSize: 1000,
		Log: s.witness.sees, Seed: o.seed,
	})
	if err != nil {
		return err
	}
	graph, err := s.serve(ctx, s.meta)
	if err != nil {
		return err
	}
	if s.graph, err = newProxy(ctx, graph); err != nil {
		return err
	}
	s.settings = fmt.Sprintf(`listen: "127.0.0.1:0"
private_listen: "127.0.0.1:0"
redis: {url: "%s", durability: %s, replicas: %d}
partitions: {lease: %v, renew: %v, margin: %v}
outbox: {call_timeout: %v, echo_grace: %v, send_rate: 100000}
stop_timeout: %v
messenger:
  app_id: "%s"
  app_secret: %s
  verify_token: any
  graph_url: http://%s
  pages: [{id: "%s", name: Harbour, access_token: %s}]
handover:
  time_limit: {after: %v, from: agent}
  messages: {handoff: "%s", back: "%s", disclosure: "%s"}
bot: {script: bot.yaml}
log: {format: json}
`, s.redis.url, s.durable, max(o.confirm, 1), s.times.Lease, s.renew, s.times.Lease/20, s.times.CallTimeout, s.times.Lease/3, s.times.StopTimeout,
		appID, appSecret, s.graph.address(), pageID, pageToken, o.limit, passesOn, isBack, discloses)
	for name, text := range map[string]string{"usher.yaml": s.settings, "bot.yaml": script()} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for n := range o.replicas {
		if err := s.fleet.launch(ctx, n); err != nil {
			return err
		}
		if r := s.fleet.replica(n); r == nil {
			return fmt.Errorf("%s serve: %w: %s", o.usher, errEnded, s.fleet.lastLine())
		}
	}
	return nil
}

// serve serves h on a free port, and returns its address.
func (s *stage) serve(ctx context.Context, h http.Handler) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // ended by close
	return l.Addr().String(), nil
}

// close ends everything and removes the files.
func (s *stage) close() error {
	var errs []error
	if s.fleet != nil {
		errs = append(errs, s.fleet.close())
	}
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	if s.meta != nil {
		s.meta.Close()
	}
	if s.graph != nil {
		s.graph.close()
	}
	if s.redis != nil {
		errs = append(errs, s.redis.close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
