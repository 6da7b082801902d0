// Package config reads the settings. Nothing else does.
//
// Settings come in three layers, a later one winning: the defaults written in the
// tags below, the settings file (usher.yaml), and the environment. A setting's
// variable is its path in upper case behind USHER_, so redis.wait_timeout is
// USHER_REDIS_WAIT_TIMEOUT; an empty variable counts as not set. Lists are comma
// separated, targets are NAME=ID,NAME=ID, and the Pages count from 0:
// USHER_MESSENGER_PAGES_0_ACCESS_TOKEN. Each secret has a twin ending in _file
// (_FILE in the environment) that names a file holding it, so that it can come
// from a mounted secret; within one layer only one of the two may be set. Paths
// in the settings are relative to the settings file.
//
// Durations need a unit: 90s, 30m, 12h, 2d, 1d12h; 0 needs none.
package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Config is everything that can be set. Each field's tags give its key, its
// default and its bounds; [Load] enforces them.
type Config struct {
	// Listen is the public listener: Meta's webhook and the health endpoints.
	Listen string `yaml:"listen" default:":8080" validate:"address"`
	// PrivateListen is the operators' listener: metrics, profiles and their API.
	PrivateListen string `yaml:"private_listen" default:"127.0.0.1:8081" validate:"address"`
	// PrivateToken is the bearer token of the private listener. Required when that
	// is not on loopback.
	PrivateToken Secret `yaml:"private_token" hint:"make one with: openssl rand -hex 32"`

	Redis      Redis      `yaml:"redis"`
	Partitions Partitions `yaml:"partitions"`
	Outbox     Outbox     `yaml:"outbox"`
	Watch      Watch      `yaml:"watch"`
	// StopTimeout bounds the stop after SIGTERM. Give the orchestrator more.
	StopTimeout time.Duration `yaml:"stop_timeout" default:"15s" validate:"within=100ms~10m"`

	Messenger Messenger `yaml:"messenger"`
	Handover  Handover  `yaml:"handover"`
	Bot       Bot       `yaml:"bot"`
	Log       Log       `yaml:"log"`
	Telemetry Telemetry `yaml:"telemetry"`

	// Warnings are choices that are allowed and rarely wanted.
	Warnings []Fault `yaml:"-"`
	// Placeholders are values of the starter file that still wait for the
	// operator's own; see [Config.Ready].
	Placeholders []Fault `yaml:"-"`

	places places `yaml:"-"`
}

// places tells where settings are set.
type places struct {
	name string // the settings file
	at   map[string]Position
}

// Where returns the place where a setting, such as redis.url, is set: that of the
// closest section around it, or the beginning of the file, where it has none.
func (c Config) Where(path string) Position { return c.places.where(path) }

func (p places) where(path string) Position {
	for s := path; s != ""; s = s[:max(strings.LastIndexAny(s, ".["), 0)] {
		if at, ok := p.at[s]; ok {
			return at
		}
	}
	if p.name == "" {
		return Position{}
	}
	return Position{Name: p.name, Line: 1, Column: 1}
}

// Redis says where threads are kept, and how safely.
type Redis struct {
	// URL is redis://, rediss://, redis-sentinel://, redis-cluster:// or the word
	// embedded. Secret because it may carry a password; print Server instead.
	URL Secret `yaml:"url" default:"redis://localhost:6379/0" validate:"redis_url"`
	// Password is for servers whose URL carries none.
	Password Secret `yaml:"password"`
	// Prefix begins every key.
	Prefix string `yaml:"prefix" default:"usher" validate:"prefix"`
	// Durability is what an accepted event survives.
	Durability string `yaml:"durability" default:"standard" validate:"oneof=memory standard strict replicated"`
	// Replicas is how many replicas confirm a write when Durability is replicated.
	Replicas int `yaml:"replicas" default:"1" validate:"within=1~16"`
	// WaitTimeout bounds that confirmation: Meta waits 5 s for its answer, and a
	// delivery is tried more than once within them.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
	WaitTimeout time.Duration `yaml:"wait_timeout" default:"1s" validate:"within=10ms~2s"`
	// Data is the directory of an embedded server.
	Data string `yaml:"data" default:"./data" validate:"required"`
	// Retention is how long a quiet thread is remembered. It is raised to a day
	// more than the time limit and the reopen buffer, so that neither is forgotten.
	Retention time.Duration `yaml:"retention" default:"30d" validate:"within=1d~3650d"`

	// Server is URL and Password, taken apart.
	Server Server `yaml:"-"`
}

