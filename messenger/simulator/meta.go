// Package simulator is a stateful stand-in for Meta: one Page, its customers and
// agents, the apps connected to it, the Graph API that those apps call and the
// webhooks that they are sent. It is what tests, the demo and load runs talk to
// instead of Facebook, and it keeps a ledger of what truly happened, see [Entry],
// as an independent witness: it shares no code with the receiver and the client
// that it examines.
//
//	meta, err := simulator.New(simulator.Options{App: app, AppSecret: secret, Page: page, PageToken: token})
//	meta.Listen(bot)                       // webhooks to the bot, an http.Handler
//	client := meta.Client()                // Graph calls from the bot; or serve meta, an http.Handler
//	ann := meta.Customer("7000000000000001").Named("Ann", "Lee")
//	ann.Says("hello")
//	meta.Settle(ctx)                       // every webhook is answered
//	meta.Phone("7000000000000001")         // what her phone shows
//	meta.Agent().Replies("7000000000000001", "Tom here")
//
// Those who act: a [Customer] writes, taps, reacts, and comes by a link, an ad or a
// lead form; an [Agent] answers in the Page Inbox ([Meta.Inbox]); [AI] is Meta's
// own; an [OtherApp] calls Graph like the app under test. Whatever they do is told
// to the apps as Meta would.
//
// Conversation Routing is followed as Meta documents it; where the documents
// are silent or contradict each other, [Doubts] has a switch. Left out: the client
// certificate that Meta shows on webhooks where an app asks for mTLS, Instagram,
// and what a phone that is switched off would delay.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing
package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"usher/messenger"
)

// Options say which Page, which app and which clock. App, AppSecret, Page and
// PageToken are required.
type Options struct {
	// App is the app under test. Decimal digits.
	App messenger.AppID
	// AppSecret signs the webhooks to App and proves its calls.
	AppSecret string
	// VerifyToken is shown by [Meta.VerifyWebhook].
	VerifyToken string
	// PageToken is the access token with which App calls Graph.
	PageToken string
	Page      messenger.PageID
	// PageName is what GET /{page}?fields=name answers. Defaults to "Page".
	PageName string

	// Webhook receives App's deliveries in this process, WebhookURL over HTTP. At
	// most one of them; with neither, App gets nothing until [Meta.Listen].
	Webhook    http.Handler
	WebhookURL string
	// HTTP posts to WebhookURL. Defaults to a client of its own.
	HTTP *http.Client
	// Fields are the webhook fields that App is subscribed to at the start. Nil
	// subscribes [DefaultFields]; an empty list leaves App unsubscribed.
	Fields []string

	// DefaultApp answers a thread that nobody controls. Defaults to App.
	DefaultApp messenger.AppID
	// ZeroConfig leaves the Page without a default app.
	ZeroConfig bool
	// Inbox is the app in which agents answer. Defaults to [messenger.PageInbox].
	Inbox messenger.AppID
	// Others are further apps connected to the Page, see [Meta.OtherApp].
	Others []messenger.AppID
	// TakeForbidden switches App's "take control of conversations" off.
	TakeForbidden bool

	// Done is what happens when an agent clicks Done.
	Done Done
	// AppIDs is how app ids are written in JSON.
	AppIDs AppIDs
	// CheckProof refuses calls without appsecret_proof ("Require App Secret"). A
	// proof that is given is always checked.
	CheckProof bool
	// EnforceRate refuses calls over Meta's limits: with code 80006 an app's calls over
	// 200 for each customer in a rolling day; with 613 more than 300 texts, 10 audios
	// and videos or 2 conversations in a second, 10 calls to the messenger profile or
	// to one customer's settings in 10 minutes, and more tagged messages to one
	// customer than [Doubts] has. The usage headers tell the share of the day in any
	// case.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/overview/rate-limiting
	EnforceRate bool
	// Doubts are switches for what Meta leaves open.
	Doubts Doubts

	// Batch is how many waiting events one delivery may carry, 1 to 1000.
	// Defaults to 1.
	Batch int
	// Retries are the pauses before a failed delivery is repeated; the last one
	// repeats. Defaults to three immediate ones, then 5 s, 15 s, 30 s, 1 min,
	// 2 min and 5 min.
	Retries []time.Duration

	// ControlToken must come as a bearer token with each request of the control
	// API, see [OpenAPI]. Without one, only this machine may make them.
	ControlToken string

	// ThreadLines is how many of its newest lines a thread keeps at most. Defaults
	// to 1000.
	ThreadLines int
	// LedgerSize is how many of the newest ledger entries are kept. Defaults to
	// 100,000.
	LedgerSize int
	// KeepBodies keeps the bodies of deliveries and calls in the ledger, up to
	// 16 KiB each, but no token.
	KeepBodies bool
	// Log is told each ledger entry as it is written, in order. It runs inside the
	// simulator and must neither block nor call back.
	Log func(Entry)

	// Seed makes the message ids and all chances repeatable. 0 draws one.
	Seed uint64
	// Clock is a time that [Meta.Forward] can put forward. It stands for Now and
	// After.
	Clock *Clock
	// Now returns the time. Defaults to [time.Now].
	Now func() time.Time
	// After runs f after d and returns what stops it. Defaults to
	// [time.AfterFunc]. f may be run on any goroutine but not inside After.
	After func(d time.Duration, f func()) (stop func() bool)
}

