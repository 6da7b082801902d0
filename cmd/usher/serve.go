package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"usher/bot"
	"usher/config"
	"usher/handover/engine"
	"usher/handover/metrics"
	"usher/handover/redisstore"
	"usher/handover/tracing"
	"usher/messenger"
	"usher/messenger/watch"
	"usher/messenger/webhook"
	"usher/messenger/webhook/door"
)

// serveCommand is `usher serve`.
func (p *program) serveCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Receive webhooks and answer threads",
		Long: `Receives Meta's webhooks, answers threads, hands them over and takes them back,
until it gets SIGINT or SIGTERM. Any number of replicas may share one Redis.`,
		Example: `  usher serve --config usher.yaml
  USHER_REDIS_URL=embedded usher serve --config usher.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, script, err := p.load(file)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, script, p.logger(cfg.Log))
		},
	}
	configFlag(c, &file)
	return c
}

// serve runs the service until ctx ends.
func serve(ctx context.Context, cfg config.Config, script *bot.Script, log zerolog.Logger) (err error) {
	defer collectInTime()()
	rdb, closeRedis, err := connectRedis(ctx, cfg.Redis, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRedis()) }()
	store, err := openStore(ctx, cfg, rdb, log)
	if err != nil {
		return err
	}
	figures := newMetrics(cfg)
	told := witness{line: figures.Line, measure: figures.Measure, request: figures.Request}
	inbox, traced := webhook.Inbox(store), func(h http.Handler) http.Handler { return h }
	if cfg.Telemetry.OTLPEndpoint != "" {
		tracer, err := newTracer(ctx, cfg.Telemetry, log)
		if err != nil {
			return err
		}
		defer closeTracer(ctx, tracer, log)
		told.span, inbox, traced = tracer.Span, tracer.Inbox(store), tracer.Handler
	}
	inbox, kept := breakable(rdb, inbox, store, &told)
	eng, err := newEngine(cfg, kept, script, log, told, nil)
	if err != nil {
		return err
	}
	figures.Watch(eng, store, cfg.Partitions.Count, time.Now) //nolint:forbidigo // the clock is injected here
	watcher, err := newWatcher(cfg, store, eng, log, figures)
	if err != nil {
		return err
	}
	hook, err := newWebhook(cfg, inbox, log, eng.Ease, func(d webhook.Delivery) {
		figures.Delivery(d)
		watcher.Note(d.Events, d.Status == http.StatusOK)
	})
	if err != nil {
		return err
	}

	public, err := listen(ctx, "listen", cfg.Listen)
	if err != nil {
		return err
	}
	private, err := listen(ctx, "private_listen", cfg.PrivateListen)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	// First the engine, then the door; at the end the door closes first, so that
	// what was accepted is decided by who accepted it, where that is quick.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	engineDone := make(chan error, 1)
	watching, unwatch := context.WithCancel(work)
	defer unwatch()
	var watched sync.WaitGroup
	watched.Go(func() { watcher.Run(watching) })
	go func() { engineDone <- eng.Run(work) }()
	servers := []*server{
		startPublicServer(traced(publicHandler(hook, store.Ready, log)), public, log),
		startServer(privateHandler(cfg.PrivateToken.Reveal(), eng.Status, watcher.Status, figures.Handler()), private, log),
	}
	log.Info().Str("listen", public.Addr().String()).Str("private_listen", private.Addr().String()).
		Str("redis", cfg.Redis.Server.String()).Str("durability", cfg.Redis.Durability).Int("pages", len(cfg.Messenger.Pages)).
		Str("version", currentVersion()).Msg("Usher is up")

	select {
	case <-ctx.Done():
		log.Info().Msg("Stopping")
	case err = <-engineDone:
		engineDone <- nil
	case err = <-servers[0].failed:
	case err = <-servers[1].failed:
	}
	unwatch()
	watched.Wait() // it makes no calls any more
	last, cancel := context.WithTimeout(work, cfg.StopTimeout/doorShare)
	defer cancel()
	err = errors.Join(err, servers[0].close(last), servers[1].http.Close()) // a profile under way does not keep us
	stop()
	err = errors.Join(err, <-engineDone)
	log.Info().Err(err).Msg("Usher is down")
	return err
}

// loadingPause is how often a Redis that loads its data is asked again.
const loadingPause = time.Second

// openStore opens the partitions in Redis, and says what Redis does not promise.
func openStore(ctx context.Context, cfg config.Config, rdb redis.UniversalClient, log zerolog.Logger) (*redisstore.Store, error) {
	store, err := newStore(cfg, rdb)
	if err != nil {
		return nil, err
	}
	warnings, err := store.Open(ctx)
	for redis.HasErrorPrefix(err, "LOADING") && ctx.Err() == nil {
		// It is there, and reads its file after a start: a moment or minutes.
		log.Warn().Str("redis", cfg.Redis.Server.String()).Msg("Redis is loading its data; waiting")
		if rest(ctx, loadingPause) == nil {
			warnings, err = store.Open(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Redis.Server, err)
	}
	for _, w := range warnings {
		log.Warn().Str("redis", cfg.Redis.Server.String()).Msg(w)
	}
	return store, nil
}

func newStore(cfg config.Config, rdb redis.UniversalClient) (*redisstore.Store, error) {
	return redisstore.New(rdb, redisstore.Options{
		Prefix: cfg.Redis.Prefix, Partitions: cfg.Partitions.Count, Retention: cfg.Redis.Retention,
		Durability: redisstore.Durability(cfg.Redis.Durability), Replicas: cfg.Redis.Replicas, WaitTimeout: cfg.Redis.WaitTimeout,
	})
}

func newMetrics(cfg config.Config) *metrics.Metrics {
	pages := make([]messenger.PageID, len(cfg.Messenger.Pages))
	for i, p := range cfg.Messenger.Pages {
		pages[i] = messenger.PageID(p.ID)
	}
	return metrics.New(currentVersion(), pages)
}

// lastTraces bounds the wait for the collector at the end.
const lastTraces = 2 * time.Second

func newTracer(ctx context.Context, c config.Telemetry, log zerolog.Logger) (*tracing.Tracer, error) {
	return tracing.New(ctx, tracing.Options{
		Endpoint: c.OTLPEndpoint, Percent: c.Sample, Version: currentVersion(), Log: log, Now: time.Now, //nolint:forbidigo // the clock is injected here
	})
}

// closeTracer sends the last traces. A collector that is gone is no reason to fail.
func closeTracer(ctx context.Context, t *tracing.Tracer, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTraces)
	defer cancel()
	if err := t.Close(ctx); err != nil {
		log.Warn().Err(err).Msg("The last traces were not delivered")
	}
}

func newWebhook(cfg config.Config, inbox webhook.Inbox, log zerolog.Logger, ease func(context.Context, []messenger.Event), observe func(webhook.Delivery)) (*webhook.Handler, error) {
	secrets := make([]string, len(cfg.Messenger.AppSecret))
	for i, s := range cfg.Messenger.AppSecret {
		secrets[i] = s.Reveal()
	}
	return webhook.New(webhook.Options{
		Secrets: secrets, VerifyToken: cfg.Messenger.VerifyToken.Reveal(), Inbox: inbox, Log: log, Ease: ease, Observe: observe,
	})
}

// publicHandler is what the world can reach.
func publicHandler(hook *webhook.Handler, ready func(context.Context) error, log zerolog.Logger) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	// Nobody's X-Forwarded-For is believed: echo v4 would by default.
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			log.Error().Err(err).Bytes("stack", stack).Msg("Handler panicked")
			return err
		},
	}))
	hook.Register(e)
	e.GET("/healthz", echo.WrapHandler(http.HandlerFunc(healthz)))
	e.GET("/readyz", echo.WrapHandler(readyz(ready)))
	return e
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}

// privateHandler is what operators can reach.
func privateHandler(token string, pages func() []engine.PageStatus, deliveries func() []watch.Status, figures http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", figures)
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /pages", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, struct {
			Pages      []engine.PageStatus `json:"pages"`
			Deliveries []watch.Status      `json:"deliveries"`
		}{pages(), deliveries()})
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return requireToken(token, mux)
}

// server is an HTTP server that runs.
type server struct {
	http   *http.Server
	door   *door.Door // before it; nil for none
	failed chan error
}

// Bounds of the listeners: what is slower or larger is not Meta.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second // a CPU profile takes 30 s
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
)

// doorShare is the part of stop_timeout that is the public listener's: a quarter.
// The rest is for the calls under way, see newEngine.
const doorShare = 4

func startServer(h http.Handler, l net.Listener, log zerolog.Logger) *server {
	s := &server{failed: make(chan error, 1), http: &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: stdLog(log),
	}}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	}()
	return s
}

// startPublicServer starts a server to which deliveries come.
func startPublicServer(h http.Handler, l net.Listener, log zerolog.Logger) *server {
	d := door.New(l, door.Options{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		Panicked: func(_ any, stack []byte) { // the cause may hold what nobody may read
			log.Error().Bytes("stack", stack).Msg("Handler panicked")
		},
		Now: time.Now, //nolint:forbidigo // the clock is injected here
	})
	s := startServer(h, d, log)
	s.door = d
	return s
}

// close lets the requests under way end until ctx does, then cuts them off: Meta
// repeats what was not answered.
func (s *server) close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if s.door != nil {
		err = errors.Join(err, s.door.Wait(ctx))
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = s.http.Close()
	}
	return err
}

// listen opens a listener and names the setting where it cannot.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}

var _ engine.Store = (*redisstore.Store)(nil)