// Partitions are the units of ownership among the replicas of Usher.
type Partitions struct {
	// Count is fixed at the first start: another value is refused later.
	Count int `yaml:"count" default:"64" validate:"within=1~1024"`
	// Lease is how long a crashed replica's threads wait for another. Tests go
	// below the 3 s that a real network needs.
	Lease time.Duration `yaml:"lease" default:"20s" validate:"within=200ms~10m"`
	// Renew is the time between renewals, at most a third of Lease.
	Renew time.Duration `yaml:"renew" default:"5s" validate:"within=10ms~3m"`
	// Margin is kept free between a call's end and the lease's.
	Margin time.Duration `yaml:"margin" default:"2s" validate:"within=10ms~1m"`
}

// Outbox bounds the calls to Meta.
type Outbox struct {
	// CallTimeout bounds one call; with Partitions.Margin it stays below the lease.
	CallTimeout time.Duration `yaml:"call_timeout" default:"8s" validate:"within=50ms~1m"`
	// EchoGrace is how long the echo of a send of unknown outcome is waited for.
	EchoGrace time.Duration `yaml:"echo_grace" default:"5s" validate:"within=10ms~5m"`
	// Parallel bounds the calls in flight for a Page.
	Parallel int `yaml:"parallel" default:"1024" validate:"within=1~4096"`
	// Attempts is how often a call is tried before it is given up. Where Graph is
	// down, or takes no calls, nothing is tried.
	Attempts int `yaml:"attempts" default:"6" validate:"within=1~20"`
	// SendRate is how many messages a second one replica sends for a Page. Meta
	// takes 300 from all of them; more is for simulators.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/overview/rate-limiting
	SendRate int `yaml:"send_rate" default:"80" validate:"within=1~100000"`
	// AnswerWithin is how old an answer may become when the customer has written
	// again meanwhile.
	AnswerWithin time.Duration `yaml:"answer_within" default:"5m" validate:"within=1s~24h"`
}

// Watch sees to it that Meta delivers.
type Watch struct {
	// Every is the time between looks at a Page's subscriptions, which are set right
	// where something is missing; 0 = never. At most 15 minutes, for Meta unsubscribes
	// after an hour.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
	Every time.Duration `yaml:"every" default:"5m" validate:"within=0+1m~15m"`
	// Silence is the longest silence that a busy Page is allowed, less than the 15
	// minutes after which Meta tells the app's developers; 0 = any.
	Silence time.Duration `yaml:"silence" default:"10m" validate:"within=0+3m~14m"`
	// Backfill lets what was missed be looked for in the conversations.
	Backfill bool `yaml:"backfill" default:"true"`
}

// Messenger is what Meta knows us by.
type Messenger struct {
	AppID string `yaml:"app_id" validate:"required,id" hint:"copy it from the App Dashboard, App settings > Basic"`
	// AppSecret signs deliveries; several are accepted while rotating, the first
	// signs our calls.
	AppSecret   []Secret `yaml:"app_secret" validate:"required,dive,required" hint:"copy it from the App Dashboard, App settings > Basic"`
	VerifyToken Secret   `yaml:"verify_token" validate:"required" hint:"make up any text and enter the same in the App Dashboard, Webhooks"`
	// GraphURL has no trailing slash. Plain http is for a simulator on loopback.
	GraphURL string `yaml:"graph_url" default:"https://graph.facebook.com" validate:"graph_url"`
	// GraphVersion is vNN.N.
	//
	// https://developers.facebook.com/docs/graph-api/changelog
	GraphVersion string `yaml:"graph_version" default:"v26.0" validate:"graph_version"`
	// Routing is how Meta routes the Pages' threads: to a default app, or to all.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
	Routing string `yaml:"routing" default:"default_app" validate:"oneof=default_app zero_config"`
	// IgnoreApps are apps whose words are not an agent's.
	IgnoreApps []string `yaml:"ignore_apps" validate:"max=50,dive,id"`
	Pages      []Page   `yaml:"pages" validate:"min=1,dive"`
}

// Page is a Facebook Page that we answer for.
type Page struct {
	ID          string `yaml:"id" validate:"required,id" hint:"find it in the Page's About tab, Page transparency"`
	Name        string `yaml:"name" validate:"chars=200"`
	AccessToken Secret `yaml:"access_token" validate:"required" hint:"generate it in the App Dashboard, Messenger > API settings"`
}