// Meta is one Page at Meta. It is an [http.Handler] that serves the Graph API and
// a control API, see [OpenAPI]. All methods are safe for concurrent use.
type Meta struct {
	opt    Options
	ctx    context.Context //nolint:containedctx // the simulator's own life: deliveries outlive the call that caused them
	cancel context.CancelFunc
	wg     sync.WaitGroup
	owned  *http.Client // the client that Close must tidy; nil for a caller's
	edges  map[string]edge
	api    http.Handler // the control API
	us     *app         // the app under test

	mu         sync.Mutex
	closed     bool
	changed    chan struct{} // closed and replaced whenever something happened
	defaultApp messenger.AppID
	links      map[string]messenger.AppID // link routing, by ref
	social     messenger.AppID            // social routing
	restricted bool                       // Meta keeps the Page from sending
	apps       []*app                     // App first, then the inbox, then the others
	threads    map[messenger.PSID]*thread
	uploads    uploads
	profile    profile
	personas   []persona
	rate       rate
	faults     faults
	ledger     ledger
	rng        *rand.Rand
	serial     uint64 // counts message ids and the like
}

// New returns a Page on which nobody has written yet. Close it after use.
func New(opt Options) (*Meta, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background()) // ended by Close
	m := &Meta{
		opt: opt, ctx: ctx, cancel: cancel, changed: make(chan struct{}), defaultApp: opt.DefaultApp,
		threads: map[messenger.PSID]*thread{}, links: map[string]messenger.AppID{}, uploads: uploads{kinds: map[string]string{}}, profile: profile{fields: map[string]setting{}},
		ledger: ledger{size: opt.LedgerSize, log: opt.Log},
		rng:    rand.New(rand.NewPCG(opt.Seed, 0)),
	}
	m.edges, m.api = m.routes(), m.control()
	m.faults.batch = opt.Batch
	if opt.HTTP == nil {
		m.owned = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
		m.opt.HTTP = m.owned
	}
	m.us = m.connect(opt.App)
	m.us.token, m.us.secret, m.us.mayTake = opt.PageToken, opt.AppSecret, !opt.TakeForbidden
	if opt.Fields != nil {
		m.us.fields = opt.Fields
	}
	switch {
	case opt.Webhook != nil:
		m.Listen(opt.Webhook)
	case opt.WebhookURL != "":
		m.ListenAt(opt.WebhookURL)
	}
	m.connect(opt.Inbox).mayTake = true
	for _, id := range opt.Others {
		m.connect(id)
	}
	if opt.DefaultApp != "" {
		m.connect(opt.DefaultApp)
	}
	return m, nil
}

