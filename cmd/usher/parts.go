package main

import (
	"crypto/sha256"
	"crypto/subtle"
	stdlog "log" //nolint:depguard // net/http wants one
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/bot"
	"usher/config"
	"usher/handover"
	"usher/handover/engine"
	"usher/handover/metrics"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/watch"
)

// witness is told what the engine does, by functions that may be nil.
type witness struct {
	line    func(engine.Line)
	measure func(engine.Measure)
	request func(messenger.PageID, graph.Call)
	span    func(engine.Span)
}

// newEngine builds the engine from the settings. Transport makes the calls to Graph;
// nil for the usual one.
func newEngine(
	cfg config.Config, store engine.Store, script *bot.Script, log zerolog.Logger, told witness, transport http.RoundTripper,
) (*engine.Engine, error) {
	pages := make(map[messenger.PageID]engine.Page, len(cfg.Messenger.Pages))
	for _, p := range cfg.Messenger.Pages {
		o, id := graphOptions(cfg, p, transport), messenger.PageID(p.ID)
		if told.request != nil {
			o.Observe = func(c graph.Call) { told.request(id, c) }
		}
		calls, err := graph.New(o)
		if err != nil {
			return nil, err
		}
		pages[id] = engine.Page{
			Name: p.Name, Graph: calls, Rules: rulesOf(cfg), Script: script, Texts: textsOf(cfg.Handover),
		}
	}
	ignore := make([]messenger.AppID, len(cfg.Messenger.IgnoreApps))
	for i, id := range cfg.Messenger.IgnoreApps {
		ignore[i] = messenger.AppID(id)
	}
	return engine.New(engine.Options{
		Store: store, Pages: pages, App: messenger.AppID(cfg.Messenger.AppID), IgnoreApps: ignore,
		Partitions: cfg.Partitions.Count, Lease: cfg.Partitions.Lease, Renew: cfg.Partitions.Renew, Margin: cfg.Partitions.Margin,
		CallTimeout: cfg.Outbox.CallTimeout, EchoGrace: cfg.Outbox.EchoGrace, Parallel: cfg.Outbox.Parallel, Attempts: cfg.Outbox.Attempts,
		SendRate: cfg.Outbox.SendRate, AnswerWithin: cfg.Outbox.AnswerWithin,
		StopTimeout: cfg.StopTimeout - cfg.StopTimeout/doorShare, Log: log, Observe: told.line, Measure: told.measure, Trace: told.span,
	})
}

// newWatcher builds what sees to it that Meta delivers. Where that is off it knows
// no Page.
func newWatcher(
	cfg config.Config, store *redisstore.Store, eng *engine.Engine, log zerolog.Logger, figures *metrics.Metrics,
) (*watch.Watcher, error) {
	pages := make(map[messenger.PageID]watch.Graph, len(cfg.Messenger.Pages))
	for _, p := range cfg.Messenger.Pages {
		if cfg.Watch.Every == 0 {
			break
		}
		o, id := graphOptions(cfg, p, nil), messenger.PageID(p.ID)
		o.Observe = func(c graph.Call) { figures.Request(id, c) }
		calls, err := graph.New(o)
		if err != nil {
			return nil, err
		}
		pages[id] = calls
	}
	return watch.New(watch.Options{
		Store: store, Pages: pages, App: messenger.AppID(cfg.Messenger.AppID), Fields: fields, Responsible: eng.Responsible,
		Every: cfg.Watch.Every, Silence: cfg.Watch.Silence, Backfill: cfg.Watch.Backfill,
		// A call may end so late, and its outcome be stored.
		Settled: cfg.Outbox.CallTimeout + cfg.Partitions.Margin, Log: log, Observe: figures.Sight,
	})
}

// newGraph returns the client of one Page; calls are made by transport, or the usual
// one where that is nil.
func newGraph(cfg config.Config, p config.Page, transport http.RoundTripper) (*graph.Client, error) {
	return graph.New(graphOptions(cfg, p, transport))
}

func graphOptions(cfg config.Config, p config.Page, transport http.RoundTripper) graph.Options {
	return graph.Options{
		Page: messenger.PageID(p.ID), Token: p.AccessToken.Reveal(), AppSecret: cfg.Messenger.AppSecret[0].Reveal(),
		BaseURL: cfg.Messenger.GraphURL, Version: cfg.Messenger.GraphVersion, Timeout: cfg.Outbox.CallTimeout, Transport: transport,
	}
}

// rulesOf returns the rules that the settings make.
func rulesOf(cfg config.Config) handover.Rules {
	h := cfg.Handover
	return handover.Rules{
		Target: h.TargetApp(), TimeLimit: h.TimeLimit.After, LimitFrom: handover.LimitFrom(h.TimeLimit.From), Reopen: h.Reopen,
		HandoffKeywords: keys(h.TalkToHuman.Keywords), BackKeywords: keys(h.BackToBot.Keywords),
		Misunderstandings: h.TalkToHuman.Misunderstandings, HonourRequests: h.TalkToHuman.Requests,
		ZeroConfig: cfg.Messenger.Routing == "zero_config",
	}
}

func keys(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = bot.Key(w)
	}
	return out
}

// textsOf returns the operator's words.
func textsOf(h config.Handover) engine.Texts {
	return engine.Texts{
		Messages: map[handover.Text]engine.Localized{
			handover.TextHandoff: engine.Localized(h.Messages.Handoff), handover.TextReopened: engine.Localized(h.Messages.Reopened),
			handover.TextBack: engine.Localized(h.Messages.Back), handover.TextFailed: engine.Localized(h.Messages.Failed),
		},
		Disclosure: engine.Localized(h.Messages.Disclosure), BackButton: h.BackToBot.Button, HandoffButton: h.TalkToHuman.Button,
	}
}

// load reads the settings and the script, and refuses placeholders.
func (p *program) load(file string) (config.Config, *bot.Script, error) {
	cfg, script, err := p.loadLoosely(file)
	if err != nil {
		return cfg, nil, err
	}
	return cfg, script, cfg.Ready()
}

// logger returns the service's logger.
func (p *program) logger(c config.Log) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil { // validated
		level = zerolog.InfoLevel
	}
	out := p.stderr
	if c.Format == "console" || (c.Format == "auto" && isTerminal(p.stderr)) {
		out = zerolog.ConsoleWriter{
			Out: p.stderr, TimeFormat: "15:04:05.000", NoColor: !isTerminal(p.stderr) || p.noColour(),
		}
	}
	return zerolog.New(out).Level(level).Hook(zerolog.HookFunc(stamp))
}

// stamp gives a line of the log its time, to the millisecond; zerolog's own would
// be set for the whole process.
func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	now := time.Now().UTC() //nolint:forbidigo // when a line is written decides nothing
	e.Str(zerolog.TimestampFieldName, now.Format("2006-01-02T15:04:05.000Z07:00"))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// stdLog gives net/http's complaints (a TLS probe, a client that hung up) to log.
func stdLog(log zerolog.Logger) *stdlog.Logger { return stdlog.New(complaints{log}, "", 0) }

type complaints struct{ log zerolog.Logger }

// Write logs a line.
func (c complaints) Write(b []byte) (int, error) {
	c.log.Debug().Str("says", strings.TrimSpace(string(b))).Msg("Listener complained")
	return len(b), nil
}

// requireToken lets only who bears the token through; "" lets everybody through.
func requireToken(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "bearer token required: private_token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