// Handover says when people get a thread, and when the bot has it back.
type Handover struct {
	// Target gets a thread at a handoff: inbox, an app id, or a name in Targets.
	// See [Handover.TargetApp].
	Target string `yaml:"target" default:"inbox" validate:"required"`
	// Targets are app ids by name. Names keep their case.
	Targets map[string]string `yaml:"targets" validate:"max=50"`
	// TimeLimit is how long people keep a thread.
	TimeLimit TimeLimit `yaml:"time_limit" short:"after"`
	// Reopen is how long after Done a returning customer reaches the agent again;
	// 0 = not at all.
	Reopen      time.Duration `yaml:"reopen" default:"0" validate:"within=0~28d"`
	TalkToHuman TalkToHuman   `yaml:"talk_to_human"`
	BackToBot   BackToBot     `yaml:"back_to_bot"`
	Messages    Messages      `yaml:"messages"`
}

// TimeLimit is a time and where it counts from. In the file it may be written as
// the time alone.
type TimeLimit struct {
	// After is 0 for no limit. Seconds are for trying it out.
	After time.Duration `yaml:"after" default:"12h" validate:"within=0+1s~30d"`
	// From is the agent's last message, the handoff, or anyone's last message.
	From string `yaml:"from" default:"agent" validate:"oneof=agent handoff any"`
}

// TalkToHuman are the ways to a person.
type TalkToHuman struct {
	Button   string   `yaml:"button" default:"Talk to a human" validate:"required,chars=20"`
	Keywords []string `yaml:"keywords" default:"human, agent, talk to a human" validate:"max=50,dive,required,chars=100"`
	// Misunderstandings in a row hand the thread over; 0 = never.
	Misunderstandings int `yaml:"misunderstandings" default:"3" validate:"within=0~100"`
	// Requests lets another app have a thread that it requests.
	Requests bool `yaml:"requests" default:"true"`
	// Menu puts the button into the persistent menu.
	Menu bool `yaml:"menu" default:"true"`
}

// BackToBot are the ways back that a customer has.
type BackToBot struct {
	Button   string   `yaml:"button" default:"Back to bot" validate:"required,chars=20"`
	Keywords []string `yaml:"keywords" default:"bot, back to bot" validate:"max=50,dive,required,chars=100"`
	// Menu puts the button into the persistent menu.
	Menu bool `yaml:"menu" default:"true"`
}

// Messages are what Usher says by itself. Lengths are Meta's, in characters; what
// carries a button is shorter.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages
type Messages struct {
	// Handoff carries the Back to bot button.
	Handoff Text `yaml:"handoff" default:"I'm passing you to a person. They will answer here as soon as they can." validate:"chars=640"`
	// Back is said when the customer asked for the bot.
	Back Text `yaml:"back" default:"You're back with the automated assistant. How can I help?" validate:"chars=2000"`
	// Failed is said when Meta refused the handoff for good.
	Failed Text `yaml:"failed" default:"Sorry, I could not reach a person just now. I'm still here; please try again in a moment." validate:"chars=2000"`
	// Disclosure goes before the bot's first answer after people had the thread.
	Disclosure Text `yaml:"disclosure" default:"This is the automated assistant again." validate:"chars=2000"`
	// Reopened is said when a returning customer reaches the agent again; it
	// carries the Back to bot button.
	Reopened Text `yaml:"reopened" default:"Welcome back. I'm passing you to the person you talked to; they will answer here as soon as they can." validate:"chars=640"`
}

// Text is a text by locale, "de_DE" or "de"; "" is for all others, and always
// there.
type Text map[string]string

// Bot is what the bot says.
type Bot struct {
	Script string `yaml:"script" default:"bot.yaml" validate:"required"`
}

// Log is how Usher reports.
type Log struct {
	Level string `yaml:"level" default:"info" validate:"oneof=trace debug info warn error"`
	// Format auto is console on a terminal, else json.
	Format string `yaml:"format" default:"auto" validate:"oneof=json console auto"`
}

// Telemetry is where traces go.
type Telemetry struct {
	// OTLPEndpoint is the URL of an OpenTelemetry collector that takes OTLP over HTTP;
	// /v1/traces is added to it. Without one nothing is traced. Headers, such as a
	// key, come from OTEL_EXPORTER_OTLP_HEADERS.
	//
	// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
	OTLPEndpoint string `yaml:"otlp_endpoint" validate:"otlp_url"`
	// Sample is how many of a hundred deliveries are traced.
	Sample int `yaml:"sample" default:"100" validate:"within=1~100"`
}

// pageInbox is Meta's inbox of a Page; package messenger has the same.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
const pageInbox = "263902037430900"

// TargetApp returns the app id that Target stands for; "" for an unknown name,
// which [Load] refuses.
func (h Handover) TargetApp() string {
	switch {
	case h.Target == "inbox":
		return pageInbox
	case isID(h.Target):
		return h.Target
	}
	return h.Targets[h.Target]
}