func (o Options) withDefaults() (Options, error) {
	var errs []error
	required := func(name, value string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s is required", name))
		}
	}
	required("AppSecret", o.AppSecret)
	required("Page", string(o.Page))
	required("PageToken", o.PageToken)
	if _, err := strconv.ParseUint(string(o.App), 10, 64); err != nil {
		errs = append(errs, fmt.Errorf("app %q: want decimal digits", o.App))
	}
	if o.Webhook != nil && o.WebhookURL != "" {
		errs = append(errs, errors.New("webhook and webhook URL exclude each other"))
	}
	if o.ZeroConfig && o.DefaultApp != "" {
		errs = append(errs, errors.New("zero config has no default app"))
	}
	if o.Batch < 0 || o.Batch > maxBatch {
		errs = append(errs, fmt.Errorf("batch of %d is outside 1 to %d", o.Batch, maxBatch))
	}
	if o.ThreadLines < 0 {
		errs = append(errs, fmt.Errorf("%d lines a thread: want a positive number", o.ThreadLines))
	}
	if o.DefaultApp == "" && !o.ZeroConfig {
		o.DefaultApp = o.App
	}
	o.PageName = or(o.PageName, "Page")
	o.Inbox = or(o.Inbox, messenger.PageInbox)
	o.Batch = or(o.Batch, 1)
	o.ThreadLines = or(o.ThreadLines, 1000)
	o.LedgerSize = or(o.LedgerSize, 100_000)
	o.Seed = or(o.Seed, rand.Uint64())
	o.Doubts = o.Doubts.withDefaults()
	if len(o.Retries) == 0 {
		o.Retries = []time.Duration{0, 0, 0, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}
	}
	o, err := o.withClock()
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("simulator options: %w", err)
	}
	return o, nil
}

// withClock fills in Now and After.
func (o Options) withClock() (Options, error) {
	if o.Clock != nil {
		if o.Now != nil || o.After != nil {
			return o, errors.New("a clock stands for now and after")
		}
		o.Now, o.After = o.Clock.Now, o.Clock.After
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if o.After == nil {
		o.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	return o, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Close stops the deliveries and waits until those under way have ended: a
// webhook in this process must honour its request's context. Graph calls are
// still answered.
func (m *Meta) Close() {
	m.mu.Lock()
	m.closed = true
	for _, a := range m.apps {
		a.queue.stop()
	}
	m.happened()
	m.mu.Unlock()
	m.cancel()
	m.wg.Wait()
	if m.owned != nil {
		m.owned.CloseIdleConnections()
	}
}

// Settle blocks until every webhook has been delivered, or has been given up
// because its app was unsubscribed. Deliveries that are held do not count. It
// returns ctx's error when that ends first.
func (m *Meta) Settle(ctx context.Context) error {
	return m.Wait(ctx, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, a := range m.apps {
			if !a.queue.settled(m.faults.held) {
				return false
			}
		}
		return true
	})
}

// Wait blocks until done says so. done is asked at once and after everything
// that happens: a Graph call, a delivery, an act of a person. It may use every
// method of m. Wait returns ctx's error when that ends first.
func (m *Meta) Wait(ctx context.Context, done func() bool) error {
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the simulator: %w", context.Cause(ctx))
		}
	}
}

// happened wakes those who wait. The lock is held.
func (m *Meta) happened() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// SetDefaultApp changes the Page's default app; "" is zero-config.
func (m *Meta) SetDefaultApp(id messenger.AppID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setRoutes(id, m.social, m.links)
}

// SetDone changes what happens when an agent clicks Done.
func (m *Meta) SetDone(d Done) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opt.Done = d
}

// AllowTake switches an app's "take control of conversations" on or off.
func (m *Meta) AllowTake(id messenger.AppID, allowed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connect(id).mayTake = allowed
}

// Now returns Meta's time, in its resolution of milliseconds.
func (m *Meta) Now() time.Time { return m.now() }

// now is the time in Meta's resolution, milliseconds.
func (m *Meta) now() time.Time { return m.opt.Now().UTC().Truncate(time.Millisecond) }

// next returns an id that this run has not used, and that another run with
// another seed does not use either.
func (m *Meta) next(prefix string) string {
	m.serial++
	return fmt.Sprintf("%s%016x%08x", prefix, m.opt.Seed, m.serial)
}

// number returns an id of digits that this run has not used.
func (m *Meta) number(prefix string) string {
	m.serial++
	return prefix + strconv.FormatUint(m.opt.Seed%1e6, 10) + strconv.FormatUint(1e8+m.serial, 10)
}

// pause waits for d on the injected clock.
func (m *Meta) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	stop := m.opt.After(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