// Ready returns a [FaultError] naming each placeholder that still stands, or nil.
func (c Config) Ready() error {
	if len(c.Placeholders) == 0 {
		return nil
	}
	return &FaultError{Faults: c.Placeholders}
}

// maxFile bounds the settings file, in bytes.
const maxFile = 1 << 20

// Load reads the settings file at path over the defaults, and the environment
// over both. With path "" there is no file. Where anything is wrong the error is
// a [FaultError] with all of it, placeholders among them, and the Config is what
// could be read; a file that cannot be opened gives the error of [os.Open].
func Load(path string, env func(string) (string, bool)) (Config, error) {
	l := newLoader(path, env)
	if path != "" {
		src, err := readAtMost(path, maxFile)
		if err != nil {
			return Config{}, fmt.Errorf("read settings: %w", err)
		}
		l.readFile(src)
		if len(l.faults) > 0 && len(l.at) == 0 && len(l.file) == 0 {
			return l.cfg, &FaultError{Faults: l.faults} // not YAML: what is missing cannot be told
		}
	}
	l.cfg.Messenger.Pages = make([]Page, l.pages())
	l.fill(settings(reflect.ValueOf(&l.cfg).Elem(), ""))
	l.validate()
	l.derive()
	l.crossCheck()
	slices.SortStableFunc(l.cfg.Placeholders, comparePlaces)
	slices.SortStableFunc(l.cfg.Warnings, comparePlaces)
	if len(l.faults) > 0 {
		l.faults = append(l.faults, l.cfg.Placeholders...)
		l.cfg.Placeholders = nil
		slices.SortStableFunc(l.faults, comparePlaces)
		return l.cfg, &FaultError{Faults: l.faults}
	}
	return l.cfg, nil
}

// errTooLong reports a file longer than any sensible one.
var errTooLong = errors.New("file is too long")

// readAtMost returns the content of a file of at most limit bytes.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	src, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(src)) > limit {
		err = fmt.Errorf("%s: %w: at most %d KiB", path, errTooLong, limit>>10)
	}
	return src, err
}

// loader fills a Config from its layers and remembers where each value stood.
type loader struct {
	places

	dir         string // of the settings file
	env         func(string) (string, bool)
	file        map[string]value // what the file sets, by path
	filePages   int              // Pages in the file
	bad         map[string]bool  // paths that have a fault already
	placeholder map[string]bool  // paths that have one still
	cfg         Config
	faults      []Fault
}

func newLoader(path string, env func(string) (string, bool)) *loader {
	l := &loader{
		places: places{name: path, at: map[string]Position{}}, dir: filepath.Dir(path), env: env,
		file: map[string]value{}, bad: map[string]bool{}, placeholder: map[string]bool{},
	}
	l.cfg.places = l.places
	return l
}

// fault reports a fault at the place where path is set.
func (l *loader) fault(path, format string, args ...any) {
	l.faultAt(l.where(path), path, format, args...)
}

func (l *loader) faultAt(at Position, path, format string, args ...any) {
	l.bad[path] = true
	l.faults = append(l.faults, Fault{At: at, Path: path, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) warn(path, format string, args ...any) {
	l.cfg.Warnings = append(l.cfg.Warnings, Fault{At: l.where(path), Path: path, Text: fmt.Sprintf(format, args...)})
}

// derive computes what follows from the settings.
func (l *loader) derive() {
	c := &l.cfg
	c.Messenger.GraphURL = strings.TrimRight(c.Messenger.GraphURL, "/")
	for _, p := range []*string{&c.Redis.Data, &c.Bot.Script} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(l.dir, *p)
		}
	}
	if !l.bad["redis.url"] {
		c.Redis.Server, _ = parseRedisURL(c.Redis.URL.Reveal()) // validated
	}
	if p := c.Redis.Password; p != "" {
		if c.Redis.Server.Password != "" {
			l.fault("redis.password", "redis.url carries a password already: keep one of the two")
		}
		c.Redis.Server.Password = p
	}
	longest := max(c.Handover.TimeLimit.After, c.Handover.Reopen)
	if least := longest + 24*time.Hour; longest > 0 && c.Redis.Retention < least && !l.bad["redis.retention"] {
		l.warn("redis.retention", "raised from %s to %s: a thread must be remembered longer than handover.time_limit and handover.reopen last",
			FormatDuration(c.Redis.Retention), FormatDuration(least))
		c.Redis.Retention = least
	}
}

// names returns the names of the targets, sorted, for messages.
func (h Handover) names() string {
	return strings.Join(slices.Sorted(maps.Keys(h.Targets)), ", ")
}
